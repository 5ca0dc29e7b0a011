"""Terms beside the objective, one family a file."""

from ganforge.penalties.base import Penalty

__all__ = ["Penalty"]
