"""A share of the hostile data files, and that the judge of them can be trusted."""

import json
import subprocess
import sys
from pathlib import Path

import hostile_data
import pytest
from hostile_files import BUILDERS

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


@pytest.mark.soak
def test_a_hundred_hostile_files_are_read_or_refused_in_a_line() -> None:
    judged(0, 100)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What the judge says of each bad command, from a process that has done nothing else.

    The judge measures a child against its parent, and a test worker holds memory that other tests have freed.
    """
    script = Path(__file__).with_name("bad_commands.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path_factory.mktemp("bad"))], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ("hang", "hung, after"),
        ("sleep", "hung, after 0."),
        ("eat_much", ""),
        ("eat_too_much", "traceback"),
        ("break_off", "traceback"),
        ("say_much", "was refused in 3 lines"),
        ("write_beside", "beside the source"),
        ("leave", ""),
    ],
)
def test_the_judge_sees(bad: str, fault: str, verdicts: dict[str, dict[str, str]]) -> None:
    assert fault in verdicts[bad]["fault"]
    assert bool(fault) == bool(verdicts[bad]["fault"])


def test_the_judge_measures_memory(verdicts: dict[str, dict[str, float]]) -> None:
    assert 250e6 < verdicts["eat_much"]["memory_bytes"] < 300e6
