import os
import subprocess
import sys
from pathlib import Path

import pytest
from cluster.throwaway_slurm import is_installed


@pytest.mark.soak
def test_a_job_that_is_preempted_killed_and_requeued_at_random_loses_nothing() -> None:
    if not is_installed():
        if os.environ.get("CI"):
            pytest.fail("slurm not installed, and .ci/run should have done it")
        pytest.skip("slurm not installed")
    script = Path(__file__).parent / "cluster_loop.py"
    done = subprocess.run([sys.executable, str(script), "--rounds", "3"], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "round 2" in done.stdout
    assert "the same run, bit for bit" in done.stdout
