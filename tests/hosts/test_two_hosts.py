"""Two hosts with addresses of their own train one recipe; the cable is pulled and put back."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts.namespaces import Host, two_hosts
from same_run import assert_same_run

from ganforge.parallel.heartbeat import BEATS, DEFAULT_SECONDS

ROOT = Path(__file__).parents[2]
TIMEOUT = 20


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    if sys.platform != "linux":
        pytest.skip("network namespaces are Linux's")
    try:
        with two_hosts() as pair:
            yield pair
    except PermissionError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{error}; run as root on Linux with iproute2")


def launch(hosts: tuple[Host, Host], folder: Path, name: str) -> list[subprocess.Popen[str]]:
    """`accelerate launch --num_machines 2` on both, as a person would type it on each."""
    ranks = []
    for rank, host in enumerate(hosts):
        command = [
            sys.executable, "-m", "accelerate.commands.launch",
            "--config_file", str(ROOT / "launch/accelerate/cpu2x1.yaml"),
            "--machine_rank", str(rank), "--main_process_ip", hosts[0].address,
            "-m", "ganforge", "train", str(ROOT / "recipes/ring2d.toml"),
            "--set", f"name={name}", "--set", f"output={folder / 'runs'}",
            "--set", "training.steps=500", "--set", "training.log_every=25", "--set", "checkpoint.every=50",
            "--set", "samples.every=0", "--set", "evaluation.every=250",
        ]  # fmt: skip
        variables = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "GANFORGE_HOST_TIMEOUT": str(TIMEOUT)}
        ranks.append(host.start(command, variables, str(folder / f"{name}-{rank}.log")))
    return ranks


def finish(ranks: list[subprocess.Popen[str]], seconds: float) -> list[int]:
    end = time.monotonic() + seconds
    try:
        return [rank.wait(timeout=max(1.0, end - time.monotonic())) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()


def said(folder: Path, name: str, rank: int) -> str:
    """The one line of the log that is ganforge's last word."""
    lines = (folder / f"{name}-{rank}.log").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("ganforge: ")]
    return line


def steps(folder: Path) -> list[int]:
    path = folder / "metrics.jsonl"
    return [json.loads(line)["step"] for line in path.read_text().splitlines()] if path.exists() else []


def test_a_lost_host_is_noticed_within_two_minutes_without_any_setting() -> None:
    assert DEFAULT_SECONDS * (1 + 3 / BEATS) < 100  # the silence, the round it is found in, the time to tell the others


@pytest.mark.soak
def test_a_host_that_is_cut_off_ends_the_job_by_name_and_both_go_on_when_it_is_back(
    hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "broken"
    ranks = launch(hosts, tmp_path, "broken")
    deadline = time.monotonic() + 90
    while 100 not in steps(folder):
        assert time.monotonic() < deadline, (tmp_path / "broken-0.log").read_text()
        assert all(rank.poll() is None for rank in ranks), (tmp_path / "broken-0.log").read_text()
        time.sleep(0.05)
    hosts[1].cut_off()
    pulled = time.monotonic()
    codes = finish(ranks, 110)
    assert time.monotonic() - pulled < 2 * TIMEOUT + 30
    assert all(codes), "both ended, and neither thinks that it is done"
    assert 500 not in steps(folder)
    assert f"rank 0 on worker-0 stops: nothing was heard of rank 1 on worker-1 for {TIMEOUT} s" in said(
        tmp_path, "broken", 0
    )
    assert f"rank 1 on worker-1 stops: nothing was heard of rank 0 on worker-0 for {TIMEOUT} s" in said(
        tmp_path, "broken", 1
    )

    hosts[1].reconnect()
    assert finish(launch(hosts, tmp_path, "broken"), 120) == [0, 0], (tmp_path / "broken-0.log").read_text()
    log = (tmp_path / "broken-0.log").read_text()
    assert "resumed from" in log
    assert "2 processes" in log
    assert finish(launch(hosts, tmp_path, "unbroken"), 120) == [0, 0]
    assert_same_run(folder, tmp_path / "runs" / "unbroken")
