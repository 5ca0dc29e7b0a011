"""The doctor's share of the time of a training: `python tests/bench/doctor_cost.py recipes/ring2d.toml [STEPS]`.

Times every call of the probe and of the doctor in one real training, so the share does not depend on what else the
machine does. On a GPU the calls only enqueue work; compare images/s with and without `health.watch` there.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from ganforge.recipe import load
from ganforge.training.between_steps.doctor import Watch
from ganforge.training.session import run_session
from ganforge.training.telemetry.probe import Probe


def measure(recipe: str, *steps: str) -> str:
    """Train in a temporary folder and say what the doctor took."""
    spent = 0.0

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal spent
            begin = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                spent += time.perf_counter() - begin

        return call

    for owner, name in ((Probe, "look"), (Probe, "distance_of_average"), (Watch, "look")):
        setattr(owner, name, timed(getattr(owner, name)))
    with tempfile.TemporaryDirectory() as folder:
        resolved = load(recipe, [f"output={folder}", *(f"training.steps={count}" for count in steps)])
        begin = time.perf_counter()
        run_session(resolved)
        total = time.perf_counter() - begin
    return f"{resolved.name}: {spent:.2f} of {total:.1f} s, {spent / total:.2%}"


if __name__ == "__main__":
    print(measure(*sys.argv[1:]))
