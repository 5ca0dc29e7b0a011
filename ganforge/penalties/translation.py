"""What holds a translation to its target, or to its source."""

from torch import Tensor

from ganforge.game.penalty import Penalty, Strength
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.registry import register


@register.penalty("pixel")
class Pixel(Penalty):
    """Mean absolute distance of each translation from its target, which G minimises (Isola et al. 2017, equation 3).

    `strength * E|G(x) - y|`, over all pixels and channels. Alone it makes blurred pictures, since the median of all
    that the target may be costs least; the objective decides among them. Of games whose sources belong to targets.

    Args:
        strength: multiplies the distance; 100 in the paper, 0.01 of an objective that weighs 0.005 in ESRGAN (Wang et
            al. 2018, equation 3), hence 1 or 2 for super-resolution.
    """

    player = "generator"
    needs_pairs = True

    def __init__(self, *, strength: Strength = 100.0) -> None:
        self.strength = strength

    def __call__(self, turn: Turn) -> Tensor:
        return self.strength * _distance(turn.fake, turn.real)


@register.penalty("cycle")
class Cycle(Penalty):
    """There and back again must lead to where one was (Zhu et al. 2017, equation 2).

    `strength * E|F(G(x)) - x|` for each of the two ways, over all pixels and channels. Its presence gives the game two
    ways: each player holds a network from sources to targets and one from targets to sources. Costs a forward of the
    other way's generator.

    Args:
        strength: multiplies the distance; 10 in the paper.
    """

    player = "generator"
    sees_real = False
    goes_back = True

    def __init__(self, *, strength: Strength = 10.0) -> None:
        self.strength = strength

    def __call__(self, turn: Turn) -> Tensor:
        assert turn.back is not None
        return self.strength * _distance(turn.back.generator(turn.fake, None), turn.source)


@register.penalty("identity")
class Identity(Penalty):
    """What is a target already must stay as it is (Zhu et al. 2017, section 5.2, "photo generation from paintings").

    `strength * E|G(y) - y|`, over all pixels and channels, for each way of a game with two. It keeps colours, and so it
    forbids what changes them: G must do nothing to a target and something to a source, so it can only do what it can
    tell both apart for, and at first it cannot. Of digits and inverted digits, networks with it never found the
    inversion, in four trainings of four, at a tenth of this strength either; without it, in all four. Leave it out
    where targets should differ from sources in colour or brightness. Costs a forward of G.

    Args:
        strength: multiplies the distance; 5 in the authors' code, half of that of `cycle`.
    """

    player = "generator"
    needs_equal_sides = True

    def __init__(self, *, strength: Strength = 5.0) -> None:
        self.strength = strength

    def __call__(self, turn: Turn) -> Tensor:
        return self.strength * _distance(turn.generator(turn.real, None), turn.real)


def _distance(one: Tensor, other: Tensor) -> Tensor:
    return (at_least_float32(one) - at_least_float32(other)).abs().mean()
