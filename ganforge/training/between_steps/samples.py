"""The sample grid."""

import numpy as np
from torch import Tensor

from ganforge.data.samples import real_samples
from ganforge.files import replaced
from ganforge.grid import picture_of, side_by_side
from ganforge.telemetry.progress import ProgressDisplay
from ganforge.telemetry.tracking import Tracking
from ganforge.training.run import Run
from ganforge.training.saving.saver import Saver


def show_samples(run: Run, tracking: Tracking | None, display: ProgressDisplay, saver: Saver) -> None:
    """A grid of the averaged generator, always from the same latents. A full disk costs the picture, not the run."""
    with run.statistics.for_evaluation():
        if tracking is None:
            return
        samples = run.game.sample("samples", range(run.recipe.samples.num))
        if run.networks.source is not None:
            samples = _beside_sources(run, samples)
    reals = None
    if not run.dataset.spec.is_image:
        reals = real_samples(run.dataset, np.arange(min(len(run.dataset), 1000)))
    picture = picture_of(samples, reals, has_alpha=run.dataset.spec.has_alpha)
    path = run.files.sample_grid(run.step)
    try:
        saver.require_folder()
        path.parent.mkdir(exist_ok=True)
        with replaced(path) as temporary:
            picture.save(temporary, format="PNG")
    except OSError as error:
        display.cannot_write(run.files.samples.name, error.strerror or str(error))
    tracking.picture(run.step, "samples", picture)


def _beside_sources(run: Run, samples: Tensor) -> Tensor:
    """Each translation to the right of its source, and to the left of its target where there is one."""
    indices = range(run.recipe.samples.num)
    sources, _ = run.game.inputs("samples", 0, indices)
    targets = run.game.targets("samples", indices)
    return side_by_side([sources, samples, *([] if targets is None else [targets])])
