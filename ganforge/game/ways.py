"""Two networks that one player holds, there and back (CycleGAN, Zhu et al. 2017)."""

from typing import Any, Literal

from torch import Tensor, nn

from ganforge.game.turn import HasNetwork, Network

WayName = Literal["there", "back"]
WAYS: tuple[WayName, WayName] = ("there", "back")
"""From the source to the target, and from the target to the source."""


class BothWays(nn.Module):
    """The networks of both ways as one module, so that one optimizer, one engine and one average hold them.

    Args:
        there: from the source to the target, or for samples of the target.
        back: from the target to the source, or for samples of the source.
    """

    def __init__(self, there: nn.Module, back: nn.Module) -> None:
        super().__init__()
        self.there = there
        self.back = back

    def forward(self, way: WayName, *inputs: Any) -> Tensor:
        """One way's network of its own inputs."""
        return self.of(way)(*inputs)

    def of(self, way: WayName) -> nn.Module:
        """One way's network."""
        return self.there if way == "there" else self.back


class Way:
    """One way's network of a player, called as the player is: wrapped in its own turn, bare and frozen in the other's.

    Args:
        player: whose network is `BothWays`.
        name: of the way.
    """

    def __init__(self, player: Network, name: WayName) -> None:
        assert isinstance(player, HasNetwork)
        assert isinstance(player.network, BothWays)
        self.name: WayName = name
        self.network = player.network.of(name)
        self._call: Network = player

    def __call__(self, *inputs: Any) -> Tensor:
        return self._call(self.name, *inputs)
