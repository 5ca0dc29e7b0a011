"""Penalties on a player's weights themselves.

Every rank has the same weights and computes the same penalty, so averaging over ranks leaves it unchanged.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils import parametrize

from ganforge.game.effective import Scaled, effective_parameters
from ganforge.game.penalty import Penalty, Strength
from ganforge.game.turn import Role, Turn
from ganforge.registry import register

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""torch's norms: of batches, instances, groups, layers."""


def decayed(network: nn.Module, everything: bool) -> list[Tensor]:
    """The parameters that a decay is for, as their layers use them: matrices and kernels, or all that learn.

    Gains and biases are left out, since pulling those to zero would not make the network smoother. A bias has one
    dimension; the gains of a norm may have any number, as those of each class have in `ConditionalBatchNorm`, so all
    that lies in a norm is left out: in one of torch's, or in a module that says of itself `is_norm = True`.
    """
    learning = [(parameter, used) for parameter, used in effective_parameters(network) if parameter.requires_grad]
    if everything:
        return [used for _, used in learning]
    of_norms = {
        parameter
        for module in network.modules()
        if isinstance(module, NORMS) or getattr(module, "is_norm", False)
        for parameter in module.parameters()
    }
    return [used for parameter, used in learning if parameter.dim() > 1 and parameter not in of_norms]


def total(terms: list[Tensor], network: nn.Module) -> Tensor:
    """The sum of scalars; 0 on the network's device if no parameter is penalised."""
    return torch.stack(terms).sum() if terms else next(network.parameters()).new_zeros(())


class _WeightDecay(Penalty):
    sees_real = False
    reads_weights = True

    def __init__(self, *, player: Role, rate: float, everything: bool) -> None:
        self.player = player
        self.rate = rate
        self.everything = everything


@register.penalty("weight_decay_l1")
class WeightDecayL1(_WeightDecay):
    """Sum of absolute weights, `rate * sum |w|`, which makes small weights zero (lasso, Tibshirani 1996).

    Args:
        player: whose weights.
        rate: strength.
        everything: biases and the parameters of norms as well, those of classes among them.
    """

    def __init__(self, *, player: Role = "discriminator", rate: Strength = 1e-5, everything: bool = False) -> None:
        super().__init__(player=player, rate=rate, everything=everything)

    def __call__(self, turn: Turn) -> Tensor:
        parameters = decayed(turn.module, self.everything)
        return self.rate * total([parameter.abs().sum() for parameter in parameters], turn.module)


@register.penalty("weight_decay_l2")
class WeightDecayL2(_WeightDecay):
    """Half the sum of squared weights, `rate / 2 * sum w^2`: weight decay in the loss (Krogh and Hertz 1992).

    Adam scales its gradient like any other; for decay decoupled from the gradient use the option `weight_decay` of the
    optimizer `adamw`.

    Args:
        player: whose weights.
        rate: strength; its gradient is `rate * w`.
        everything: biases and the parameters of norms as well, those of classes among them.
    """

    def __init__(self, *, player: Role = "discriminator", rate: Strength = 1e-4, everything: bool = False) -> None:
        super().__init__(player=player, rate=rate, everything=everything)

    def __call__(self, turn: Turn) -> Tensor:
        parameters = decayed(turn.module, self.everything)
        return 0.5 * self.rate * total([parameter.square().sum() for parameter in parameters], turn.module)


@register.penalty("orthogonal")
class Orthogonal(Penalty):
    """Squared inner products of a layer's different filters (Brock et al. 2017; 2019, section 3.1).

    `rate * sum over layers of |W W^T * (1 - I)|^2`, squared and summed over entries, where each row of W is what one
    output of a linear layer or convolution reads. Leaving out the diagonal keeps the filters' lengths free. With
    spectral norm it looks at the weights before they are normalised.

    This is the paper's formula. The authors' PyTorch code writes no loss but adds `2 rate (W W^T * (1 - I)) W` to the
    gradient, which is half of this one's: `rate = 5e-5` is their 1e-4. The table of classes is left out, as there.

    Args:
        player: whose weights; the paper's is the generator, where it makes truncated latents work.
        rate: strength, beta; 1e-4 in the paper.
    """

    sees_real = False
    reads_weights = True

    def __init__(self, *, player: Role = "generator", rate: Strength = 1e-4) -> None:
        self.player = player
        self.rate = rate

    def __call__(self, turn: Turn) -> Tensor:
        return self.rate * total([_overlap(filters) for filters in filters_of(turn.module)], turn.module)


def filters_of(network: nn.Module) -> Iterator[Tensor]:
    """For each linear layer and convolution that learns its weights as used, `(outputs, what each reads)`."""
    for module in network.modules():
        if isinstance(module, Scaled):
            if (scaled := module.effective("weight")).requires_grad:
                yield scaled.flatten(1)
            continue
        if not isinstance(module, nn.Linear | _ConvNd):
            continue
        # Reading a weight under spectral norm would advance its power iteration.
        is_made = parametrize.is_parametrized(module, "weight")
        weight = module.parametrizations["weight"].original if is_made else module.weight  # type: ignore[index]
        if weight.requires_grad:
            yield (weight.transpose(0, 1) if isinstance(module, _ConvTransposeNd) else weight).flatten(1)


def _overlap(filters: Tensor) -> Tensor:
    """Sum of squared inner products of different rows, in the weights' own precision."""
    with torch.autocast(filters.device.type, enabled=False):
        products = filters @ filters.T
    return (products - products.diagonal().diag()).square().sum()
