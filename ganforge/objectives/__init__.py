"""What each player wants: losses on the discriminator's logits, one family a file."""

from ganforge.game.objective import Objective

__all__ = ["Objective"]
