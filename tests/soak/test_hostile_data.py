"""A share of the hostile data files, and that the judge of them can be trusted."""

import subprocess
import sys
import time
from pathlib import Path

import hostile_data
import pytest
from hostile_files import BUILDERS, picture

SCRIPT = Path(hostile_data.__file__)


def judged(seed: int, count: int) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--seed", str(seed), "--count", str(count)],
        capture_output=True, text=True, timeout=550,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} hostile files" in done.stdout


def test_a_hostile_file_of_each_kind_is_read_or_refused_in_a_line() -> None:
    judged(7, len(BUILDERS))


@pytest.mark.slow
def test_a_hundred_hostile_files_are_read_or_refused_in_a_line() -> None:
    judged(0, 100)


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


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (hang, "hung, after"),
        (sleep, "hung, after 0.0"),
        (eat_much, ""),
        (eat_too_much, "traceback"),
        (break_off, "traceback"),
        (say_much, "was refused in 3 lines"),
        (write_beside, "beside the source"),
        (sys.exit, ""),
    ],
)
def test_the_judge_sees(bad: object, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile_data, "main", bad)
    monkeypatch.setattr(hostile_data, "_HANG", 0.2)

    def build(folder: Path, rng: object) -> Path:
        (folder / "x.png").write_bytes(picture())
        return folder

    verdict = hostile_data.try_one(0, 0, build, "verify", tmp_path)
    assert fault in verdict.fault
    assert bool(fault) == bool(verdict.fault)
    if bad is eat_much:
        assert 250e6 < verdict.memory_bytes < 300e6
