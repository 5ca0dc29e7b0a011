"""ganforge from Python: train a recipe, and judge whatever makes samples."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganforge.building.evaluator import DEFAULT_EXTRACTOR, build_evaluator
from ganforge.building.parts import build_dataset
from ganforge.data.dataset import Dataset
from ganforge.data.picture_folder import PictureFolder
from ganforge.errors import GanforgeError
from ganforge.evaluation.reals import find_reals, recipe_without_run
from ganforge.evaluation.saved import Evaluated
from ganforge.game.latents import IndexedLatents
from ganforge.game.networks import Generator, latent_dim_of, latent_distribution_of
from ganforge.metrics.best import Best
from ganforge.nested import as_toml
from ganforge.parallel.start import borrowed_processes, make_accelerator
from ganforge.recipe import Recipe, load, override, resolve
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import TrainedGenerator, load_generator
from ganforge.saved.newest import newest_checkpoint
from ganforge.spec import DataSpec
from ganforge.training.saving.resume import Resume
from ganforge.training.session import run_session

Samples = Tensor | np.ndarray
AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Trained:
    """The outcome of a training run.

    Args:
        folder: the run folder.
        exit_code: 0 finished; 130 saved after Ctrl-C, 85 after SIGTERM; the same call resumes.
        step: alternations trained.
        best: the best evaluation, if there was one.
    """

    folder: Path
    exit_code: int
    step: int
    best: Best | None

    def generator(self, device: torch.device | str = "cpu") -> TrainedGenerator:
        """The averaged generator: the best, else the last."""
        return load_generator(self.folder, device)


def train(
    recipe: AnyPath | Mapping[str, Any] | Recipe,
    overrides: Sequence[str] = (),
    *,
    resume: Resume = "auto",
    restart: bool = False,
    allow_changed: bool = False,
    init_from: AnyPath | None = None,
    init_what_fits: bool = False,
) -> Trained:
    """Train a recipe in its run folder, or resume where it stopped: what `ganforge train` does.

    Args:
        recipe: a file, the name of a recipe that comes with ganforge, tables as a dict, or a resolved recipe.
        overrides: such as `"training.steps=100"`, as `--set` has them.
        resume: `auto` resumes if the run folder has a checkpoint, `must` fails without one, `never` fails with one.
        restart: start from scratch, and move the contents of the run folder aside.
        allow_changed: resume even if the recipe has changed in a way that alters training.
        init_from: a run folder whose weights a new run starts from.
        init_what_fits: take only those of these weights that fit.

    Raises:
        GanforgeError: an error that the caller can fix, described in a line or two.
    """
    resolved = _resolved(recipe, overrides)
    with borrowed_processes():
        exit_code = run_session(
            resolved,
            resume=resume,
            restart=restart,
            allow_changed=allow_changed,
            init_from=None if init_from is None else Path(init_from),
            init_what_fits=init_what_fits,
        )
    state = newest_checkpoint(resolved.folder).state
    best = Best(**state["best"]) if state["best"] else None
    return Trained(resolved.folder, exit_code, state["step"], best)


def _resolved(recipe: AnyPath | Mapping[str, Any] | Recipe, overrides: Sequence[str]) -> Recipe:
    if isinstance(recipe, Recipe):
        return resolve(override(recipe.to_dict(), overrides), recipe.name) if overrides else recipe
    if isinstance(recipe, Mapping):
        return resolve(override(as_toml(dict(recipe)), overrides))
    return load(os.fspath(recipe), overrides)


def evaluate(
    sampler: Callable[[int], Samples] | Callable[[range], Samples] | nn.Module,
    dataset: AnyPath | Dataset,
    metrics: str | Sequence[str | Mapping[str, Any]] = ("fid",),
    *,
    num: int = 10_000,
    num_reals: int = 0,
    by_index: bool = False,
    extractor: str | Mapping[str, Any] | None = None,
    weights: AnyPath | None = None,
    seed: int = 0,
    cache_dir: AnyPath | None = None,
) -> Evaluated:
    """Compute metrics of any sampler against real samples: what `ganforge evaluate` does for a run.

    `ganforge.evaluate(lambda count: generate(count), "data/faces64", ["fid", "kid"]).figures["fid"]`

    Args:
        sampler: called with a count, gives as many samples: float `(count, *shape)`, pictures in [-1, 1]. Or a module
            with an attribute `latent_dim`, such as `load_generator` returns: it is given latents of `seed`, and labels.
        dataset: a dataset's name, a packed dataset, a recipe whose data it is, a folder of pictures, or a Dataset.
        metrics: names, or tables with options as in a recipe.
        num: samples to look at.
        num_reals: real samples to compare with, evenly spaced; 0 for all.
        by_index: `sampler` is called with a `range` of indices instead, and gives the samples of these: then the
            figures are the same on any number of processes.
        extractor: what turns pictures into features, a name or a table; by default Inception, as in papers.
        weights: file of the extractor's weights; by default they are fetched once.
        seed: seed of a module's latents.
        cache_dir: folder for weights and statistics of the real samples; by default the user's cache folder.

    Raises:
        GanforgeError: an error that the caller can fix, described in a line or two.
    """
    tables = recipe_without_run()
    reals = dataset if isinstance(dataset, Dataset) else find_reals(os.fspath(dataset))
    if not isinstance(reals, Dataset):
        tables["data"] = dict(reals)
    if cache_dir is not None:
        tables["data"]["cache_dir"] = os.fspath(cache_dir)
    tables["evaluation"] = {
        "metrics": [metrics] if isinstance(metrics, str) else as_toml(list(metrics)),
        "num_fakes": num,
        "num_reals": num_reals,
    }
    if extractor is not None or weights is not None:
        chosen = {"name": extractor or DEFAULT_EXTRACTOR} if not isinstance(extractor, Mapping) else dict(extractor)
        tables["evaluation"]["extractor"] = as_toml({**chosen, **({"weights": weights} if weights else {})})
    recipe = resolve(tables, "ganforge.evaluate")
    data = reals if isinstance(reals, Dataset) else build_dataset(recipe)
    with borrowed_processes():
        accelerator = make_accelerator("auto")
        name = getattr(sampler, "__qualname__", type(sampler).__qualname__)
        evaluator = build_evaluator(
            recipe,
            data,
            accelerator,
            fakes={"sampler": name, **({"seed": seed} if _takes_latents(sampler) else {})},
            reals=_described(reals),
        )
        assert evaluator is not None
        figures = evaluator(_indexed(sampler, data, accelerator.device, by_index, seed))
        is_main = accelerator.is_main_process
    seconds = figures.pop("seconds")
    return Evaluated(name, figures, evaluator.protocol.to_dict(), seconds, is_main)


def _described(reals: dict[str, Any] | Dataset) -> dict[str, Any] | None:
    """The real samples as the protocol describes them; None where the recipe's table does."""
    if isinstance(reals, PictureFolder):
        return {"dataset": "pictures"}
    return {"dataset": type(reals).__name__} if isinstance(reals, Dataset) else None


def _takes_latents(sampler: object) -> bool:
    return isinstance(sampler, nn.Module) and isinstance(sampler, Generator)


def _indexed(
    sampler: Any, dataset: Dataset, device: torch.device, by_index: bool, seed: int
) -> Callable[[range], Tensor]:
    """Samples by index, checked, on the device that the metrics are computed on."""
    spec = dataset.spec
    of_latents = _from_latents(sampler, dataset, seed) if _takes_latents(sampler) else None

    def sample(indices: range) -> Tensor:
        made = of_latents(indices) if of_latents else sampler(indices if by_index else len(indices))
        made = torch.as_tensor(made)
        _check_samples(made, (len(indices), *spec.shape), spec)
        return made.to(device)

    return sample


def _from_latents(network: nn.Module, dataset: Dataset, seed: int) -> Callable[[range], Tensor]:
    """Sample a module as a run's evaluations sample its generator; it is in evaluation mode meanwhile."""
    config, num_classes = getattr(network, "config", None), dataset.spec.num_classes
    counts = config.class_counts if isinstance(config, GeneratorConfig) else dataset.class_counts
    device = next(network.parameters()).device
    draw = IndexedLatents(seed, latent_dim_of(network), latent_distribution_of(network), num_classes, device, counts)

    def make(indices: range) -> Tensor:
        was_training = network.training
        try:
            return network.eval()(*draw("evaluation", 0, indices))
        finally:
            network.train(was_training)

    return make


def _check_samples(made: Tensor, shape: tuple[int, ...], spec: DataSpec) -> None:
    """Refuse samples whose figures would mean something else.

    Raises:
        GanforgeError: the samples have another shape, are integers, or are pictures outside [-1, 1].
    """
    if tuple(made.shape) != shape:
        raise GanforgeError(f"the sampler gave samples of shape {tuple(made.shape)}, real ones are {shape}")
    if not made.is_floating_point():
        raise GanforgeError(f"the sampler gave {made.dtype}; give floats in [-1, 1], such as pixels / 127.5 - 1")
    if spec.is_image and made.abs().max() > FAR_OUTSIDE:
        raise GanforgeError(f"the sampler gave values up to {float(made.abs().max()):g}; pictures are in [-1, 1] here")
    if spec.is_image and len(made) > 1 and made.min() >= 0:
        warnings.warn("no sample has a value below 0; pictures are in [-1, 1] here, not in [0, 1]", stacklevel=2)


FAR_OUTSIDE = 10.0
"""Values beyond this are refused: generators without a tanh leave [-1, 1] by a little, pixels from 0 to 255 by far."""
