"""Terms beside the objective, one family a file."""

from ganforge.game.penalty import Penalty

__all__ = ["Penalty"]
