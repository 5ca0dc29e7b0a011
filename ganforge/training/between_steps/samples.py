"""The sample grid."""

import numpy as np

from ganforge.data.samples import real_samples
from ganforge.files import replaced
from ganforge.grid import picture_of
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
    reals = None
    if not run.dataset.spec.is_image:
        reals = real_samples(run.dataset, np.arange(min(len(run.dataset), 1000)))
    picture = picture_of(samples, reals)
    path = run.files.sample_grid(run.step)

    def write() -> None:
        try:
            saver.require_folder()
            path.parent.mkdir(exist_ok=True)
            with replaced(path) as temporary:
                picture.save(temporary, format="PNG")
        except OSError as error:
            display.cannot_write(run.files.samples.name, error.strerror or str(error))

    saver.write_later(write)
    tracking.picture(run.step, "samples", picture)
