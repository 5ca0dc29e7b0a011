"""What the command line and a site's file may say."""

from pathlib import Path

import pytest

from ganforge.cluster.job import make_job, site_defaults, site_file
from ganforge.errors import GanforgeError


def site(folder: Path, text: str) -> Path:
    path = folder / "slurm.toml"
    path.write_text(text)
    return path


def test_the_command_line_goes_before_the_site_and_sbatch_options_add_up(tmp_path: Path) -> None:
    defaults = site_defaults(site(tmp_path, 'partition = "gpu"\ngpus_per_node = 8\nsbatch = ["--exclusive"]\n'))
    job = make_job(defaults, {"nodes": 4, "partition": "debug", "account": None, "sbatch": ["--mem=0"]})
    assert (job.partition, job.gpus_per_node, job.account) == ("debug", 8, None)
    assert job.ranks == 32
    assert job.sbatch == ("--exclusive", "--mem=0")


def test_without_a_site_file_there_are_no_defaults(tmp_path: Path) -> None:
    assert site_defaults(tmp_path / "slurm.toml") == {}


def test_the_site_file_lies_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert site_file() == tmp_path / "ganforge" / "slurm.toml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert site_file() == Path("/home/somebody/.config/ganforge/slurm.toml")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('partion = "gpu"', "slurm.toml: partion: unknown key (did you mean 'partition'?)"),
        ('nodes = "4"', 'slurm.toml: nodes: must be a whole number, not the string "4"'),
        ("gpus_per_node = -1", "slurm.toml: gpus_per_node: must be at least 0"),
        ('time = "one day"', "slurm.toml: time: must be a time such as 24:00:00"),
        ('launcher = "mpirun"', "slurm.toml: launcher: must be one of 'srun', 'accelerate'"),
        ('sbatch = ["mem=0"]', "slurm.toml: sbatch.0: must match"),
        ("nodes = ", "slurm.toml: cannot be read as TOML"),
    ],
)
def test_a_wrong_site_file_names_file_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(GanforgeError) as error:
        site_defaults(site(tmp_path, text))
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"nodes": 0}, "--nodes: must be at least 1"),
        ({"gpus_per_node": 8, "tasks_per_node": 4}, "--tasks-per-node 4: with GPUs there is one process a GPU, 8 here"),
        ({"accelerate_config": "zero2.yaml"}, "--accelerate-config: only `accelerate launch` reads it"),
        ({"time": "tomorrow"}, "--time: must be a time"),
    ],
)
def test_a_wrong_option_is_named(given: dict, complaint: str) -> None:
    with pytest.raises(GanforgeError) as error:
        make_job({}, given)
    assert complaint in str(error.value)


@pytest.mark.parametrize("time", ["90", "90:30", "24:00:00", "1-12", "1-12:30:00"])
def test_times_as_slurm_writes_them(time: str) -> None:
    assert make_job({}, {"time": time}).time == time
