"""The sample grid."""

import numpy as np

from ganforge.data.samples import real_samples
from ganforge.files import replaced
from ganforge.grid import picture_of
from ganforge.training.run import Run
from ganforge.training.telemetry.tracking import Tracking


def show_samples(run: Run, tracking: Tracking | None) -> None:
    """A grid of the averaged generator, always from the same latents."""
    with run.statistics.for_evaluation():
        if tracking is None:
            return
        samples = run.game.sample("samples", range(run.recipe.samples.num))
    reals = None
    if not run.dataset.spec.is_image:
        reals = real_samples(run.dataset, np.arange(min(len(run.dataset), 1000)))
    picture = picture_of(samples, reals)
    path = run.folder / "samples" / f"step-{run.step:08d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as temporary:
        picture.save(temporary, format="PNG")
    tracking.picture(run.step, "samples", picture)
