"""`ganforge status` from what lies in run folders, without SLURM and in any state of repair."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from ganforge.recipe import dump, resolve


def silent_since(folder: Path, when: float) -> None:
    for path in folder.rglob("*.*"):
        os.utime(path, (when, when))


def rewrite(folder: Path, name: str, *changes: dict[str, Any]) -> None:
    """New lines for a file of the run, whose age stays."""
    written = (folder / name).stat().st_mtime
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in changes))
    os.utime(folder / name, (written, written))


def state_of(ganforge, folder: Path) -> str:
    (run,) = json.loads(ganforge("status", folder, "--json").out)
    return run["state"]


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """As training leaves it."""
    recipe = resolve(
        {
            "name": "ring", "output": str(tmp_path / "runs"), "data": "ring", "generator": "mlp",
            "discriminator": "mlp", "training": {"steps": 400},
        }
    )  # fmt: skip
    folder = recipe.folder
    checkpoint = folder / "checkpoints" / "step-00000200"
    checkpoint.mkdir(parents=True)
    (folder / "recipe.resolved.toml").write_text(dump(recipe))
    state = {"step": 200, "best": {"name": "fid", "value": 12.34567, "step": 150}}
    (checkpoint / "checkpoint.json").write_text(json.dumps(state))
    hour_ago = time.time() - 2 * 3600
    os.utime(checkpoint / "checkpoint.json", (hour_ago, hour_ago))
    lines = [
        {"step": 200, "images_per_second": 900.0},
        {"step": 250, "images_per_second": 1234.5},
        {"step": 250, "evaluation/fid": 13.0},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 26')
    findings = [{"step": 90, "name": "x", "message": "old"}, {"step": 240, "name": "collapse", "message": "modes lost"}]
    (folder / "health.jsonl").write_text("".join(json.dumps(line) + "\n" for line in findings))
    silent_since(folder, hour_ago)
    return folder


def test_everything_a_run_folder_tells_is_told(ganforge, run_folder: Path) -> None:
    said = ganforge("status", run_folder, "--json")
    assert said.code == 0
    (run,) = json.loads(said.out)
    assert (run["step"], run["steps"], run["images_per_second"]) == (250, 400, 1234.5)
    assert run["checkpoint_step"] == 200
    assert run["checkpoint_age_seconds"] == pytest.approx(7200, abs=60)
    assert run["best"] == {"name": "fid", "value": 12.34567, "step": 150}
    assert run["finding"]["message"] == "modes lost"
    assert run["job"] is None


def test_the_table_is_for_people(ganforge, run_folder: Path) -> None:
    out = ganforge("status", run_folder.parent).out
    row = next(line for line in out.splitlines() if "ring" in line)
    for text in (
        "250 of 400 (62%)",
        "1,234",
        "2 h ago",
        "fid 12.35 at 150",
        "collapse since step 240",
        "silent for 2 h",
    ):
        assert text in row


def test_runs_of_a_sweep_are_found_below_its_folder(ganforge, run_folder: Path) -> None:
    study = run_folder.parent / "ring-sweep"
    study.mkdir()
    run_folder.rename(study / "ring-sweep-0000")
    assert f"{study}/ring-sweep-0000" in ganforge("status", run_folder.parent).out


@pytest.mark.parametrize("columns", [80, 300])
def test_no_name_is_cut_on_a_terminal_of_any_width(ganforge, run_folder: Path, monkeypatch, columns: int) -> None:
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setattr("rich.console.Console.width", columns)
    long = run_folder.with_name("digits32-conditional-with-ada-0003")
    run_folder.rename(long)
    lines = [line for line in ganforge("status", long.parent).out.splitlines() if line.strip()]
    assert len(lines) == 2, "a heading and a run, or two lines for the run"
    text = "\n".join(lines)
    for piece in (str(long), "250 of 400 (62%)", "silent for 2 h", "1,234", "fid 12.35 at 150", "collapse since"):
        assert piece in text


def test_the_state_is_what_the_folder_tells(ganforge, run_folder: Path) -> None:
    assert state_of(ganforge, run_folder) == "silent", "its last figures are of step 250, saved is 200"
    rewrite(run_folder, "metrics.jsonl", {"step": 200, "images_per_second": 900.0})
    assert state_of(ganforge, run_folder) == "stopped", "everything is saved"
    silent_since(run_folder, time.time() - 20)
    assert state_of(ganforge, run_folder) == "running"


def test_a_slow_run_may_be_silent_for_longer(ganforge, run_folder: Path) -> None:
    slow = [{"step": step, "images": step * 1000, "images_per_second": 10.0} for step in (200, 250)]
    rewrite(run_folder, "metrics.jsonl", *slow)  # 5,000 s between two lines
    assert state_of(ganforge, run_folder) == "running"


def test_a_run_that_the_doctor_stopped_and_one_that_diverged_are_no_silent_ones(ganforge, run_folder: Path) -> None:
    diverged = {"step": 251, "name": "divergence", "event": "begins", "message": "loss is nan"}
    rewrite(run_folder, "health.jsonl", diverged)
    assert state_of(ganforge, run_folder) == "diverged"
    rewrite(run_folder, "health.jsonl", diverged, {**diverged, "event": "ends"})
    assert state_of(ganforge, run_folder) == "silent", "it was rolled back and went on"
    ill = {"step": 250, "name": "collapse", "event": "begins", "message": "modes lost"}
    rewrite(run_folder, "health.jsonl", ill)
    assert state_of(ganforge, run_folder) == "silent", "the recipe does not want to be stopped by it"
    recipe = run_folder / "recipe.resolved.toml"
    recipe.write_text(recipe.read_text().replace("stop_on = []", 'stop_on = ["collapse"]'))
    assert state_of(ganforge, run_folder) == "stopped by the doctor"


def test_a_run_whose_length_was_lowered_below_its_step_is_past_it(ganforge, run_folder: Path) -> None:
    recipe = run_folder / "recipe.resolved.toml"
    recipe.write_text(recipe.read_text().replace("steps = 400", "steps = 100"))
    rewrite(run_folder, "metrics.jsonl", {"step": 200, "images_per_second": 900.0})
    assert state_of(ganforge, run_folder) == "finished"
    assert "200, past its 100" in ganforge("status", run_folder).out


def test_patience_finishes_a_run_before_its_last_step(ganforge, run_folder: Path) -> None:
    recipe = run_folder / "recipe.resolved.toml"
    recipe.write_text(recipe.read_text().replace("patience = 0", "patience = 3"))
    rewrite(run_folder, "metrics.jsonl", {"step": 200, "images_per_second": 900.0})
    best = {"name": "fid", "value": 12.3, "step": 150, "stale": 3}
    rewrite(run_folder, "checkpoints/step-00000200/checkpoint.json", {"step": 200, "best": best})
    assert state_of(ganforge, run_folder) == "finished"


def test_a_job_without_slurm_is_unknown_and_the_newest_counts(ganforge, run_folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (run_folder / "slurm").mkdir()
    (run_folder / "slurm" / "jobs").write_text("17\n18\n")
    (run,) = json.loads(ganforge("status", run_folder, "--json").out)
    assert (run["job"], run["job_state"]) == ("18", "unknown")


def test_a_run_that_waits_for_its_first_node_is_shown(ganforge, tmp_path: Path) -> None:
    (tmp_path / "waiting" / "slurm").mkdir(parents=True)
    (tmp_path / "waiting" / "slurm" / "jobs").write_text("18\n")
    (run,) = json.loads(ganforge("status", tmp_path, "--json").out)
    assert (run["step"], run["steps"], run["checkpoint_step"], run["job"]) == (0, None, None, "18")


def test_damaged_files_are_passed_over(ganforge, run_folder: Path) -> None:
    for name in ("metrics.jsonl", "health.jsonl", "recipe.resolved.toml", "checkpoints/step-00000200/checkpoint.json"):
        (run_folder / name).write_bytes(b"\xff{[1]\n[2]\n")
    (run,) = json.loads(ganforge("status", run_folder, "--json").out)
    assert (run["step"], run["steps"], run["finding"]) == (0, None, None)


ODD = [None, True, -1, 1.5, "x", [], {}, [1], 10**30, 1e300, {"name": 3}]


@pytest.mark.parametrize("value", ODD, ids=str)
def test_values_of_another_kind_are_not_known(ganforge, run_folder: Path, value: Any) -> None:
    line = {"step": 250, "images": value, "images_per_second": value}
    rewrite(run_folder, "metrics.jsonl", {"step": value}, line, line)
    finding = {"step": 3, "name": value, "event": value, "message": value}
    rewrite(run_folder, "health.jsonl", finding)
    best = {"name": "fid", "value": value, "step": value}
    rewrite(run_folder, "checkpoints/step-00000200/checkpoint.json", {"step": value, "best": best})
    said = ganforge("status", run_folder)
    assert (said.code, said.err) == (0, "")
    (run,) = json.loads(ganforge("status", run_folder, "--json").out)
    assert run["step"] >= 250 or value is None
    assert run["best"] is None


@pytest.mark.parametrize("value", ["3", "[]", '"x"', "{ steps = [] }", "{ steps = -1 }", '{ steps = "4" }'])
def test_a_recipe_of_another_kind_is_not_known(ganforge, run_folder: Path, value: str) -> None:
    (run_folder / "recipe.resolved.toml").write_text(f"training = {value}\nhealth = {value}\nevaluation = {value}\n")
    (run,) = json.loads(ganforge("status", run_folder, "--json").out)
    assert (run["step"], run["steps"]) == (250, None)


def test_a_pipe_in_place_of_a_log_is_not_waited_for(ganforge, run_folder: Path) -> None:
    for name in ("metrics.jsonl", "health.jsonl"):
        (run_folder / name).unlink()
        os.mkfifo(run_folder / name)
    (run,) = json.loads(ganforge("status", run_folder, "--json").out)
    assert run["step"] == 200, "of its checkpoint"


def test_a_folder_whose_name_is_no_text_is_shown(ganforge, run_folder: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(run_folder.parent) + b"/caf\xe9"))
    run_folder.rename(odd)
    assert "caf\\udce9" in ganforge("status", run_folder.parent).out
    assert "log lines up to step" in ganforge("doctor", odd).out


def test_a_folder_without_runs_is_a_mistake(ganforge, tmp_path: Path) -> None:
    said = ganforge("status", tmp_path)
    assert said.code == 2
    assert "is not a run folder and holds none" in said.err
