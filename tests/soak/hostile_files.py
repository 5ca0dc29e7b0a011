"""Data files that are made to do harm: each function writes one, and says which commands are to read it."""

import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Build = Callable[[Path, random.Random], Path]
BUILDERS: list[tuple[Build, tuple[str, ...]]] = []
TAR = ("inspect", "verify", "index", "pack", "stream")
BOMB = ("pack", "stream")


def hostile(*commands: str) -> Callable[[Build], Build]:
    def add(build: Build) -> Build:
        BUILDERS.append((build, commands))
        return build

    return add


def picture(seed: int = 0, side: int = 24) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, body: bytes = b"", colour: int = 2) -> bytes:
    """A PNG whose header claims this number of pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def header(name: bytes, size: int | bytes, kind: bytes = b"0") -> bytes:
    """A header of a tar with a right checksum, whatever its size says."""
    field = size if isinstance(size, bytes) else b"%011o\0" % size
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108], block[124:136], block[156:157] = b"0000644\0", field, kind
    block[257:265], block[148:156] = b"ustar\0" + b"00", b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: bytes, data: bytes, kind: bytes = b"0", size: int | bytes | None = None) -> bytes:
    return header(name, len(data) if size is None else size, kind) + data + bytes(-len(data) % 512)


def write_tar(path: Path, *pieces: bytes, valid: int = 3) -> Path:
    """The pieces between good samples and an end mark."""
    good = [member(b"%04d.png" % number, picture(number)) for number in range(valid)]
    path.write_bytes(b"".join([*good[:1], *pieces, *good[1:], bytes(10240)]))
    return path


def pax(record: bytes) -> bytes:
    return member(b"pax", record, b"x")


def labelled(path: Path, extension: bytes, texts: list[bytes]) -> Path:
    pieces = []
    for number, text in enumerate(texts):
        pieces += [member(b"k%d.png" % number, picture(number)), member(b"k%d.%s" % (number, extension), text)]
    return write_tar(path, *pieces, valid=0)


@hostile(*TAR)
def pax_record_of_no_length(folder: Path, rng: random.Random) -> Path:
    record = rng.choice(
        [b"0 path=a\n", b"00000 x=y\n", b"-5 a=b\n", b"9" * 5000 + b" a=b\n", b" =\n", b"3 =\n", b"\xff\xff"]
    )
    return write_tar(folder / "x.tar", pax(record), member(b"a.png", picture(9)))


@hostile(*TAR)
def pax_size_of_nonsense(folder: Path, rng: random.Random) -> Path:
    value = rng.choice([b"-1", b"-512", b"1e9", b"9" * 30, b"9" * 4500, b"\xd9\xa3", b"", b"1_0"])
    body = b" size=" + value + b"\n"
    length = len(body) + len(str(len(body) + 4))
    return write_tar(folder / "x.tar", pax(b"%d" % length + body), member(b"a.png", picture(9)))


@hostile(*TAR)
def sizes_of_nonsense(folder: Path, rng: random.Random) -> Path:
    size = rng.choice(
        [
            b"-0000000512\0",
            b"\xff" * 12,
            b"\xff" * 10 + b"\xfe\0",
            b"\x80" + b"\x7f" * 11,
            b"0o17\0" + bytes(7),
            b"99999999999\0",
        ]
    )
    return write_tar(
        folder / "x.tar", member(b"a.png", picture(9), size=size, kind=rng.choice([b"0", b"x", b"L", b"5"]))
    )


@hostile(*TAR)
def names_without_end(folder: Path, rng: random.Random) -> Path:
    kind = rng.choice([b"L", b"K", b"x", b"g"])
    size = rng.choice([8**11 - 1, 2 * 2**20, 5000])
    data = b"a" * (2 * 2**20 if size == 2 * 2**20 else 512)
    return write_tar(folder / "x.tar", member(b"long", data, kind, size), member(b"a.png", picture(9)))


@hostile(*TAR)
def many_headers_of_headers(folder: Path, rng: random.Random) -> Path:
    kind, data = rng.choice([(b"L", b"name.png\0"), (b"x", b"13 path=ab.c\n"), (b"g", b"13 path=ab.c\n"), (b"5", b"")])
    return write_tar(
        folder / "x.tar", member(b"h", data, kind) * rng.choice([1500, 20_000]), member(b"a.png", picture(9))
    )


@hostile(*TAR)
def files_with_holes(folder: Path, rng: random.Random) -> Path:
    if rng.random() < 0.5:
        return write_tar(folder / "x.tar", member(b"hole.png", picture(9), b"S"))
    records = b"".join(
        b"%d %s\n" % (len(text) + 1 + 3, text)
        for text in (b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.realsize=9999999999999")
    )
    return write_tar(folder / "x.tar", pax(records), member(b"hole.png", b"1\n0\n512\n" + picture(9)))


@hostile(*TAR)
def links_to_the_outside(folder: Path, rng: random.Random) -> Path:
    with tarfile.open(folder / "x.tar", "w") as tar:
        for number, kind in enumerate([tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]):
            info = tarfile.TarInfo(f"link{number}.png")
            info.type, info.linkname, info.size = (
                kind,
                rng.choice(["/etc/passwd", "../../../etc/passwd"]),
                rng.choice([0, 700]),
            )
            tar.addfile(info)
        info = tarfile.TarInfo("real.png")
        info.size = len(picture())
        tar.addfile(info, io.BytesIO(picture()))
    return folder / "x.tar"


@hostile(*TAR)
def members_twice(folder: Path, rng: random.Random) -> Path:
    again = rng.choice([b"a.png", b"b.png"])
    return write_tar(
        folder / "x.tar", *(member(name, picture(n)) for n, name in enumerate([b"a.png", b"b.png", again]))
    )


@hostile(*TAR)
def a_tar_in_a_tar(folder: Path, rng: random.Random) -> Path:
    inner = write_tar(folder / "inner.tar").read_bytes()
    (folder / "inner.tar").unlink()
    return write_tar(folder / "x.tar", member(rng.choice([b"in.tar", b"in.png"]), inner), valid=rng.choice([0, 3]))


@hostile(*TAR)
def odd_names(folder: Path, rng: random.Random) -> Path:
    name = rng.choice(
        [b"\xff\xfe.png", b"a\nb.png", b"a b.c d.png", b"../x.png", b"/x.png", b".png", b"x/.png", b"\xe2\x80\xa8.png"]
    )
    return write_tar(folder / "x.tar", member(name, picture(9)))


@hostile(*TAR)
def one_key_for_all(folder: Path, rng: random.Random) -> Path:
    return write_tar(
        folder / "x.tar", b"".join(member(b"v2.%d.png" % n, b"") for n in range(rng.choice([900, 40_000])))
    )


@hostile(*TAR)
def labels_without_bounds(folder: Path, rng: random.Random) -> Path:
    last = rng.choice([b"99999999", b"999999999999999999999", b"9" * 5000, b"-7", b"1" * 3_000_000, b"", b"nan"])
    return labelled(folder / "x.tar", b"cls", [b"0", b"1", last])


@hostile(*TAR)
def label_tables_without_bounds(folder: Path, rng: random.Random) -> Path:
    last = rng.choice(
        [
            b"[" * 100_000,
            b'{"label": ' * 5000,
            b'{"label": 99999999}',
            b'{"label": "\\ud800"}',
            b'{"label": "' + b"x" * 1_000_000 + b'"}',
            b'{"label": 1, "label": 2}',
            b'{"label": NaN}',
            b"[" + b"[]," * 4_000_000 + b"0]",
        ]
    )
    good = b'{"label": "a"}' if b'": "' in last else b'{"label": 0}'
    return labelled(folder / "x.tar", b"json", [good, good, last])


@hostile(*TAR)
def pictures_that_explode(folder: Path, rng: random.Random) -> Path:
    width, height = rng.choice(
        [(60000, 60000), (20000, 20000), (13000, 13000), (2**31 - 1, 1), (0, 0), (1, 160_000_000)]
    )
    return write_tar(folder / "x.tar", member(b"a.png", png(width, height)), valid=rng.choice([0, 2, 40]))


@hostile("pack", "verify")
def pictures_that_truly_explode(folder: Path, rng: random.Random) -> Path:
    side = 20_000
    return write_tar(folder / "x.tar", member(b"a.png", png(side, side, bytes(side * (side + 1)), colour=0)), valid=2)


@hostile(*BOMB)
def compressed_tars_that_explode(folder: Path, rng: random.Random) -> Path:
    name, compress = rng.choice([("x.tar.gz", gzip.compress), ("x.tar.bz2", bz2.compress), ("x.tar.xz", lzma.compress)])
    size = 120_000_000
    path = folder / name
    head = header(rng.choice([b"a.png", b"a.txt", b"pax"]), size, rng.choice([b"0", b"x"]))
    path.write_bytes(compress(member(b"0.png", picture()) + head + bytes(size) + bytes(1024)))
    return path


@hostile(*BOMB)
def compressed_tars_cut_short(folder: Path, rng: random.Random) -> Path:
    path = folder / "x.tar.gz"
    data = bytearray(gzip.compress(write_tar(folder / "y.tar").read_bytes()))
    (folder / "y.tar").unlink()
    data[rng.randrange(len(data))] ^= 255
    path.write_bytes(data[: rng.randrange(1, len(data) + 1)])
    return path
