"""Lines of JSON in any state, streamed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ganforge.errors import GanforgeError
from ganforge.jsonlines import LONGEST, SMALL, StepLines, approximate_count, keep_up_to, last_of, sampled

ODD = {
    "not UTF-8": b'{"step": 2, "a": "\xff"}',
    "not JSON": b"step 2",
    "torn": b'{"step": 2, "a',
    "two in one": b'{"step": 2, "a{"step": 3}',
    "no object": b"[2]",
    "null": b"null",
    "no step": b'{"a": 2}',
    "a step that is not a number": b'{"step": "2"}',
    "a step that is not a whole number": b'{"step": 2.5}',
    "a step that is true": b'{"step": true}',
    "a step below zero": b'{"step": -1}',
    "a step of 65 bits": b'{"step": 18446744073709551616}',
    "a step of 5,000 digits": b'{"step": ' + b"9" * 5000 + b"}",
    "nested too deeply": b'{"step": 2, "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "zeros, as after a power cut": b"\0" * 4096,
    "a lone surrogate": b'{"step": 2, "a": "\\ud800"}',
    "longer than any of ours": b'{"step": 2, "a": "' + b"x" * (3 * LONGEST) + b'"}',
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_line_is_passed_over_and_counted_and_the_others_are_read(tmp_path: Path, odd: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + odd + b'\n{"step": 3, "a": NaN}\r\n\n{"step": 4')
    lines = StepLines(path)
    assert [line["step"] for line in lines] == [1, 3]
    assert lines.passed_over == 1, "an empty line and one that is being written are not odd"
    assert [line["step"] for line in last_of(path)] == [1, 3]
    keep_up_to(path, 2)
    assert path.read_bytes() == b'{"step": 1}\n', "what is odd is dropped when a run goes back"


@pytest.mark.parametrize(
    "make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)], ids=["folder", "pipe", "loop"]
)
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, make) -> None:
    path = tmp_path / "metrics.jsonl"
    make(path)
    for read in (list, lambda lines: keep_up_to(lines.path, 1), lambda lines: last_of(lines.path)):
        with pytest.raises(GanforgeError, match=r"metrics\.jsonl: is not a file"):
            read(StepLines(path))


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    keep_up_to(path, 3)
    assert not list(StepLines(path))
    assert not last_of(path)
    assert approximate_count(path) == 0


def long_log(path: Path, count: int) -> None:
    padding = "x" * 900
    with path.open("w") as file:
        file.writelines(
            f'{{"step": {step}, "images": {step * 64}, "a": "{padding}"}}\n' for step in range(1, count + 1)
        )


@pytest.mark.parametrize("kept", [0, 7, 15_000, 29_990, 29_999, 30_000, 40_000])
def test_a_long_log_is_cut_where_a_short_one_would_be(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "metrics.jsonl"
    long_log(path, 30_000)
    assert path.stat().st_size > SMALL
    with path.open("ab") as file:
        file.write(b'{"step": 30001, "torn')
    keep_up_to(path, kept)
    assert [line["step"] for line in StepLines(path)] == list(range(1, min(kept, 30_000) + 1))
    assert not path.stat().st_size or path.read_bytes().endswith(b"\n")


def test_the_newest_lines_are_found_without_the_others(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    long_log(path, 30_000)
    assert [line["step"] for line in last_of(path, 50)] == list(range(29_951, 30_001))
    assert approximate_count(path) == pytest.approx(30_000, rel=0.05)


def test_samples_of_a_long_log_come_from_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    long_log(path, 30_000)
    steps = [line["step"] for line in sampled(path, blocks=16)]
    assert len(steps) < 2_000
    assert steps == sorted(steps)
    assert all(any(abs(step - near) < 2_000 for step in steps) for near in range(1, 30_000, 1_000))
    assert [line["step"] for line in sampled(path, blocks=10_000)] == list(range(1, 30_001)), (
        "a short file is read whole"
    )


PEAK = """
import atexit, sys
from pathlib import Path
def tell():
    status = Path("/proc/self/status").read_text().splitlines()
    print(next(line for line in status if "VmHWM" in line), file=sys.stderr)

atexit.register(tell)
from ganforge.cli.main import main
main()
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from Linux's /proc")
@pytest.mark.parametrize("command", ["status", "doctor", "report"])
def test_a_long_log_is_streamed(tmp_path: Path, command: str) -> None:
    """45 MB of it took 200 MB as a list of lines; what Python and the libraries take is in the bound."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.resolved.toml").write_text('name = "run"\n[training]\nsteps = 9\nbatch_size = 2\n')
    line = {"images": 1, "generator/loss": 0.5, **{f"health/class_{number}": 0.123456789 for number in range(40)}}
    with (folder / "metrics.jsonl").open("w") as file:
        file.writelines(json.dumps({"step": step, **line}) + "\n" for step in range(1, 40_000))
    more = ["-o", f"{tmp_path}/r.html"] if command == "report" else []
    done = subprocess.run(
        [sys.executable, "-c", PEAK, command, str(folder), *more], capture_output=True, text=True, check=True
    )
    assert int(done.stderr.split()[-2]) < 120_000, "kB"
