"""Commands that misbehave, and what the judge of hostile files says of each, as JSON.

python tests/soak/bad_commands.py FOLDER
"""

import json
import random
import sys
import time
from pathlib import Path

import hostile_data
from hostile_files import picture


def hang() -> None:
    while True:
        pass


def sleep() -> None:
    time.sleep(1000)


def eat_much() -> None:
    assert bytearray(b"1") * 2**28


def eat_too_much() -> None:
    assert bytearray(b"1") * 2**29


def break_off() -> None:
    raise IndexError


def say_much() -> None:
    print("ganforge: x\n" * 3, end="", file=sys.stderr)
    sys.exit(2)


def write_beside() -> None:
    Path("../made/y").touch()


def leave() -> None:
    sys.exit()


def build(folder: Path, rng: random.Random) -> Path:
    (folder / "x.png").write_bytes(picture())
    return folder


def main(folder: Path) -> None:
    hostile_data._HANG = 0.2
    verdicts = {}
    for bad in (hang, sleep, eat_much, eat_too_much, break_off, say_much, write_beside, leave):
        hostile_data.main = bad
        verdict = hostile_data.try_one(0, 0, build, "verify", folder / bad.__name__)
        verdicts[bad.__name__] = verdict._asdict()
    print(json.dumps(verdicts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
