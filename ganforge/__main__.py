"""`ganforge`, `python -m ganforge` and `accelerate launch -m ganforge`."""

import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

CODES = {signal.SIGTERM: 85, signal.SIGUSR1: 85, signal.SIGINT: 130}
"""As training has them: save and start me again; Ctrl-C."""
TRAINING = ("train", "sweep")
SHORT = ("list", "show", "recipe")
"""What these import is all that they keep, so looking for garbage in it, a third of their time, finds none."""


def main() -> NoReturn:
    """The command line. A training that is asked to stop while its libraries are imported leaves as a training does."""
    command = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    if command in SHORT:
        gc.disable()
    if command in TRAINING:
        for number in CODES:
            if signal.getsignal(number) is not signal.SIG_IGN:  # whoever started this has it told again later
                signal.signal(number, _leave)
    from ganforge.cli.main import main as command_line

    command_line()


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"ganforge: asked to stop before training began; the same command starts it\n")
    os._exit(CODES[signal.Signals(number)])  # an exception might be lost in somebody's import


if __name__ == "__main__":
    main()
