"""From a resolved recipe to the parts of a run. Only here are components made."""

from typing import Any

from accelerate import Accelerator

from ganforge.building.performance import has_channels_last
from ganforge.data.dataset import Dataset
from ganforge.data.loader import Loader
from ganforge.data.windows import Windowed
from ganforge.errors import Problem, RecipeError
from ganforge.game.augmentations import Augmentations
from ganforge.game.schedule import Schedule
from ganforge.loader_options import LoaderOptions
from ganforge.parallel.start import local_world_size
from ganforge.recipe import Recipe
from ganforge.registry import Kind, register
from ganforge.spec import DataSpec
from ganforge.tables import ComponentTable
from ganforge.variables import unset_in


def build_component(recipe: Recipe, kind: Kind, table: ComponentTable, path: str, **offers: Any) -> Any:
    """Make one component; what its own checks refuse becomes a problem of the recipe.

    Raises:
        RecipeError: the component says that its options, or what it is offered, do not fit.
    """
    try:
        return kind.get(table.name).build(table, **offers)
    except ValueError as error:
        raise RecipeError(recipe.name, [Problem(path, f"{kind.name} '{table.name}': {error}")]) from error


def build_dataset(recipe: Recipe) -> Dataset:
    """The recipe's real samples.

    Raises:
        RecipeError: the path of a saved recipe has a variable that is not set here.
        DataError: there is no such data.
    """
    if unset := unset_in(getattr(recipe.data, "path", "")):
        text = f"the environment variable {unset[0]} is not set; set it, or write a path"
        raise RecipeError(recipe.name, [Problem("data.path", text)])
    dataset = build_component(recipe, register.dataset, recipe.data, "data", **dataset_offers(recipe))
    return windowed(dataset, recipe.data.cut)


def windowed(dataset: Dataset, cut: tuple[int, int] | None) -> Dataset:
    """The dataset, or the windows that are cut out of its pictures.

    Raises:
        DataError: the pictures have no such windows.
    """
    return dataset if cut is None else Windowed(dataset, cut)


def dataset_offers(recipe: Recipe) -> dict[str, Any]:
    """What datasets may take of a recipe beside their own options."""
    return {"cache_dir": recipe.cache_dir, "cache_limit_bytes": recipe.loader.cache_limit_bytes}


def build_augmentation(recipe: Recipe, spec: DataSpec) -> Augmentations:
    """All augmentations in the order of the recipe, as one module.

    Args:
        recipe: whose.
        spec: what the discriminator is shown: samples, or samples beside their sources.
    """
    steps = [
        build_component(recipe, register.augment, table, f"augment.{index}", spec=spec)
        for index, table in enumerate(recipe.augment)
    ]
    return Augmentations(*steps)


def build_schedule(recipe: Recipe) -> Schedule:
    return build_component(recipe, register.schedule, recipe.schedule, "schedule")


def build_loader(
    recipe: Recipe,
    dataset: Dataset,
    accelerator: Accelerator,
    *,
    options: LoaderOptions | None = None,
    seed: int | None = None,
) -> Loader:
    """Endless batches of a dataset.

    Args:
        recipe: says the batch size, and how its `[data]` is read.
        dataset: to read.
        accelerator: for the device and the ranks.
        options: how to read another dataset than that of `[data]`.
        seed: of its order; by default the recipe's.
    """
    return Loader(
        dataset,
        batch_size=recipe.training.batch_size,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
        seed=recipe.seed if seed is None else seed,
        device=accelerator.device,
        options=options or recipe.loader,
        cache_dir=recipe.cache_dir,
        local_rank=accelerator.local_process_index,
        local_world_size=local_world_size(),
        channels_last=_takes_channels_last(recipe, accelerator),
    )


def _takes_channels_last(recipe: Recipe, accelerator: Accelerator) -> bool:
    """Whether reals go straight into convolutions, and those are channels-last: they would lay the reals out so anyway.

    Augmentations and penalties look at reals themselves, and round their sums in the order of the layout.
    """
    goes_straight = not recipe.augment and not recipe.penalties
    return goes_straight and has_channels_last(recipe.performance, accelerator.device, accelerator.mixed_precision)
