"""`ganforge bench data`: how fast each reader is on the user's own shards."""

from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.data import CACHE, CacheDir


def bench_data(
    target: Annotated[str, typer.Argument(help="A recipe, a packed folder, tars, or urls of shards.")],
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in a batch; a recipe's own by default.")] = 0,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to measure each reader.")] = 3.0,
    device: Annotated[str, typer.Option(help="cpu or cuda; by default the accelerator if there is one.")] = "",
    cache_dir: CacheDir = CACHE,
) -> None:
    """Measure every reader on your data, and say which one `auto` takes."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from ganforge.data.benchmark import Speed, bench
    from ganforge.data.loader import Loader

    cache = cache_dir.expanduser()
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dataset, options, own_batch = _open(target, cache)
    batch = batch_size or own_batch or 128
    table = Table("reader", "images/s", "images per CPU-s", "uint8 rows per CPU-s", "first batch after")
    reasons = []
    for result in bench(dataset, batch, place, cache, seconds, options):
        if not isinstance(result, Speed):
            reasons.append(str(result))
            continue
        rows = f"{result.rows_per_cpu_second:,.0f}" if result.rows_per_cpu_second else "-"
        table.add_row(
            result.reader,
            f"{result.images_per_second:,.0f}",
            f"{result.images_per_cpu_second:,.0f}",
            rows,
            f"{result.start_seconds:.2f} s",
        )
    console = Console(highlight=False, width=None)
    console.print(f"{target}: {len(dataset):,} samples, {dataset.spec}, codec {dataset.codec}; batch {batch} on {place}")
    console.print(table)
    for reason in reasons:
        console.print(reason, style="dim", markup=False)
    loader = Loader(dataset, batch_size=batch, options=options, device=place, cache_dir=cache)
    console.print(f"auto takes: {loader.describe()}", markup=False)
    loader.close()


def _open(target: str, cache: Path):  # noqa: ANN202 - a dataset, options or None, and a batch size or 0
    """What a recipe or a place names."""
    from ganforge.data.options import LoaderOptions
    from ganforge.data.shards import shards

    if not target.endswith(".toml"):
        return shards(cache, path=target), None, 0
    from ganforge.recipe import component_of, load
    from ganforge.registry import register

    recipe = load(target)
    dataset = component_of(register.dataset, recipe.data).build(recipe.data, cache_dir=cache)
    options = LoaderOptions(**{name: getattr(recipe.data, name) for name in LoaderOptions.model_fields})
    return dataset, options.model_copy(update={"reader": "auto"}), recipe.training.batch_size


