"""The script, without a SLURM: that its quoting holds and that launch/slurm/ shows the same."""

import subprocess
from pathlib import Path

import pytest

from ganforge.cluster.job import make_job
from ganforge.cluster.script import Training, render
from ganforge.cluster.submit import seeds_of
from ganforge.errors import GanforgeError

ROOT = Path(__file__).parents[2]

PLAIN = {
    "train.sbatch": {"nodes": 4, "gpus_per_node": 8, "cpus_per_task": 8, "time": "24:00:00"},
    "train-accelerate.sbatch": {
        "nodes": 4, "gpus_per_node": 8, "cpus_per_task": 8, "time": "24:00:00", "launcher": "accelerate",
    },
    "train-cpu.sbatch": {"nodes": 2, "gpus_per_node": 0, "tasks_per_node": 4, "cpus_per_task": 8, "time": "24:00:00"},
    "train-chain.sbatch": {"nodes": 4, "gpus_per_node": 8, "cpus_per_task": 8, "time": "04:00:00", "chain": 2},
}  # fmt: skip
"""The plain files of launch/slurm/, by what they ask for."""


def training(**changes) -> Training:
    base = Training("A title.", "celeba64", "runs/celeba64", "recipes/celeba64.toml", "%x-%j.log")
    return Training(**{**base.__dict__, **changes})


def plain(name: str) -> str:
    title = f"Train a recipe on SLURM; edit what it asks for and what it trains, then: sbatch launch/slurm/{name}"
    return render(make_job({}, {**PLAIN[name], "env_setup": "# module load cuda"}), training(title=title))


@pytest.mark.parametrize("name", PLAIN)
def test_the_plain_files_are_what_the_command_writes(name: str) -> None:
    assert (ROOT / "launch" / "slurm" / name).read_text() == plain(name)


def test_no_plain_file_is_forgotten() -> None:
    assert {path.name for path in (ROOT / "launch" / "slurm").glob("*.sbatch")} == set(PLAIN)


def said_by(script: str, folder: Path, **environment: str) -> str:
    """What the script's own `train` array, task and environment come to, in a shell."""
    body = script.partition("# All ranks meet")[0] + '\nprintf "%s\\n" "$run" "${train[@]}"\n'
    (folder / "script.sh").write_text(body)
    done = subprocess.run(
        ["bash", "script.sh"], cwd=folder, env={"PATH": "/usr/bin:/bin", "SLURM_JOB_ID": "7", **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_blanks_and_quotes_arrive_as_they_were_written(tmp_path: Path) -> None:
    overrides = ["name=it's", "data.path=/a b/{0..9}.tar", "data.cache_dir=$SLURM_TMPDIR"]
    text = render(make_job({}, {}), training(folder="runs/a b", overrides=overrides))
    lines = said_by(text, tmp_path, SLURM_TMPDIR="/scratch").splitlines()
    assert lines[0] == "runs/a b"
    assert [lines[index + 1] for index, line in enumerate(lines) if line == "--set"] == overrides
    assert (tmp_path / "runs" / "a b" / "slurm" / "jobs").read_text() == "7\n"


def test_a_job_that_starts_again_is_not_listed_twice(tmp_path: Path) -> None:
    text = render(make_job({}, {}), training())
    for number in ("7", "7", "8"):
        said_by(text, tmp_path, SLURM_JOB_ID=number)
    assert (tmp_path / "runs" / "celeba64" / "slurm" / "jobs").read_text() == "7\n8\n"


def test_each_seed_of_an_array_has_its_run_folder(tmp_path: Path) -> None:
    text = render(make_job({}, {}), training(seeds="0-4%2"))
    assert "#SBATCH --array=0-4%2\n" in text
    said = said_by(text, tmp_path, SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID="3")
    assert "--set\nseed=3\n--set\nname=celeba64-seed3\n" in said
    assert (tmp_path / "runs" / "celeba64-seed3" / "slurm" / "jobs").read_text() == "7_3\n"


def test_seeds_as_slurm_writes_them() -> None:
    assert seeds_of("0-4%2") == [0, 1, 2, 3, 4]
    assert seeds_of("1,3,7-9") == [1, 3, 7, 8, 9]
    assert seeds_of("0-8:4") == [0, 4, 8]
    for wrong in ("five", "0-", "1,,2", "0-4%x", "0-4:0"):
        with pytest.raises(GanforgeError, match="--array"):
            seeds_of(wrong)


@pytest.mark.parametrize(
    ("container", "lines"),
    [
        ("gan forge.sif", ["export image='gan forge.sif'", 'exec apptainer exec --nv --bind "$PWD" "$image" "$@"']),
        ("nvcr.io#nvidia/pytorch:26.01-py3", ["--container-image='nvcr.io#nvidia/pytorch:26.01-py3'"]),
    ],
)
@pytest.mark.parametrize("launcher", ["srun", "accelerate"])
def test_a_container_is_between_srun_and_python(container: str, lines: list[str], launcher: str) -> None:
    text = render(make_job({}, {"container": container, "launcher": launcher}), training())
    if launcher == "accelerate":
        lines = [line.replace('"$image" "$@"', '"$image" "$1" -m accelerate.commands.launch') for line in lines]
    for line in lines:
        assert line in text


@pytest.mark.parametrize("launcher", ["srun", "accelerate"])
@pytest.mark.parametrize("gpus", [0, 8])
@pytest.mark.parametrize("chain", [1, 3])
@pytest.mark.parametrize("nodes", [1, 4])
def test_every_kind_of_script_is_a_shell_script(launcher: str, gpus: int, chain: int, nodes: int) -> None:
    given = {"launcher": launcher, "gpus_per_node": gpus, "chain": chain, "nodes": nodes, "env_setup": "module load x"}
    text = render(make_job({}, given), training())
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("ACCELERATE_USE_CPU" in text) == (gpus == 0)
    assert ("--no-requeue" in text) == (chain > 1)


def test_own_options_are_quoted_as_sbatch_reads_them_and_cannot_become_lines() -> None:
    assert '#SBATCH --comment="my job"\n' in render(make_job({}, {"sbatch": ("--comment=my job",)}), training())
    with pytest.raises(GanforgeError, match="leave out line ends"):
        render(make_job({}, {"constraint": "a\nrm -rf x"}), training())


def test_a_chain_is_ended_by_all_its_numbers() -> None:
    text = render(make_job({}, {"chain": 2}), training(folder="runs/a b"))
    assert "End it for good:  scancel $(cat 'runs/a b'/slurm/chain)" in text
