"""Two real processes over gloo, as the tests of components start them."""

from ganforge.testing.processes import DDP, PRELOADED, launch_two

__all__ = ["DDP", "PRELOADED", "launch_two"]
