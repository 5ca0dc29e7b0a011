"""Arrays that are made to do harm, alone, in a tar, and in an archive."""

import random
import struct
import zipfile
from pathlib import Path

import numpy as np
from hostile_files import hostile, member, write_tar


def npy(
    shape: object, descr: object = "|u1", data: bytes = b"", version: int = 1, text: str = "", length: int = -1
) -> bytes:
    text = text or repr({"descr": descr, "fortran_order": False, "shape": shape})
    body = text.encode("latin-1") + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(body) if length < 0 else length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + body + data


def hostile_array(rng: random.Random) -> bytes:
    return rng.choice(
        [
            npy((10**6, 10**6, 10**6)),
            npy((2**40,), data=bytes(500)),
            npy((2**32, 2**32), data=bytes(500)),
            npy((-1, 4), data=bytes(500)),
            npy((3, 0, 10**30)),
            npy((1, 24, 24, 3), "|O", data=b"cos\nsystem\n(S'touch hacked'\ntR."),
            npy((2, 8, 8), [("a", "|u1"), ("b", "|O")], data=bytes(500)),
            npy((1,), "|V9999999999", data=bytes(500)),
            npy((), "|u1", version=2, length=2**32 - 1, text="("),
            npy((), text="(" * 9000),
            npy((), text="{" * 9000),
            npy((), text="__import__('os').system('touch hacked')"),
            npy((), text="[" * 900 + "]" * 900),
            npy((), text="{1: 2, 'a': 3}"),
            npy((24, 24, 3), "<f8", data=bytes(24 * 24 * 24)),
            npy((True, 24, 24), data=bytes(576)),
            npy((9,) * 60, data=bytes(500)),
            b"\x93NUMPY\x09\x00",
            b"\x93NUMPY",
        ]
    )


@hostile("pack")
def arrays_on_their_own(folder: Path, rng: random.Random) -> Path:
    path = folder / "x.npy"
    path.write_bytes(hostile_array(rng))
    if rng.random() < 0.3:
        path.write_bytes(npy((2, 60_000, 60_000)))
        with open(path, "r+b") as file:
            file.truncate(2 * 60_000 * 60_000 + 4096)  # holes: large, and takes no room
    return path


@hostile("pack")
def long_headers(folder: Path, rng: random.Random) -> Path:
    (folder / "x.npy").write_bytes(npy((), version=rng.choice([2, 3]), text="(" * 50_000_000 + "1" * 50_000_000))
    return folder / "x.npy"


@hostile("pack")
def labels_beside_arrays(folder: Path, rng: random.Random) -> Path:
    np.save(folder / "x.npy", np.zeros((4, 24, 24, 3), np.uint8))
    path = folder / "x_labels.npy"
    path.write_bytes(hostile_array(rng))
    if rng.random() < 0.5:
        np.save(path, np.array([0, 1, 2, rng.choice([99_999_999, 2**62])]))
    return folder / "x.npy"


@hostile("pack")
def arrays_in_archives(folder: Path, rng: random.Random) -> Path:
    path = folder / "x.npz"
    images = rng.choice([hostile_array(rng), npy((4, 24, 24, 3), data=bytes(4 * 24 * 24 * 3))])
    labels = rng.choice([npy((4,), "<i8", data=np.array([0, 1, 2, 99_999_999]).tobytes()), hostile_array(rng)])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", images)
        archive.writestr("labels.npy", labels)
    return path


@hostile("pack")
def arrays_that_unpack_to_anything(folder: Path, rng: random.Random) -> Path:
    side = 24 if rng.random() < 0.5 else 12_000
    count = 400_000_000 // (side * side)
    with (
        zipfile.ZipFile(folder / "x.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("images.npy", "w", force_zip64=True) as file,
    ):
        file.write(npy((count, side, side)))
        for _ in range(400):
            file.write(bytes(10**6))
    return folder / "x.npz"


@hostile("pack", "verify", "stream")
def arrays_that_explode(folder: Path, rng: random.Random) -> Path:
    array = hostile_array(rng)
    return write_tar(folder / "x.tar", member(b"a.npy", array), valid=rng.choice([0, 2]))
