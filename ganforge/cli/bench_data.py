"""`ganforge bench data`: how fast each reader is on the user's own shards."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli.data import CACHE, CacheDir

if TYPE_CHECKING:
    from ganforge.data.dataset import Dataset
    from ganforge.loader_options import LoaderOptions


def bench_data(
    target: Annotated[str, typer.Argument(help="A recipe, a packed folder, tars, or urls of shards.")],
    batch_size: Annotated[int, typer.Option(min=0, help="Samples in a batch; 0 for the recipe's own, or 128.")] = 0,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to measure each reader.")] = 3.0,
    device: Annotated[str, typer.Option(help="cpu or cuda; by default the accelerator if there is one.")] = "",
    cache_dir: CacheDir = CACHE,
) -> None:
    """Measure every reader on your data, and show which one `auto` takes."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from ganforge.bench.data import Speed, bench
    from ganforge.data.loader import Loader

    cache = cache_dir.expanduser()
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dataset, options, own_batch = _open(target, cache)
    batch = batch_size or own_batch or 128
    table = Table("reader", "images/s", "images per CPU-s", "stored rows per CPU-s", "first batch after")
    reasons = []
    for result in bench(dataset, batch, place, cache, seconds, options):
        if not isinstance(result, Speed):
            reasons.append(str(result))
            continue
        table.add_row(
            result.reader,
            f"{result.images_per_second:,.0f}",
            f"{result.images_per_cpu_second:,.0f}",
            f"{result.rows_per_cpu_second:,.0f}",
            f"{result.start_seconds:.2f} s",
        )
    console = Console(highlight=False)
    console.print(
        f"{target}: {len(dataset):,} samples, {dataset.spec}, codec {dataset.codec}; batch {batch} on {place}"
    )
    console.print(table)
    for reason in reasons:
        console.print(reason, style="dim", markup=False)
    loader = Loader(dataset, batch_size=batch, options=options, device=place, cache_dir=cache)
    console.print(f"auto takes: {loader.describe()}", markup=False)
    loader.close()


def _open(target: str, cache: Path) -> "tuple[Dataset, LoaderOptions | None, int]":
    """What a recipe or a place names, its loader options, and its batch size, 0 without a recipe."""
    from ganforge.data.shards.registered import shards
    from ganforge.recipe_names import names_recipe

    if not target.endswith(".toml") and not names_recipe(target):
        return shards(cache, path=target), None, 0
    from ganforge.recipe import load
    from ganforge.registry import register

    recipe = load(target)
    dataset = register.dataset.get(recipe.data.name).build(
        recipe.data, cache_dir=cache, cache_limit_bytes=recipe.loader.cache_limit_bytes
    )
    return dataset, recipe.loader.model_copy(update={"reader": "auto"}), recipe.training.batch_size
