"""All augmentations of a recipe as one module, whether they are plain modules or watch the game."""

from collections.abc import Callable, Sequence
from functools import cached_property

from torch import Tensor, nn

from ganforge.augment.base import Augmentation


class Augmentations(nn.Sequential):
    """The recipe's augmentations in their order; none leaves the samples as they are."""

    @cached_property
    def watching(self) -> Sequence[tuple[int, Augmentation]]:
        """Augmentations that look at more than samples, with their places in the recipe."""
        return [(index, step) for index, step in enumerate(self) if isinstance(step, Augmentation)]

    def observe(self, real_logits: Tensor) -> None:
        for _, step in self.watching:
            step.observe(real_logits)

    def adapt(self, average: Callable[[Tensor], Tensor], step: int, batch_size: int) -> None:
        for _, watcher in self.watching:
            watcher.adapt(average, step, batch_size)

    def figures(self) -> dict[str, Tensor]:
        """Scalars for the log by `augment.N/name`, on the device."""
        return {
            f"{index}/{name}": value for index, watcher in self.watching for name, value in watcher.figures().items()
        }
