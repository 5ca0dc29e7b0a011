"""What holds for every registered penalty, on the networks of a recipe."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from turns import turn_of

from ganforge.game.turn import Turn
from ganforge.penalties import Penalty
from ganforge.registry import register
from ganforge.spec import DataSpec

OF_TRANSLATIONS = ("cycle", "identity", "pixel")
"""What only a translation has: tested in `tests/training/test_translation.py`, and by `ganforge.testing`."""

every = pytest.mark.parametrize(
    "component",
    [component for component in register.penalty.loaded() if component.name not in OF_TRANSLATIONS],
    ids=lambda component: component.name,
)


class Half(nn.Module):
    """A network as accelerate runs it: inside in bf16, float32 without."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Any) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.network(*inputs).float()


def turn_with_networks(player: Any, sees_real: bool) -> tuple[Turn, dict[str, nn.Module]]:
    """Pictures of 16x16 and a small DCGAN, the resting network frozen."""
    torch.manual_seed(1)  # D has these on the right side, where lecam looks
    networks = {}
    for kind, options in ((register.discriminator, {"norm": "none", "init_std": 0.1}), (register.generator, {})):
        component = kind.get("dcgan")
        network = component.build(component.check({"width": 4, **options}), spec=DataSpec((3, 16, 16)))
        networks[kind.name] = Half(network).requires_grad_(kind.name == player)
    real = torch.rand(4, 3, 16, 16) * 2 - 1
    turn = turn_of(player, real if sees_real else None, torch.randn(4, 100), **networks)
    turn.step = 100_000  # so late that a term which waits for its first steps to pass has begun
    return turn, networks


@every
def test_in_bf16_it_is_a_float32_scalar_that_teaches_its_own_player_alone(component: Any) -> None:
    penalty = component.build(component.options())
    assert isinstance(penalty, Penalty)
    turn, networks = turn_with_networks(penalty.player, penalty.sees_real)
    value = penalty(turn)
    assert (value.shape, value.dtype) == ((), torch.float32)
    assert value > 0
    value.backward()
    for role, network in networks.items():
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        assert bool(gradients) == (role == penalty.player)
        assert all(gradient.isfinite().all() for gradient in gradients)


@every
def test_an_option_that_is_changed_while_training_is_the_one_that_counts(component: Any) -> None:
    """Ramps set attributes under the names of options."""
    penalty = component.build(component.options())
    turn, _ = turn_with_networks(penalty.player, penalty.sees_real)
    strengths = [name for name in ("gamma", "strength", "rate", "real") if name in component.options.model_fields]
    (strength,) = strengths
    torch.manual_seed(0)
    before = penalty(turn)
    for name in component.options.model_fields:
        assert getattr(penalty, name) == getattr(component.options(), name)
    for name in {strength, "fake"} & set(component.options.model_fields):
        setattr(penalty, name, 2 * getattr(penalty, name))
    torch.manual_seed(0)
    torch.testing.assert_close(penalty(turn), 2 * before)


@every
def test_what_it_remembers_comes_back(component: Any) -> None:
    penalty = component.build(component.options())
    turn, _ = turn_with_networks(penalty.player, penalty.sees_real)
    penalty(turn)
    again = component.build(component.options())
    again.load_state_dict(penalty.state_dict())
    torch.manual_seed(0)
    value = penalty(turn)
    torch.manual_seed(0)
    assert again(turn) == value
