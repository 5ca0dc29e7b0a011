"""The tables of a recipe that name a component. No option may have the name of one of their own keys."""

from typing import Annotated, Literal

from pydantic import Field

from ganforge.loader_options import LoaderOptions
from ganforge.options import OptionsModel

Count = Annotated[int, Field(ge=0, le=10**15)]
Positive = Annotated[int, Field(ge=1, le=10**15)]


class ComponentTable(OptionsModel):
    """A component by its name; its own options stand in the same table.

    Args:
        name: name of the component, as in `ganforge list`.
    """

    name: str


class DiscriminatorTable(ComponentTable):
    """A discriminator, and how many samples it judges at once.

    Args:
        packing: samples that are joined along their channels and given one logit (PacGAN, Lin et al. 2018); that a
            generator loses modes shows sooner in several samples than in one.
        sees_source: whether it is shown each sample beside what it was made of, as further channels (Isola et al. 2017,
            section 3.1); of games whose sources belong to targets.
    """

    packing: Annotated[int, Field(ge=1, le=1024)] = 1
    sees_source: bool = False


class PenaltyTable(ComponentTable):
    """A penalty, its weight, and how often it is computed.

    Args:
        weight: what it is multiplied by in the loss.
        interval: computed only in every n-th turn of its player, and scaled by n to compensate (Karras et al. 2020).
    """

    weight: float = 1.0
    interval: Positive = 1


class DataTable(ComponentTable, LoaderOptions):
    """Where samples come from, and how they are read.

    Args:
        cache_dir: folder for packed and fetched data; by default `ganforge` in the user's cache folder.
    """

    cache_dir: str | None = None


class OptimizerTable(ComponentTable):
    """An optimizer, its learning-rate schedule, and the limits on its steps.

    Args:
        warmup: steps in which the learning rate rises linearly from 0.
        decay: after warm-up it stays constant (`none`), or falls to 0 at the run's last step, linearly or along half a
            cosine.
        constant: share of the steps after warm-up in which it stays constant before it decays; 0.5 in pix2pix and
            CycleGAN (Isola et al. 2017; Zhu et al. 2017).
        clip_norm: largest Euclidean norm of all the player's gradients together (Pascanu et al. 2013); longer ones are
            scaled down to it. 0 for no limit.
        clip_value: largest absolute value of one entry of a gradient; 0 for no limit.
        clip_weights: after each update every weight is clamped to this absolute value, as WGAN's critic wants it
            (Arjovsky et al. 2017, algorithm 1: 0.01); 0 for no limit.
    """

    warmup: Count = 0
    decay: Literal["none", "linear", "cosine"] = "none"
    constant: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    clip_value: Annotated[float, Field(ge=0)] = 0.0
    clip_weights: Annotated[float, Field(ge=0)] = 0.0
