"""What makes the source of a translation from its target, on the device."""

from ganforge.degradations.base import Degradation, Degradations

__all__ = ["Degradation", "Degradations"]
