"""Run a command beside processes that keep every core busy, and leave with its exit code.

    python tests/busy.py                        # make test, beside four
    python tests/busy.py --processes 4 .venv/bin/python -m pytest tests/data

The busy ones have the priority of everybody else (`nice 0`), as other people's work on a shared machine has.
"""

import argparse
import subprocess
import sys
from pathlib import Path

LOOP = "while True: pass"


def beside(processes: int, command: list[str]) -> int:
    """The exit code of a command that ran beside so many busy loops."""
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(processes)]
    try:
        return subprocess.run(command, cwd=Path(__file__).parents[1]).returncode
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=4, help="number of busy processes")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run; `make test` if left out")
    arguments = parser.parse_args()
    sys.exit(beside(arguments.processes, arguments.command or ["make", "test"]))


if __name__ == "__main__":
    main()
