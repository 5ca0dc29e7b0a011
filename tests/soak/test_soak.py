import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.soak
@pytest.mark.parametrize(("times", "processes"), [(10, 1), (4, 2)])
def test_kills_at_random_moments_lose_nothing(times, processes):
    script = Path(__file__).parent / "kill_loop.py"
    done = subprocess.run(
        [sys.executable, str(script), "--times", str(times), "--processes", str(processes)],
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same run, bit for bit" in done.stdout
