"""`ganforge watch` on run folders in any state, with and without a terminal."""

import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganforge.cli import watch
from ganforge.recipe import dump, resolve
from ganforge.report.live import BARS, SPARKS, sparkline

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that is in the middle of its training."""
    recipe = resolve(
        {
            "name": "ring", "output": str(tmp_path / "runs"), "data": "ring", "generator": "mlp",
            "discriminator": "mlp", "training": {"steps": 400, "batch_size": 50},
        }
    )  # fmt: skip
    (recipe.folder / "samples").mkdir(parents=True)
    (recipe.folder / "recipe.resolved.toml").write_text(dump(recipe))
    (recipe.folder / "samples" / "step-00000200.png").write_bytes(b"")
    finding = {"step": 240, "name": "collapse", "event": "begins", "message": "modes \x1b[31mlost"}
    (recipe.folder / "health.jsonl").write_text(json.dumps(finding) + "\n")
    for step in range(10, 251, 10):
        log(recipe.folder, step)
    return recipe.folder


def log(folder: Path, step: int, **more: float) -> None:
    figures = {"images": step * 50, "images_per_second": 500.0, "generator/loss": step / 100, **more}
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, **figures}) + "\n")


def finish(folder: Path) -> None:
    log(folder, 400)
    checkpoint = folder / "checkpoints" / "step-00000400"
    checkpoint.mkdir(parents=True)
    state = {"step": 400, "best": {"name": "fid", "value": 12.3, "step": 300}}
    (checkpoint / "checkpoint.json").write_text(json.dumps(state))


def test_once_tells_progress_figures_findings_samples_and_the_last_sign_of_life(
    folder: Path, ganforge: Callable[..., Any]
) -> None:
    log(folder, 250, **{"evaluation/fid": 20.0})
    done = ganforge("watch", folder.parent, "--once")
    assert done.code == 0
    assert f"{folder}  step 250 of 400 (62%)  running, about 15 s left" in done.out
    for line in ("loss G                  2.5  ▁", "images/s                500", "fid                      20"):
        assert line in done.out
    assert "collapse since step 240: modes ?[31mlost" in done.out, "no message colours the terminal"
    assert f"{folder / 'samples' / 'step-00000200.png'}, 0 s ago" in done.out
    assert "last sign        0 s ago" in done.out
    long_ago = time.time() - 7200
    for path in (folder / "metrics.jsonl", folder / "recipe.resolved.toml"):
        os.utime(path, (long_ago, long_ago))
    silent = ganforge("watch", folder, "--once").out
    assert "  silent" in silent
    assert "last sign        2 h ago; it was killed, or is stuck" in silent


def test_a_run_that_has_ended_is_told_once(folder: Path, ganforge: Callable[..., Any]) -> None:
    finish(folder)
    done = ganforge("watch", folder)
    assert done.code == 0
    assert "step 400 of 400 (100%)  finished\n" in done.out
    assert "best             fid 12.3 at step 300" in done.out


def test_without_a_terminal_lines_come_until_the_run_ends(
    folder: Path, ganforge: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SECONDS", 0.01)
    threading.Timer(0.3, finish, [folder]).start()
    done = ganforge("watch", folder)
    assert done.code == 0
    *view, last = done.out.splitlines()
    assert view[-1].startswith("last sign"), "the view once, and nothing in between within a minute"
    assert last.startswith(f"{folder}  step 400 of 400 (100%)  finished  loss G 4")
    assert not [character for character in done.out if ord(character) < 32 and character != "\n"]


def test_on_a_terminal_the_view_is_redrawn_until_the_run_ends(folder: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ganforge", "watch", str(folder)],
        stdout=theirs, stderr=subprocess.PIPE, stdin=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "300", "LINES": "40"},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while b"step 250 of 400" not in said:
        said += os.read(ours, 4096)
    finish(folder)
    while piece := _read(ours):
        said += piece
    assert process.wait(timeout=60) == 0, process.communicate()[1]
    assert b"finished" in said
    assert b"\x1b[" in said, "drawn in place"


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the other end is closed
        return b""


def test_several_runs_or_none_are_not_guessed_among(folder: Path, ganforge: Callable[..., Any]) -> None:
    other = folder.with_name("second")
    other.mkdir()
    (other / "recipe.resolved.toml").write_text((folder / "recipe.resolved.toml").read_text())
    done = ganforge("watch", folder.parent)
    assert (done.code, done.err) == (2, f"ganforge: {folder.parent}: holds 2 runs; name one, such as {folder}\n")
    assert ganforge("watch", folder / "samples").code == 2


def test_a_curve_has_the_lowest_and_the_highest_bar_and_a_bounded_length() -> None:
    assert sparkline([0.0, 1.0]) == BARS[0] + BARS[-1]
    assert sparkline([2.0] * 3) == BARS[0] * 3
    long = sparkline([float(value) for value in range(1_000)])
    assert (len(long), long[0], long[-1], list(long)) == (SPARKS, BARS[0], BARS[-1], sorted(long))
