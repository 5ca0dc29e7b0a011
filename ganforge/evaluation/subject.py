"""What `ganforge evaluate` is given: a generator in a run, a checkpoint or a file, or pictures that somebody made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ganforge.data.picture_folder import PictureFolder
from ganforge.data.samples import real_samples
from ganforge.errors import GanforgeError
from ganforge.metrics.generated import Generated, SamplesByIndex
from ganforge.run_files import CHECKPOINTS, CheckpointFolder, RunFolder
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import find_generator, load_generator
from ganforge.saved.indexed import latents_of
from ganforge.spec import DataSpec


@dataclass(frozen=True)
class Subject:
    """What is to be judged.

    Args:
        name: for people.
        origin: for the protocol.
        generator: in evaluation mode; None if there are only pictures.
        pictures: that somebody made; None if there is a generator.
        config: of the generator.
        run: the run folder that it belongs to, if it does.
    """

    name: str
    origin: dict[str, Any]
    generator: nn.Module | None = None
    pictures: PictureFolder | None = None
    config: GeneratorConfig | None = None
    run: Path | None = None

    @property
    def spec(self) -> DataSpec:
        """What its samples look like."""
        source = self.config or self.pictures
        assert source is not None
        return source.spec

    def sampler(self, device: torch.device) -> SamplesByIndex:
        """Samples by index; of a generator, those that its run looked at in training."""
        if self.pictures is not None:
            folder = self.pictures
            return lambda indices: real_samples(folder, np.arange(indices.start, indices.stop)).to(device)
        network, config = self.generator, self.config
        assert network is not None
        assert config is not None
        draw = latents_of(network.to(device), config)
        return Generated(
            lambda indices: network(*draw("evaluation", 0, indices)), lambda indices: draw("evaluation", 0, indices)
        )


def find_subject(target: Path) -> Subject:
    """A run folder, a checkpoint, a generator file, or a folder of pictures.

    Raises:
        GanforgeError: it is none of them.
    """
    if CheckpointFolder(target).state.is_file():
        return _checkpoint(target)
    files = RunFolder(target)
    if target.is_file() or files.recipe.is_file() or files.generators():
        path = find_generator(target)
        network = load_generator(path)
        config = network.config
        run = path.parent if RunFolder(path.parent).recipe.is_file() else None
        origin = {"generator": path.name, "step": config.step, "seed": config.seed}
        return Subject(str(path), origin, generator=network, config=config, run=run)
    if target.is_dir():
        pictures = PictureFolder(target)
        return Subject(str(target), {"pictures": pictures.digest}, pictures=pictures)
    raise GanforgeError(f"{target}: there is no such run, checkpoint, generator file or folder of pictures")


def _checkpoint(path: Path) -> Subject:
    """The averaged generator of a checkpoint."""
    network = load_generator(path)
    config = network.config
    origin = {"generator": f"{CHECKPOINTS}/{path.name}", "step": config.step, "seed": config.seed}
    return Subject(str(path), origin, generator=network, config=config, run=path.resolve().parent.parent)
