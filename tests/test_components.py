"""Every component that comes with ganforge passes the tests that plugins are offered."""

from ganforge.testing.augmentations import *  # noqa: F403
from ganforge.testing.degradations import *  # noqa: F403
from ganforge.testing.documented import *  # noqa: F403
from ganforge.testing.losses import *  # noqa: F403
from ganforge.testing.networks import *  # noqa: F403
from ganforge.testing.optimizers import *  # noqa: F403
from ganforge.testing.two_ranks import *  # noqa: F403
