"""What a step asks of the host, in counts, which no other load on the machine changes: files, tensors, functions."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn

import ganforge
from ganforge.parallel.replicated import ReplicatedEngine
from ganforge.parallel.signals import StopRequest
from ganforge.telemetry.progress import ProgressDisplay
from ganforge.training.between_steps.doctor import Watch
from ganforge.training.loop import alternate
from ganforge.training.run import Run
from ganforge.training.saving.saver import Saver

STEPS = 96
"""Counted, after as many: no less than what happens once in a number of steps, to its share."""
FILES = {"stat", "lstat", "fstat", "scandir", "listdir", "open", "open_code", "access", "readlink"}
"""What Python's own functions, an import's look-up among them, call of the system."""
MOST_FUNCTIONS = 165
"""Of ganforge in a step, besides those of the networks; they were 150 when this was written."""
PACKAGE = f"{Path(ganforge.__file__).parent}/"
GAMES: dict[str, dict[str, Any]] = {
    "ring2d": {},
    "celeba64": {
        "data": {"name": "digits", "size": 32},
        "generator": {"name": "dcgan", "width": 4, "latent_dim": 100, "latent_distribution": "uniform"},
        "discriminator": {"name": "dcgan", "width": 4},
        "training": {"batch_size": 2},
    },
}


class Counts:
    """Calls between `begin` and `end`, of Python functions by their code and of others by name."""

    def __init__(self) -> None:
        self.functions: Counter[CodeType] = Counter()
        self.files: Counter[str] = Counter()
        self.tensors = 0

    def begin(self) -> None:
        sys.setprofile(self._note)

    def end(self) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            self.functions[frame.f_code] += 1
        elif event == "c_call":
            name = getattr(called, "__name__", "")
            if called is torch.tensor and frame.f_code.co_filename.startswith(PACKAGE):  # Adam makes one a step itself
                self.tensors += 1
            elif name in FILES and getattr(called, "__module__", None) in ("posix", "_io"):
                caller = frame.f_back.f_code.co_qualname if frame.f_back else ""
                self.files[f"{name} in {frame.f_code.co_qualname} of {caller}"] += 1


class Enough(Exception):
    """As many steps as are counted."""


class CountingDisplay(ProgressDisplay):
    """Counts from the end of one step to that of another, so whole turns of the loop."""

    def __init__(self) -> None:
        super().__init__(None, start=0, total=10**9)
        self.counts = Counts()
        self._steps = 0

    def advance(self, images: int) -> None:
        super().advance(images)
        self._steps += 1
        if self._steps == STEPS:
            self.counts.begin()
        elif self._steps == 2 * STEPS:
            self.counts.end()
            raise Enough


@pytest.fixture(params=GAMES)
def counts(request: pytest.FixtureRequest, make_recipe: Callable[..., Any]) -> Counts:
    """Of `STEPS` steps of the loop."""
    changes = GAMES[request.param]
    training = {"steps": 1000, "log_every": 1000, **changes.get("training", {})}
    run = Run.build(make_recipe(**{**changes, "training": training}))
    run.folder.mkdir(parents=True)
    display, stop = CountingDisplay(), StopRequest(run.accelerator)
    saver = Saver(run, display.say)
    try:
        with pytest.raises(Enough):
            alternate(run, None, display, saver, stop, Watch(run, None, display))
    finally:
        sys.setprofile(None)
        saver.close()
    return display.counts


def test_a_step_asks_for_no_file_and_looks_for_no_package(counts: Counts) -> None:
    assert not counts.files


def test_a_step_makes_no_tensor_of_host_values_and_calls_few_functions(counts: Counts) -> None:
    assert counts.tensors <= 0.1 * STEPS, "what a step needs is made for many at once"
    ours = Counter({code: calls for code, calls in counts.functions.items() if _is_ours(code)})
    a_step = ours.total() / STEPS
    most = "\n".join(f"{calls / STEPS:6.2f} {code.co_qualname}" for code, calls in ours.most_common(20))
    assert a_step <= MOST_FUNCTIONS, f"{a_step:.0f} functions of ganforge a step, most often\n{most}"
    foreign = [code for code in counts.functions if "/accelerate/" in code.co_filename]
    calls = sum(counts.functions[code] for code in foreign) / STEPS
    assert calls <= 1, "Accelerate stands beside the step, not in it"


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(PACKAGE) and not code.co_filename.startswith(f"{PACKAGE}models")


def test_accelerates_own_wrapper_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The counting itself: Accelerate's optimizer looks for packages in each step."""
    accelerator, network = Accelerator(cpu=True), nn.Linear(2, 2)
    engine = ReplicatedEngine(accelerator, network, torch.optim.SGD(network.parameters(), lr=0.1))
    wrapped = accelerator.prepare_optimizer(torch.optim.SGD(network.parameters(), lr=0.1))
    seen = []
    for optimizer in (engine._optimizer, wrapped):
        counts = Counts()
        counts.begin()
        optimizer.step()
        counts.end()
        seen.append(counts.files)
    assert not seen[0]
    assert seen[1]
