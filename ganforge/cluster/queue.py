"""What SLURM knows about jobs; nothing where there is no SLURM."""

import subprocess
from collections.abc import Iterable

UNKNOWN = "unknown"
PATIENCE = 20
"""Seconds that SLURM may take to answer."""


def job_states(numbers: Iterable[str]) -> dict[str, str]:
    """The state of each job, such as `RUNNING` or `PENDING (Priority)`; `unknown` for what SLURM has forgotten."""
    wanted = sorted(set(numbers))
    states = dict.fromkeys(wanted, UNKNOWN)
    for number in wanted:  # one by one: squeue refuses a whole list for one job that it has forgotten
        lines = _lines("squeue", "--noheader", "--states=all", "--format=%T|%r", f"--jobs={number}")
        if not lines:
            lines = _lines("sacct", "--noheader", "--allocations", "--parsable2", "--format=State", f"--jobs={number}")
        if lines:
            state, _, reason = lines[-1].partition("|")
            waits = state == "PENDING" and reason not in ("", "None")
            states[number] = f"{state} ({reason})" if waits else state
    return states


def _lines(*command: str) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []
