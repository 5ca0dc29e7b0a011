"""`ganforge data`: pack, inspect, verify, index, export."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.flags import with_flags
from ganforge.files import user_cache
from ganforge.wording import counted

app = typer.Typer(name="data", no_args_is_help=True, help="Pack pictures into shards and look after them.")

_SHEET_BYTES = 64 * 1024 * 1024 * 3
"""Of pixels on a contact sheet: 64 pictures of 1024x1024, fewer of larger ones."""
CACHE = user_cache()
CacheDir = Annotated[
    Path,
    typer.Option(
        "--cache-dir",
        help="Folder for fetched shards and indexes.",
        show_default="ganforge in the user's cache folder",
    ),
]


class HowToFit(StrEnum):
    """How pictures of other proportions are fitted."""

    CROP = "crop"
    PAD = "pad"
    STRETCH = "stretch"


class Crop(StrEnum):
    """Which part is cut."""

    CENTER = "center"
    CELEBA = "celeba"
    NONE = "none"


class Depth(StrEnum):
    """What values are stored as."""

    AUTO = "auto"
    UINT8 = "uint8"
    UINT16 = "uint16"
    FLOAT32 = "float32"


class Half(StrEnum):
    """Of pictures that hold two side by side."""

    LEFT = "left"
    RIGHT = "right"


class Codec(StrEnum):
    """How samples are stored."""

    AUTO = "auto"
    RAW = "raw"
    PNG = "png"
    JPEG = "jpeg"
    KEEP = "keep"


@app.command()
def pack(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, zip, tar, npy or npz; digits; torchvision:CIFAR10?root=data&split=train; hf:owner/name; "
            "urls of shards."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="New folder for the shards.")],
    size: Annotated[str, typer.Option(help="64, or 64x48 for height x width; by default the first picture's.")] = "",
    fit: Annotated[
        HowToFit, typer.Option(help="Other proportions: cut, add a border in the colour of the edge, or squeeze.")
    ] = HowToFit.CROP,
    crop: Annotated[
        Crop, typer.Option(help="What is cut: largest centred part, aligned CelebA's usual square, nothing (squeeze).")
    ] = Crop.CENTER,
    codec: Annotated[Codec, typer.Option(help="auto: raw up to 64 pixels; above, untouched or PNG.")] = Codec.AUTO,
    shard_size: Annotated[str, typer.Option(help="Size of a shard, such as 128MB.")] = "128MB",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 for one a core.")] = 0,
    channels: Annotated[
        int,
        typer.Option(min=0, help="1 grey, 3 RGB, 4 with alpha, or all of an array's; 0 grey or RGB, as they are."),
    ] = 0,
    limit: Annotated[int, typer.Option(min=0, help="Only the first N pictures.")] = 0,
    max_bad: Annotated[str, typer.Option(help="Unusable pictures to leave out: a number, or a share.")] = "1%",
    labels: Annotated[bool, typer.Option(help="Take over class labels.")] = True,
    values: Annotated[
        str, typer.Option("--range", help="LOW,HIGH: the values of 16 bits, int or float that become black and white.")
    ] = "",
    dtype: Annotated[
        Depth, typer.Option(help="auto: values of more than 8 bits are kept as they are; uint8 makes 8 bits of them.")
    ] = Depth.AUTO,
    max_megapixels: Annotated[float, typer.Option(min=0, help="Larger pictures are unusable; 0 for 179.")] = 0,
    half: Annotated[
        Half | None,
        typer.Option(help="Only this half of each picture, of files with two side by side.", show_default=False),
    ] = None,
    cache_dir: CacheDir = CACHE,
) -> None:
    """Pack pictures into WebDataset shards that train fast."""
    from ganforge.data.pack import pack
    from ganforge.data.packreport import lines_of_report
    from ganforge.data.pictures import MAX_PIXELS
    from ganforge.data.plan import PackOptions, parse_bytes, parse_size
    from ganforge.data.sources.half import HalfSource
    from ganforge.data.sources.open import open_source
    from ganforge.data.values import parse_range
    from ganforge.errors import DataError

    if fit != HowToFit.CROP and crop != Crop.CENTER:
        raise DataError(f"--fit {fit.value}: does not cut, so --crop {crop.value} says nothing; leave one of them out")
    wanted, limits = parse_size(size), parse_range(values)
    found = open_source(
        source, size=max(wanted or (0,)), cache_dir=cache_dir.expanduser(), labels=labels, channels=channels
    )
    if half is not None:
        found = HalfSource(found, half.value)
    options = PackOptions(
        size=wanted,
        crop="pad" if fit == HowToFit.PAD else "none" if fit == HowToFit.STRETCH else crop.value,
        codec=codec.value,
        shard_bytes=parse_bytes(shard_size),
        workers=workers,
        channels=channels,
        limit=limit,
        max_bad=max_bad,
        values=limits,
        dtype=dtype.value,
        max_pixels=int(max_megapixels * 1e6) or MAX_PIXELS,
    )
    with shown_progress("packing", "pictures") as progress:
        manifest = pack(found, out, options, progress)
    typer.echo(
        f"{out}: {counted(manifest.count, 'sample')}, {manifest.spec}, codec {manifest.codec}, "
        f"{counted(len(manifest.shards), 'shard')}, "
        f"{sum(shard.bytes for shard in manifest.shards) / 1e6:.1f} MB"
    )
    for line in lines_of_report(out):
        typer.echo(with_flags(line, context.command))


@app.command()
def inspect(
    path: Annotated[str, typer.Argument(help="Packed folder, tar, or urls of shards.")],
    sheet: Annotated[Path | None, typer.Option(help="Where to write the contact sheet.")] = None,
    num: Annotated[int, typer.Option(min=1, help="Pictures on it.")] = 64,
    cache_dir: CacheDir = CACHE,
) -> None:
    """Describe what is in a dataset, and draw a contact sheet of it."""
    import numpy as np

    from ganforge.data.contactsheet import contact_sheet, displayed, lines_of, pick
    from ganforge.data.shards.registered import open_shards

    dataset = open_shards(path, cache_dir.expanduser())
    manifest = dataset.manifest
    stored = sum(shard.bytes for shard in manifest.shards)
    facts = [
        ("samples", f"{manifest.count:,}"),
        ("spec", str(manifest.spec)),
        ("codec", manifest.codec),
        ("shards", f"{len(manifest.shards)}, {stored / 1e6:.1f} MB; {dataset.decoded_bytes / 1e6:.1f} MB decoded"),
        ("digest", manifest.digest[:16]),
    ]
    if dataset.labels is not None:
        counts = np.bincount(dataset.labels, minlength=manifest.spec.num_classes)
        shown = [f"{name} ({count:,})" for name, count in zip(manifest.classes, counts, strict=True)]
        facts.append(("classes", ", ".join(shown[:20]) + (", ..." if len(shown) > 20 else "")))
    if manifest.values is not None and manifest.dtype == "uint8":
        facts.append(("range", "{:g}..{:g} of more than 8 bits become 0..255".format(*manifest.values)))
    facts += [("rule", rule) for rule in dataset.rules]
    for name, value in facts:
        typer.echo(f"{name:8} {value}")
    most = max(1, _SHEET_BYTES // int(np.prod(dataset.row_shape)))
    ids = pick(dataset.labels, len(dataset), min(num, most))
    rows = np.empty((len(ids), *dataset.row_shape), dataset.dtype)
    problems = dataset.read(ids, rows)
    for row, problem in problems.items():
        typer.echo(f"warning: {problem}", err=True)
        rows[row] = 0
    target = sheet or Path(f"{Path(path.rstrip('/')).name or 'dataset'}-sheet.png")
    labels = dataset.labels[ids] if dataset.labels is not None else None
    contact_sheet(displayed(rows, dataset.spec), lines_of(labels, *rows.shape[:3])).save(target)
    typer.echo(f"{'sheet':8} {target}")


@app.command()
def verify(
    path: Annotated[str, typer.Argument(help="Packed folder, tar, or urls.")], cache_dir: CacheDir = CACHE
) -> None:
    """Hash every shard and decode every sample."""
    from ganforge.data.shards.registered import open_shards
    from ganforge.data.verify import verify
    from ganforge.errors import DataError

    with shown_progress("verifying", "shards") as progress:
        report = verify(open_shards(path, cache_dir.expanduser()), progress)
    for problem in report.problems[:50]:
        typer.echo(problem, err=True)
    if report.problems:
        raise DataError(
            f"{path}: {counted(len(report.problems), 'problem')} in {counted(report.samples, 'sample')} "
            f"of {counted(report.shards, 'shard')}"
        )
    typer.echo(
        f"{path}: {counted(report.samples, 'sample')} in {counted(report.shards, 'shard')}, as the manifest says"
    )


@app.command()
def index(path: Annotated[Path, typer.Argument(help="A tar, or a folder of tars.")]) -> None:
    """Write an `.idx` beside each tar, as DALI's wds2idx does."""
    from ganforge.data.shards.tarindex import scan_tar, write_idx
    from ganforge.errors import DataError

    tars = sorted(path.glob("*.tar")) if path.is_dir() else [path]
    if not tars:
        raise DataError(f"{path}: holds no tar files")
    for tar in tars:
        if not tar.exists():
            raise DataError(f"{tar}: there is no such file")
        samples = scan_tar(tar)
        write_idx(tar.with_suffix(".idx"), samples)
        typer.echo(f"{tar.with_suffix('.idx')}: {counted(len(samples), 'sample')}")


@app.command()
def export(
    path: Annotated[str, typer.Argument(help="Packed folder, tar, or urls of shards.")],
    out: Annotated[Path, typer.Argument(help="New folder for the pictures.")],
    limit: Annotated[int, typer.Option(min=0, help="Only the first N.")] = 0,
    cache_dir: CacheDir = CACHE,
) -> None:
    """Turn shards back into a folder of pictures, class by class."""
    from ganforge.data.export import export
    from ganforge.data.shards.registered import open_shards

    with shown_progress("exporting", "pictures") as progress:
        count = export(open_shards(path, cache_dir.expanduser()), out, limit, progress)
    typer.echo(f"{out}: {counted(count, 'picture')}")


@contextmanager
def shown_progress(verb: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr that shows counts, speed and time left; without a terminal, a line a minute."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ganforge.telemetry.progress import BETWEEN_LINES, is_drawn_on

    console = Console(stderr=True)
    if not is_drawn_on(console):
        told = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() > told + BETWEEN_LINES:
                told = time.monotonic()
                typer.echo(f"{verb}: {done:,} of {total:,} {unit}", err=True)

        yield tell
        return
    columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(verb, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
