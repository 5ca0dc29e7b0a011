"""Meters keep values for a while: what comes out is what adding each when it comes gives, bit for bit."""

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from ganforge.telemetry.meters import PENDING, Meters

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


def some(step: int, *shape: int) -> Tensor:
    return 10 * torch.randn(shape, generator=torch.Generator().manual_seed(step))


def gather(meters: Meters, steps: range) -> dict[str, float]:
    """Losses in every step, a penalty in some; returns the means of a loop that adds each value when it comes."""
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for step in steps:
        terms = {"loss": some(step), **({"r1": some(-step - 1)} if step % 3 == 0 else {})}
        logits = {"real": some(step, 37), "fake": some(step + 1, 37)}
        meters.add("discriminator", terms, logits)
        figures = {
            **terms,
            "logits_real": logits["real"].mean(),
            "logits_fake": logits["fake"].mean(),
            "accuracy_real": (logits["real"] > 0).float().mean(),
            "accuracy_fake": (logits["fake"] < 0).float().mean(),
        }
        for name, value in figures.items():
            sums[name] = sums[name] + value if name in sums else value.clone()
            counts[name] = counts.get(name, 0) + 1
    return {f"discriminator/{name}": float(total / counts[name]) for name, total in sums.items()}


@pytest.mark.parametrize("steps", [1, PENDING, 3 * PENDING + 5])
@pytest.mark.parametrize("pending", [1, PENDING])
def test_means_are_those_of_adding_each_value_when_it_comes(accelerator, monkeypatch, steps, pending):
    monkeypatch.setattr("ganforge.telemetry.meters.PENDING", pending)
    meters = Meters(CPU)
    for interval in range(2):  # the second begins anew
        expected = gather(meters, range(interval, interval + steps))
        assert meters.reduce(accelerator) == expected
    assert meters.reduce(accelerator) == {}


def test_a_checkpoint_in_the_middle_of_an_interval_changes_nothing(accelerator):
    whole, saved, resumed = (Meters(CPU) for _ in range(3))
    expected = gather(whole, range(50))
    gather(saved, range(17))
    state = saved.state_dict()
    assert state["counts"]["discriminator/loss"] == 17
    gather(resumed, range(3))  # forgotten when a state is loaded
    resumed.load_state_dict(state)
    gather(resumed, range(17, 50))
    assert resumed.reduce(accelerator) == whole.reduce(accelerator) == expected


def test_half_precision_adds_up_in_single(accelerator):
    meters = Meters(CPU)
    for _ in range(100):
        meters.add("generator", {"loss": torch.tensor(1.0, dtype=torch.float16)}, {})
    meters.add("generator", {"loss": torch.tensor(60_000.0, dtype=torch.float16)}, {})
    meters.add("generator", {"loss": torch.tensor(60_000.0, dtype=torch.float16)}, {})
    assert meters.reduce(accelerator)["generator/loss"] == pytest.approx(120_100 / 102)
