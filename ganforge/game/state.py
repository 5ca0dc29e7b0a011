"""What the parts of a game remember, under the names of their components."""

from collections.abc import Mapping
from typing import Any, Protocol


class Stateful(Protocol):
    """A part of the game that remembers something."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Any, /) -> Any: ...


def named_state(name: str, part: Stateful) -> dict[str, Any]:
    """What a part remembers, with the name of its component."""
    return {"name": name, "state": part.state_dict()}


def load_named_state(name: str, part: Stateful, saved: Mapping[str, Any]) -> None:
    """Restore it, unless another component has taken its place (`--allow-changed`), which then starts fresh."""
    if saved["name"] == name:
        part.load_state_dict(saved["state"])
