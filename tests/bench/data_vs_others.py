"""ganforge's readers beside the loaders people use, on the same pictures, in one run.

    python tests/bench/data_vs_others.py [--pictures 20000] [--rounds 5]

Every round runs each loader once, in turn; what is printed is the median over the rounds of the ratio
to ImageFolder in the same round, so that other work on the machine blurs all of them alike. Rates are
images per CPU-second of one process with one thread of torch: `batch` is the float32 batch in [-1, 1]
that a network gets, `rows` the uint8 batch in order that an accelerator is handed.
"""

import argparse
import io
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image, ImageOps  # noqa: E402

from ganforge.data.loader import Loader  # noqa: E402
from ganforge.data.pack import pack  # noqa: E402
from ganforge.data.plan import PackOptions  # noqa: E402
from ganforge.data.shards.manifest import load_manifest  # noqa: E402
from ganforge.data.shards.registered import open_folder  # noqa: E402
from ganforge.data.sources.folder import FolderSource  # noqa: E402
from ganforge.loader_options import ReaderName  # noqa: E402

BATCH = 128
SIZE = 64


def make_pictures(root: Path, count: int, width: int, height: int) -> Path:
    """JPEG files in ten class folders, with the detail of photographs."""
    random = np.random.default_rng(0)
    for number in range(count):
        folder = root / f"class{number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        small = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
        picture = picture + random.integers(-8, 9, picture.shape, dtype=np.int16)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{number:06d}.jpg", quality=90)
    return root


def image_folder(folder: Path) -> Iterator[int]:
    """The loader of the DCGAN tutorial: ImageFolder, PIL, float transforms."""
    from torchvision import datasets, transforms

    steps = [transforms.Resize(SIZE), transforms.CenterCrop(SIZE), transforms.ToTensor()]
    steps.append(transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    dataset = datasets.ImageFolder(str(folder), transforms.Compose(steps))
    for batch, _ in torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True):
        yield len(batch)


def stock_webdataset(folder: Path) -> Iterator[int]:
    """webdataset's own pipeline with torchvision's float decoding."""
    from webdataset import WebDataset  # pyright: ignore[reportAttributeAccessIssue]  # names of it that come late

    urls = sorted(str(path) for path in folder.glob("*.tar"))
    dataset = WebDataset(urls, shardshuffle=len(urls)).shuffle(1000).decode("torchrgb").to_tuple("jpg", "cls")
    for pictures, _ in dataset.batched(BATCH):
        yield len(pictures.mul(2).sub(1))


def lit_sample(number_and_path: tuple[int, str]) -> dict[str, Any]:
    """One sample of litdata's own format, the JPEG untouched."""
    number, path = number_and_path
    return {"image": Image.open(path), "label": number % 10}


def make_litdata(folder: Path, out: Path) -> Path:
    import litdata  # pyright: ignore[reportMissingImports]  # of the extra `bench`

    paths = sorted(str(path) for path in folder.rglob("*.jpg"))
    litdata.optimize(lit_sample, list(enumerate(paths)), str(out), chunk_bytes="64MB", num_workers=1)
    return out


def litdata_stream(folder: Path) -> Iterator[int]:
    """litdata's StreamingDataset, its decoder, scaled like the others."""
    import litdata  # pyright: ignore[reportMissingImports]  # of the extra `bench`

    dataset = litdata.StreamingDataset(str(folder), shuffle=True)
    for batch in litdata.StreamingDataLoader(dataset, batch_size=BATCH, num_workers=0, drop_last=True):
        pictures = batch["image"]
        yield len(pictures.float().mul_(1 / 127.5).sub_(1))


def ganforge_batches(folder: Path, reader: ReaderName, cache: Path) -> Iterator[int]:
    loader = Loader(open_folder(folder), batch_size=BATCH, reader=reader, cache_dir=cache, workers=1)
    while True:
        yield len(loader.next().samples)


def ganforge_rows(folder: Path, reader: ReaderName, cache: Path) -> Iterator[int]:
    loader = Loader(open_folder(folder), batch_size=BATCH, reader=reader, cache_dir=cache, workers=1)
    for position in itertools.count(0, BATCH):
        yield len(loader.source.take(position).rows)


def rate(make: Callable[[], Iterator[int]], seconds: float) -> float:
    """Images per CPU-second, the first batches not counted."""
    stream = make()
    for _ in range(3):
        next(stream)
    count, began, cpu = 0, time.perf_counter(), time.process_time()
    for length in stream:
        count += length
        if time.perf_counter() - began > seconds:
            break
    used = time.process_time() - cpu
    close = getattr(stream, "close", None)
    if close is not None:
        close()
    return count / used


def pil_loop(folder: Path, out: Path) -> None:
    """What people write to pack a dataset: one process, PIL, TarWriter; the same pixels as `pack`.

    Timed without its imports, whereas `pack` is timed as a whole command.
    """
    from webdataset import TarWriter  # pyright: ignore[reportAttributeAccessIssue]

    with TarWriter(str(out), encoder=False) as sink:
        for number, path in enumerate(sorted(folder.rglob("*.jpg"))):
            picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            picture = picture.crop((left, top, left + side, top + side))
            picture = picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            np.save(buffer, np.asarray(picture))
            sink.write({"__key__": f"{number:09d}", "npy": buffer.getvalue(), "cls": b"0"})


def compare_packing(work: Path, count: int, rounds: int) -> None:
    folder = make_pictures(work / "large", count, 178, 218)
    ratios, rates = [], []
    for number in range(rounds):
        began = time.perf_counter()
        pil_loop(folder, work / f"loop{number}.tar")
        loop = time.perf_counter() - began
        began = time.perf_counter()
        arguments = ["data", "pack", str(folder), str(work / f"pack{number}"), "--size", str(SIZE), "--workers", "2"]
        subprocess.run([sys.executable, "-m", "ganforge", *arguments], check=True, stdout=subprocess.DEVNULL)
        packed = time.perf_counter() - began
        ratios.append(loop / packed)
        rates.append((count / loop, count / packed))
    loop_rate, pack_rate = (statistics.median(column) for column in zip(*rates, strict=True))
    print(f"packing {count} JPEG of 178x218 to {SIZE}x{SIZE} raw, wall time, {rounds} rounds:")
    print(f"  PIL loop, one process {loop_rate:8.0f} images/s")
    print(f"  pack command, 2 workers{pack_rate:8.0f} images/s  {statistics.median(ratios):5.2f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of measuring per loader and round")
    parser.add_argument("--pack-pictures", type=int, default=4_000)
    parser.add_argument("--skip-litdata", action="store_true")
    parser.add_argument("--work", type=Path, help="folder for pictures and shards; by default a temporary one")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        compare(arguments, arguments.work or Path(temporary))


def compare(arguments: argparse.Namespace, work: Path) -> None:
    folder = work / "pictures"
    if not folder.exists():
        make_pictures(folder, arguments.pictures, SIZE, SIZE)
    for codec in ("raw", "keep"):
        if not (work / codec).exists():
            pack(FolderSource(folder), work / codec, PackOptions(codec=codec, workers=2))
    cache = work / "cache"
    loaders: dict[str, Callable[[], Iterator[int]]] = {
        "(a) ImageFolder, PIL, transforms": lambda: image_folder(folder),
        "(b) stock webdataset": lambda: stock_webdataset(work / "keep"),
    }
    if not arguments.skip_litdata:
        lit = work / "litdata"
        if not lit.exists():
            make_litdata(folder, lit)
        loaders["(c) litdata"] = lambda: litdata_stream(lit)
    readers: tuple[tuple[ReaderName, str], ...] = (
        ("device", "raw"),
        ("host", "keep"),
        ("raw", "raw"),
        ("encoded", "keep"),
    )
    for reader, codec in readers:
        for kind, make in (("rows", ganforge_rows), ("batch", ganforge_batches)):
            source = work / codec
            loaders[f"ganforge {reader}, {kind}"] = lambda make=make, reader=reader, source=source: make(
                source, reader, cache
            )
    first = next(iter(loaders))
    results: dict[str, list[float]] = {name: [] for name in loaders}
    for _ in range(arguments.rounds):
        for name, make in loaders.items():
            results[name].append(rate(make, arguments.seconds))
    count = load_manifest(work / "keep").count
    print(f"{count} JPEG pictures of {SIZE}x{SIZE}, batch {BATCH}, {arguments.rounds} rounds, images per CPU-second:")
    for name, rates in results.items():
        ratios = [own / other for own, other in zip(rates, results[first], strict=True)]
        print(f"  {name:34} {statistics.median(rates):9.0f}  {statistics.median(ratios):7.1f}x")
    compare_packing(work, arguments.pack_pictures, max(3, arguments.rounds - 2))


if __name__ == "__main__":
    main()
