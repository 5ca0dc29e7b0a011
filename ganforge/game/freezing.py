"""FreezeD: the discriminator's first blocks keep the weights that they begin with (Mo, Cho and Shin 2020).

What tells strokes from noise in one dataset does so in another, so that fine-tuning on few pictures loses less of it.
Frozen parameters are those without `requires_grad` from before the optimizer and the wrapper are made: the optimizer
keeps no state of them, and ranks exchange no gradients for them.
"""

from typing import Protocol, runtime_checkable

from torch import nn

from ganforge.game.packed import PackedDiscriminator
from ganforge.wording import counted


@runtime_checkable
class HasBlocks(Protocol):
    """A discriminator whose first blocks can be frozen."""

    def blocks_from_samples(self) -> list[tuple[nn.Module, ...]]:
        """The modules of each block, in the order in which a sample passes them; what ends in the logit is left out."""
        ...


def freeze_first_blocks(discriminator: nn.Module, count: int) -> None:
    """Freeze the first `count` blocks.

    Raises:
        ValueError: it has fewer blocks, or does not say what they are.
    """
    network = discriminator.network if isinstance(discriminator, PackedDiscriminator) else discriminator
    if not isinstance(network, HasBlocks):
        raise ValueError("does not say what its blocks are (no method blocks_from_samples); set it to 0")
    blocks = network.blocks_from_samples()
    if count > len(blocks):
        raise ValueError(f"has {counted(len(blocks), 'block')} before its last layers, not {count}")
    for block in blocks[:count]:
        for module in block:
            module.requires_grad_(False)


def frozen_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that training leaves as they are, by name. Not to be asked while a player rests, as all of it does."""
    return {name: weight for name, weight in network.named_parameters() if not weight.requires_grad}
