"""`ganforge status` from what lies in run folders, without SLURM and in any state of repair."""

import json
import os
import time
from pathlib import Path

import pytest

from ganforge.recipe import dump, resolve


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
    for text in ("250 of 400 (62%)", "1,234", "2 h ago", "fid 12.35 at 150", "step 240: modes lost"):
        assert text in row


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


def test_a_folder_without_runs_is_a_mistake(ganforge, tmp_path: Path) -> None:
    said = ganforge("status", tmp_path)
    assert said.code == 2
    assert "is no run folder and holds none" in said.err
