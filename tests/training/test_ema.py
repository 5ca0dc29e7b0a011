import copy
from typing import Any

import pytest
import torch
from torch import nn

from ganforge.game.averaged import AveragedGenerator


def make(half_life: float, rampup: float = 0.0) -> tuple[Any, Any]:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    return network, AveragedGenerator(network, half_life=half_life, rampup=rampup)


def test_after_one_half_life_in_images_half_of_the_way_is_gone():
    network, averaged = make(half_life=1000)
    start = averaged.network[0].weight.clone()
    with torch.no_grad():
        network[0].weight.add_(1.0)
    for step in range(10):
        averaged.update(network, images=(step + 1) * 100, batch=100)
    torch.testing.assert_close(averaged.network[0].weight, start + 0.5)


def test_the_half_life_does_not_depend_on_the_batch_size():
    results = []
    for batch in (10, 250):
        torch.manual_seed(0)
        network, averaged = make(half_life=500)
        with torch.no_grad():
            network[0].weight.mul_(3.0)
        for images in range(batch, 1001, batch):
            averaged.update(network, images=images, batch=batch)
        results.append(averaged.network[0].weight.clone())
    torch.testing.assert_close(*results)


def test_rampup_bounds_the_half_life_by_a_share_of_the_images_so_far():
    _, averaged = make(half_life=10_000, rampup=0.05)
    assert averaged.decay(images=2000, batch=100) == pytest.approx(0.5)
    assert averaged.decay(images=10**9, batch=10_000) == pytest.approx(0.5)


def test_a_half_life_of_zero_follows_exactly():
    network, averaged = make(half_life=0)
    with torch.no_grad():
        network[0].weight.add_(1.0)
    averaged.update(network, images=10, batch=10)
    assert torch.equal(averaged.network[0].weight, network[0].weight)


def test_the_average_has_no_gradients_and_stays_in_evaluation_mode():
    _, averaged = make(half_life=10)
    assert not averaged.network.training
    assert not any(parameter.requires_grad for parameter in averaged.network.parameters())


def test_running_statistics_are_averaged_and_counters_are_copied():
    network, averaged = make(half_life=100)
    network[1].running_mean.fill_(1.0)
    network[1].num_batches_tracked.fill_(5)
    averaged.update(network, images=100, batch=100)
    torch.testing.assert_close(averaged.network[1].running_mean, torch.full((4,), 0.5))
    assert averaged.network[1].num_batches_tracked == 5


class Replacing(nn.Module):
    """Puts a new tensor in the place of its buffer, as plugins may."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(2))
        self.layer = nn.Linear(2, 2)
        self.same_layer = self.layer


def test_a_buffer_that_is_replaced_is_followed_and_shared_weights_are_averaged_once():
    network: Any = Replacing()
    averaged = AveragedGenerator(network, half_life=100, rampup=0.0)
    average: Any = averaged.network
    start = copy.deepcopy(average)
    for value in (1.0, 2.0):
        network.mean = torch.full((2,), value)
        averaged.update(network, images=100, batch=100)
        assert torch.equal(average.mean, network.mean)
    with torch.no_grad():
        network.layer.weight.add_(1.0)
    averaged.update(network, images=100, batch=100)
    torch.testing.assert_close(average.layer.weight, start.layer.weight + 0.5)


def test_another_generator_is_followed_when_it_is_given():
    network, averaged = make(half_life=0)
    averaged.update(network, images=10, batch=10)
    other, _ = make(half_life=0)
    averaged.update(other, images=10, batch=10)
    assert torch.equal(averaged.network[0].weight, other[0].weight)
