"""The engine calls optimizer, loss and gradient scaler itself: what it trains is what Accelerate's own calls train."""

import copy
import math
from importlib import util

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from ganforge.game.engine import Limits
from ganforge.parallel.replicated import ReplicatedEngine

OVERFLOWS = (0.0, 0.0, math.inf, 0.0, 0.0, 0.0)
"""What is added to the loss of each step, times a weight."""


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


def scaled_accelerator() -> Accelerator:
    """With a scaler as under fp16, which on a CPU Accelerate leaves out."""
    accelerator = Accelerator(cpu=True)
    accelerator.scaler = GradScaler("cpu", init_scale=16.0, growth_interval=2)
    return accelerator


def loss_of(network: nn.Module, step: int) -> Tensor:
    inputs = torch.randn(3, 4, generator=torch.Generator().manual_seed(step))
    return network(inputs).pow(2).mean() + OVERFLOWS[step] * next(network.parameters()).sum()


@pytest.mark.parametrize("clip_norm", [0.0, 0.1])
def test_a_scaler_steps_skips_and_scales_as_in_accelerates_own_calls(network, clip_norm):
    theirs, accelerator = copy.deepcopy(network), scaled_accelerator()
    optimizer = accelerator.prepare_optimizer(torch.optim.Adam(theirs.parameters(), lr=0.1))
    accelerator.native_amp, accelerator.state._mixed_precision = True, "fp16"  # or it would not unscale
    engine = ReplicatedEngine(scaled_accelerator(), network, torch.optim.Adam(network.parameters(), lr=0.1))
    skipped = []
    for step in range(len(OVERFLOWS)):
        accelerator.backward(loss_of(theirs, step))
        if clip_norm:
            accelerator.unscale_gradients()
            nn.utils.clip_grad_norm_(theirs.parameters(), clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        before = copy.deepcopy(network.state_dict())
        engine.backward(loss_of(network, step))
        engine.step(Limits(clip_norm=clip_norm), list(network.parameters()))
        skipped.append(all(torch.equal(before[name], weight) for name, weight in network.state_dict().items()))
        assert skipped[-1] == optimizer.step_was_skipped  # pyright: ignore[reportAttributeAccessIssue]
        for mine, their in zip(network.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(mine, their)
            assert mine.grad is None
        assert accelerator.scaler is not None
        assert engine.state_dict()["scaler"] == accelerator.scaler.state_dict()
    assert skipped == [math.isinf(added) for added in OVERFLOWS]


def test_a_step_without_a_scaler_looks_for_no_packages(network, monkeypatch):
    engine = ReplicatedEngine(Accelerator(cpu=True), network, torch.optim.Adam(network.parameters(), lr=0.1))
    sought: list[str] = []
    find_spec = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name, package=None: (sought.append(name), find_spec(name))[1])
    before = copy.deepcopy(network.state_dict())
    engine.backward(loss_of(network, 0))
    engine.step(Limits(), list(network.parameters()))
    assert not any(torch.equal(before[name], weight) for name, weight in network.state_dict().items())
    assert not sought


def test_an_accelerator_that_divides_losses_is_still_asked_to(network):
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=4)
    engine = ReplicatedEngine(accelerator, network, torch.optim.SGD(network.parameters(), lr=1.0))
    weight = next(network.parameters())
    engine.backward(loss_of(network, 0))
    divided = weight.grad
    assert divided is not None
    weight.grad = None
    loss_of(network, 0).backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, 4 * divided)
    engine.step(Limits(), list(network.parameters()))
    assert weight.grad is None
