"""More data files that are made to do harm: zips, folders of pictures, packed datasets, and plain damage."""

import json
import random
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from hostile_arrays import hostile_array
from hostile_files import hostile, member, picture, png, write_tar

from ganforge.data.pack import pack
from ganforge.data.plan import PackOptions
from ganforge.data.sources.arrays import ArraySource

PACKED = ("inspect", "verify", "export", "pack")


def write_zip(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        for number in range(3):
            archive.writestr(f"{number:05d}/img{number}.png", picture(number))
        for name, data in members:
            archive.writestr(name, data)
    return path


@hostile("pack")
def label_tables_in_zips(folder: Path, rng: random.Random) -> Path:
    names = [f"{number:05d}/img{number}.png" for number in range(3)]
    last = rng.choice(["99999999", "9" * 5000, "NaN", "-1", "[1, 2]", "null", "1e400", '"3"'])
    rows = ", ".join(f'["{name}", {0 if number else last}]' for number, name in enumerate(names))
    text = rng.choice(
        [
            f'{{"labels": [{rows}]}}',
            f'{{"labels": [{rows}]}}',
            '{"labels": ' + "[" * 100_000,
            '{"labels": [], "labels": [' + rows + "]}",
            '{"labels": 7}',
            "[" + "[]," * 3_000_000 + "0]",
            "\ud800",
        ]
    )
    return write_zip(folder / "x.zip", ("dataset.json", text.encode("utf-8", "surrogatepass")))


@hostile("pack")
def large_members_of_zips(folder: Path, rng: random.Random) -> Path:
    name = rng.choice(["00000/a.png", "dataset.json"])
    method = rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    megabytes = {zipfile.ZIP_LZMA: 110, zipfile.ZIP_BZIP2: 200, zipfile.ZIP_DEFLATED: 1000}[method]
    with (
        zipfile.ZipFile(write_zip(folder / "x.zip"), "a", method, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as file,
    ):
        for _ in range(megabytes):
            file.write(bytes(10**6))
    return folder / "x.zip"


@hostile("pack")
def zips_that_lie(folder: Path, rng: random.Random) -> Path:
    path = write_zip(folder / "x.zip", ("00000/b.png", bytes(30_000_000)))
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\1\2")
    field = rng.choice(["method", "flags", "size", "offset", "name"])
    if field == "method":
        struct.pack_into("<H", data, place + 10, rng.choice([99, 12, 14, 1]))
    elif field == "flags":
        struct.pack_into("<H", data, place + 8, 1)
    elif field == "size":
        struct.pack_into("<I", data, place + 24, rng.choice([10, 2**32 - 2]))
    elif field == "offset":
        struct.pack_into("<I", data, place + 42, rng.choice([0, 2**31]))
    else:
        data[place + 46 : place + 50] = b"\xff\xfe/\0"
    path.write_bytes(data)
    return path


@hostile("pack")
def members_of_zips_twice(folder: Path, rng: random.Random) -> Path:
    with warnings.catch_warnings(action="ignore"):
        return write_zip(folder / "x.zip", ("00000/img0.png", picture(9)))


@hostile("pack")
def folders_of_traps(folder: Path, rng: random.Random) -> Path:
    root = folder / "pictures"
    root.mkdir()
    for number in range(3):
        (root / f"{number}.png").write_bytes(picture(number))
    kind = rng.choice(["holes", "bomb", "text", "bytes"])
    with open(root / "z.png", "wb") as file:
        if kind == "holes":
            file.truncate(3 * 10**9)
        elif kind == "bomb":
            file.write(png(60000, 60000))
        elif kind == "bytes":
            file.write(b"\x89PNG\r\n\x1a\n" + rng.randbytes(5000))
        else:
            file.write(picture()[:33] + struct.pack(">I", 2**31 - 1) + b"zTXt" + bytes(300))
    return root


def packed(folder: Path, rng: random.Random, codec: str = "") -> Path:
    rows = np.random.default_rng(1).integers(0, 256, (130, 16, 16, 3), dtype=np.uint8)
    options = PackOptions(codec=codec or rng.choice(["raw", "png"]), shard_bytes=12_000, workers=1)  # type: ignore[arg-type]
    pack(ArraySource(rows, np.arange(130) % 3, "test"), folder / "packed", options)
    return folder / "packed"


@hostile(*PACKED)
def manifests_that_lie(folder: Path, rng: random.Random) -> Path:
    out = packed(folder, rng)
    table: dict[str, Any] = json.loads((out / "dataset.json").read_text())
    shard = table["shards"][0]
    huge = rng.choice([2**31, 2**62, 2**64, 10**4000, -1, 1.5, True, "7"])
    change = rng.choice(["count", "both", "shape", "bytes", "first", "stride", "classes", "name", "fit", "twice"])
    if change in ("count", "both"):
        shard["count"] = huge
        table["count"] = huge if change == "count" else table["count"] - 1 + (huge if isinstance(huge, int) else 0)
    elif change == "shape":
        table["shape"] = rng.choice([[3, 2**31, 2**31], [3, 16384, 16384], [1] * 50, [0, 0, 0], [huge, 16, 16]])
    elif change in ("bytes", "first", "stride"):
        shard[change] = huge
    elif change == "classes":
        table["classes"] = [""] * 1_500_000
    elif change == "name":
        shard["name"] = rng.choice(["x" * 100_000, "../a.tar", "shard-000001.tar"])
    elif change == "fit":
        table.update(fit="center", shape=[3, 16384, 16384])
    else:
        table["shards"] += table["shards"]
    (out / "dataset.json").write_text(json.dumps(table))
    return out


@hostile(*PACKED)
def manifests_of_nonsense(folder: Path, rng: random.Random) -> Path:
    out = packed(folder, rng)
    good = (out / "dataset.json").read_text()
    text = rng.choice(
        [
            "[" * 100_000,
            good.replace("{", '{"made_with": ' + '{"a":' * 500 + "1" + "}" * 500 + ",", 1),
            good.replace("{", '{"count": 5, ', 1),
            good.replace('"made_with": {', '"made_with": {"x": NaN, ', 1),
            good.replace("{", '{"made_with": [' + "[]," * 3_000_000 + "0], ", 1),
            good[: rng.randrange(len(good))],
            "\ufeff" + good,
            good.replace('"0"', '"\\ud800"'),
            " " * 70_000_000,
        ]
    )
    (out / "dataset.json").write_text(text)
    return out


@hostile(*PACKED)
def indexes_that_lie(folder: Path, rng: random.Random) -> Path:
    out = packed(folder, rng, "png")
    idx = sorted(out.glob("*.idx"))
    lines = idx[0].read_text().splitlines()
    kind = rng.choice(["other", "overlap", "negative", "huge", "long", "blanks", "bytes", "gone", "folder"])
    if kind == "other":
        idx[0].write_bytes(idx[1].read_bytes())
    elif kind == "overlap":
        idx[0].write_text("\n".join([lines[0], *[lines[1]] * (len(lines) - 1)]) + "\n")
    elif kind in ("negative", "huge"):
        fields = lines[1].split()
        fields[5] = (
            rng.choice(["-512", "-1024"]) if kind == "negative" else rng.choice([str(2**62), "9" * 30, "9" * 5000])
        )
        idx[0].write_text("\n".join([lines[0], " ".join(fields), *lines[2:]]) + "\n")
    elif kind == "long":
        with open(idx[0], "r+b") as file:
            file.truncate(3 * 10**9)
    elif kind == "blanks":
        idx[0].write_text(lines[0] + "\n" + "a " * 9_000)
    elif kind == "bytes":
        idx[0].write_bytes(random.Random(rng.random()).randbytes(2000))
    else:
        idx[0].unlink()
        if kind == "folder":
            idx[0].mkdir()
    return out


@hostile(*PACKED)
def labels_that_lie(folder: Path, rng: random.Random) -> Path:
    import hashlib

    out = packed(folder, rng)
    path = out / "labels.npy"
    kind = rng.choice(["array", "array", "range", "type", "large"])
    if kind == "array":
        path.write_bytes(hostile_array(rng))
    elif kind == "range":
        np.save(path, np.full(130, rng.choice([-1, 3, 2**62])))
    elif kind == "type":
        np.save(path, np.full(130, rng.choice([1.0, np.nan, 1j, "a"])))
    else:
        with open(path, "r+b") as file:
            file.truncate(3 * 10**9)
    table = json.loads((out / "dataset.json").read_text())
    digest = "0" * 64 if kind == "large" else hashlib.sha256(path.read_bytes()).hexdigest()
    (out / "dataset.json").write_text(json.dumps({**table, "labels_sha256": digest}))
    return out


@hostile(*PACKED)
def damaged_anywhere(folder: Path, rng: random.Random) -> Path:
    """Any byte of any file of a packed folder."""
    out = packed(folder, rng)
    path = rng.choice(sorted(out.iterdir()))
    path.write_bytes(damaged(path.read_bytes(), rng))
    return out


def damaged(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 8, 64])):
        place = rng.randrange(max(1, len(changed)))
        kind = rng.randrange(4)
        if kind == 0:
            changed[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            changed[place : place + 8] = rng.randbytes(8)
        elif kind == 2:
            changed[place : place + rng.randrange(600)] = b""
        else:
            changed = changed[: max(1, place)]
    return bytes(changed)


@hostile("inspect", "verify", "index", "pack", "stream")
def tars_damaged_anywhere(folder: Path, rng: random.Random) -> Path:
    path = write_tar(folder / "x.tar", member(b"a.npy", hostile_array(rng)), member(b"a.cls", b"1"))
    path.write_bytes(damaged(path.read_bytes(), rng))
    return path


@hostile("inspect", "verify", "index", "pack", "stream")
def pax_tars_damaged_anywhere(folder: Path, rng: random.Random) -> Path:
    import io

    path = folder / "x.tar"
    with tarfile.open(path, "w", format=rng.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])) as tar:
        for number in range(4):
            info = tarfile.TarInfo(f"{'ü' * 40}/{'n' * 120}{number}.png")
            info.size = len(picture(number))
            tar.addfile(info, io.BytesIO(picture(number)))
    path.write_bytes(damaged(path.read_bytes(), rng))
    return path


@hostile("pack")
def zips_damaged_anywhere(folder: Path, rng: random.Random) -> Path:
    path = write_zip(folder / "x.zip", ("dataset.json", b'{"labels": null}'))
    path.write_bytes(damaged(path.read_bytes(), rng))
    return path


@hostile("pack")
def arrays_damaged_anywhere(folder: Path, rng: random.Random) -> Path:
    path = folder / rng.choice(["x.npz", "x.npy"])
    rows = np.zeros((3, 16, 16, 3), np.uint8)
    if path.suffix == ".npy":
        np.save(path, rows)
    else:
        np.savez_compressed(path, images=rows, labels=np.arange(3))
    path.write_bytes(damaged(path.read_bytes(), rng))
    return path
