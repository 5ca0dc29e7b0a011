"""`ganforge slurm` on a machine without SLURM."""

import subprocess
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "ring2d.toml"


@pytest.fixture(autouse=True)
def somewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", "/nowhere")
    return tmp_path


def test_a_dry_run_prints_the_script_and_leaves_nothing(ganforge, somewhere: Path) -> None:
    said = ganforge("slurm", RECIPE, "--nodes", 4, "--gpus-per-node", 8, "--time", "24:00:00", "--dry-run")
    assert said.code == 0
    assert said.out.startswith("#!/bin/bash\n")
    for line in ("--nodes=4", "--gpus-per-node=8", "--time=24:00:00", "--signal=B:USR1@120", f"--chdir={somewhere}"):
        assert f"#SBATCH {line}\n" in said.out
    assert list(somewhere.iterdir()) == []


def test_the_recipe_is_kept_as_it_was_submitted(ganforge, somewhere: Path) -> None:
    own = somewhere / "mine.toml"
    own.write_text(RECIPE.read_text())
    said = ganforge("slurm", own, "--set", "name=kept", "--no-submit")
    assert (said.code, said.out) == (0, "written; to submit it: sbatch runs/kept/slurm/job.sh\n")
    own.write_text("broken")
    kept = somewhere / "runs" / "kept" / "slurm"
    assert (kept / "recipe.toml").read_text() == RECIPE.read_text()
    assert "train runs/kept/slurm/recipe.toml --set name=kept)" in (kept / "job.sh").read_text()


def test_lines_of_an_option_cannot_leave_the_comment_they_are_shown_in(ganforge, somewhere: Path) -> None:
    said = ganforge("slurm", RECIPE, "--env-setup", "module load a\necho 'b", "--dry-run")
    done = subprocess.run(["/bin/grep", "-c", "^module load a$"], input=said.out, capture_output=True, text=True)
    assert done.stdout == "1\n"
    assert sum("module load a echo" in line for line in said.out.splitlines()) == 1


def test_each_seed_has_a_folder_for_its_log_before_the_job_starts(ganforge, somewhere: Path) -> None:
    assert ganforge("slurm", RECIPE, "--array", "0-2%1", "--no-submit").code == 0
    assert {path.name for path in (somewhere / "runs").iterdir()} == {f"ring2d-seed{seed}" for seed in range(3)}
    assert "--output=runs/ring2d-seed%a/slurm/%A.log\n" in (somewhere / "runs/ring2d-seed0/slurm/job.sh").read_text()


def test_a_job_s_own_variables_are_left_to_the_job(ganforge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_TMPDIR", raising=False)
    said = ganforge("slurm", RECIPE, "--set", "data.cache_dir=$SLURM_TMPDIR", "--dry-run")
    assert "--set 'data.cache_dir=$SLURM_TMPDIR'" in said.out


def test_mistakes_are_told_before_anything_is_queued(ganforge, somewhere: Path) -> None:
    site = somewhere / "config" / "ganforge" / "slurm.toml"
    assert "there is no sbatch here" in ganforge("slurm", RECIPE).err
    said = ganforge("slurm", RECIPE, "--nodes", 7)
    assert said.code == 2
    assert "does not divide by 7 ranks" in said.err
    site.parent.mkdir(parents=True)
    site.write_text("gpus = 8")
    assert f"{site}: gpus: unknown key" in ganforge("slurm", RECIPE).err


def test_a_restart_is_done_when_the_job_is_written_and_not_in_the_script_that_is_run_again(
    ganforge, somewhere: Path
) -> None:
    run = somewhere / "runs" / "again"
    (run / "checkpoints").mkdir(parents=True)
    (run / "metrics.jsonl").write_text('{"step": 1}\n')
    said = ganforge("slurm", RECIPE, "--set", "name=again", "--no-submit", "--restart")
    assert (said.code, "are now in runs/again/.old-1" in said.out) == (0, True)
    assert (run / ".old-1" / "metrics.jsonl").exists()
    script = (run / "slurm" / "job.sh").read_text()
    assert "--restart" not in [word for line in script.splitlines() if line[:1] != "#" for word in line.split()]
