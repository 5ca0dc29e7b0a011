"""Least squares: logits are pulled to targets instead of being classified."""

from torch import Tensor

from ganforge.game.objective import Objective
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.objectives.targets import FlipProbability, targets_like
from ganforge.registry import register


@register.objective("lsgan")
class LeastSquares(Objective):
    """Squared distance of the logits from targets (LSGAN, Mao et al. 2017, equation 2).

    D minimises `E[(D(x) - b)^2] / 2 + E[(D(G(z)) - a)^2] / 2` and G minimises `E[(D(G(z)) - c)^2] / 2`, where a, b and
    c are the three targets. The defaults are the paper's 0-1 coding (equation 9). With `b - c = 1` and `b - a = 2`, as
    in `real_target = 1, fake_target = -1, generator_target = 0` (equation 8), G minimises Pearson's chi-squared
    divergence. Smoothed labels are targets too: `real_target = 0.9`.

    Args:
        real_target: b, where D wants logits of real pictures.
        fake_target: a, where D wants logits of fake pictures; below `real_target`.
        generator_target: c, where G wants logits of its pictures; above `fake_target`.
        flip: probability that D is given the other target for a sample; 0 in the paper.

    Raises:
        ValueError: targets that make both players want the same, or the opposite.
    """

    def __init__(
        self,
        *,
        real_target: float = 1.0,
        fake_target: float = 0.0,
        generator_target: float = 1.0,
        flip: FlipProbability = 0.0,
    ) -> None:
        for name, target in (("real_target", real_target), ("generator_target", generator_target)):
            if target <= fake_target:
                raise ValueError(f"{name} ({target}) must be larger than fake_target ({fake_target})")
        self.real_target = real_target
        self.fake_target = fake_target
        self.generator_target = generator_target
        self.flip = flip
        self.has_boundary_at_zero = real_target + fake_target == 0

    def discriminator_loss(self, turn: Turn) -> Tensor:
        real, fake = at_least_float32(turn.real_logits), at_least_float32(turn.fake_logits)
        real_targets = targets_like(real, self.real_target, self.fake_target, self.flip)
        fake_targets = targets_like(fake, self.fake_target, self.real_target, self.flip)
        return 0.5 * (real - real_targets).square().mean() + 0.5 * (fake - fake_targets).square().mean()

    def generator_loss(self, turn: Turn) -> Tensor:
        return 0.5 * (at_least_float32(turn.fake_logits) - self.generator_target).square().mean()
