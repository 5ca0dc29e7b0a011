"""Two networks that one player holds, there and back (CycleGAN, Zhu et al. 2017)."""

from typing import Any, Literal, Protocol

from torch import Tensor, nn

from ganforge.game.turn import HasNetwork

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


class CallableWithNetwork(HasNetwork, Protocol):
    """What a player is to a way."""

    def __call__(self, *inputs: Any) -> Tensor:
        """The player's network, wrapped or bare."""
        ...


class Way:
    """One way's network of a player, called as the player is: wrapped in its own turn, bare and frozen in the other's.

    Args:
        player: whose network is `BothWays`.
        name: of the way.
    """

    def __init__(self, player: CallableWithNetwork, name: WayName) -> None:
        assert isinstance(player.network, BothWays)
        self.name: WayName = name
        self.network = player.network.of(name)
        self._player = player

    def __call__(self, *inputs: Any) -> Tensor:
        return self._player(self.name, *inputs)
