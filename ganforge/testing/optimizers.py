"""Optimizers: they learn, and continue after a checkpoint exactly as without one."""

import copy
import io

import pytest
import torch
from torch import nn

from ganforge.registry import Component
from ganforge.testing.small import options_of

every_optimizer = pytest.mark.ganforge_components("optimizer")


def start(component: Component) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2 * 4, 1))
    return network, component.build(options_of(component), params=list(network.parameters()))


def step(network: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> list[float]:
    pictures = torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    target = pictures.mean((1, 2, 3))[:, None]
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = (network(pictures) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@every_optimizer
def test_it_lowers_a_loss_and_keeps_weights_finite(component: Component) -> None:
    network, optimizer = start(component)
    before = copy.deepcopy(network.state_dict())
    losses = step(network, optimizer, 30)
    assert losses[-1] < losses[0]
    assert all(weight.isfinite().all() for weight in network.parameters())
    assert any(not torch.equal(weight, before[name]) for name, weight in network.named_parameters())


@every_optimizer
def test_it_has_a_learning_rate_that_warm_up_and_decay_can_move(component: Component) -> None:
    network, optimizer = start(component)
    assert all(isinstance(group["lr"], float) for group in optimizer.param_groups)
    for group in optimizer.param_groups:
        group["lr"] *= 0.5
    step(network, optimizer, 1)


@every_optimizer
def test_it_goes_on_after_a_checkpoint_as_if_nothing_had_been(component: Component) -> None:
    network, optimizer = start(component)
    step(network, optimizer, 3)
    file = io.BytesIO()
    torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    again, other = start(component)
    again.load_state_dict(state["network"])
    other.load_state_dict(state["optimizer"])
    assert step(network, optimizer, 3) == step(again, other, 3)
