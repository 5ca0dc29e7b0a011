"""Arrays, archives and pictures that lie or explode are refused before memory is taken for what they announce."""

import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, smooth_pictures
from test_hostile_tars import header
from test_tarindex import write_tar

from ganforge.data.decode import decode_into
from ganforge.data.limits import PICTURE_BYTES
from ganforge.data.npy import array_from, mapped, read_layout
from ganforge.data.pictures import BadPicture, Fit, npy_header, open_picture
from ganforge.data.shards.manifest import Manifest
from ganforge.data.shards.registered import open_shards
from ganforge.data.sources.arrays import open_arrays
from ganforge.data.sources.open import open_source
from ganforge.errors import DataError

ROWS = smooth_pictures(6, 16)
Packed = Callable[..., tuple[Path, Manifest]]


def npy(
    shape: object, descr: object = "|u1", data: bytes = b"", text: str = "", version: int = 1, length: int = -1
) -> bytes:
    body = (text or repr({"descr": descr, "fortran_order": False, "shape": shape})).encode("latin-1") + b"\n"
    size = (len(body) if length < 0 else length).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + body + data


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read_as_numpy_reads_them(dtype: type, order: str, tmp_path: Path) -> None:
    array = np.asarray(np.random.default_rng(0).integers(0, 200, (3, 4, 5)).astype(dtype), order=order)  # type: ignore[call-overload]
    np.save(tmp_path / "x.npy", array)
    for found in (array_from((tmp_path / "x.npy").read_bytes()), mapped(tmp_path / "x.npy")):
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)
    with open(tmp_path / "y.npy", "wb") as file:
        np.lib.format.write_array(file, array, version=(3, 0))
    assert np.array_equal(mapped(tmp_path / "y.npy"), array)
    header = npy_header((8, 8, 3))
    assert read_layout(header).offset == len(header)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy((10**6,) * 3), "cut short"),
        (npy((2**32, 2**32)), "cut short"),
        (npy((-1, 4)), "is not possible"),
        (npy((True, 4)), "is not possible"),
        (npy((4,), "|O", b"cos\nsystem\n"), "Python objects"),
        (npy((4,), [("a", "|u1")]), "Python objects or records"),
        (npy((), text="(" * 9000), "cannot be read"),
        (npy((), text="{1: 2, 'a': 3}"), "cannot be read"),
        (npy((), text="__import__('os').abort()"), "cannot be read"),
        (npy((), text="(", version=2, length=2**32 - 1), "4294967295 bytes long"),
        (b"\x93NUMPY", "not an array"),
        (b"", "not an array"),
    ],
)
def test_arrays_that_lie_are_refused_before_memory_is_taken(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        array_from(data)
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(DataError, match=r"x\.npy: cannot be read as \.npy: .*" + message):
        open_arrays(tmp_path / "x.npy", tmp_path / "cache")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", data)
    with pytest.raises(DataError, match=message):
        open_arrays(tmp_path / "x.npz", tmp_path / "cache")
    write_tar(tmp_path / "x.tar", [("a.npy", data)])
    with pytest.raises(DataError, match=r"is a damaged|not a picture"):
        open_shards(str(tmp_path / "x.tar"), tmp_path / "cache")


def test_arrays_of_an_npz_are_mapped_and_not_sent_to_the_workers(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)
    np.savez_compressed(tmp_path / "x.npz", images=rows, labels=np.arange(300) % 3)
    source = open_arrays(tmp_path / "x.npz", tmp_path / "cache")
    sent = pickle.dumps(source)
    assert len(sent) < 2000
    again = pickle.loads(sent)
    for number in (0, 299):
        assert np.array_equal(again.item(number).data, rows[number])
        assert again.item(number).label == number % 3
    assert isinstance(again.pictures, np.memmap)


@pytest.mark.parametrize("kind", ["zip", "npz", "tar.gz", "tar.bz2", "tar.xz"])
def test_what_unpacks_to_far_more_is_stopped(kind: str, tmp_path: Path) -> None:
    import bz2
    import gzip
    import lzma

    size, path = 110_000_000 if kind == "zip" else 70_000_000, tmp_path / f"x.{kind}"
    if kind in ("zip", "npz"):
        name = "a.png" if kind == "zip" else "images.npy"
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open(name, "w", force_zip64=True) as file,
        ):
            file.write(npy((size // 256, 16, 16)))
            for _ in range(size // 10**6):
                file.write(bytes(10**6))
    else:
        opened = {"tar.gz": gzip.open, "tar.bz2": bz2.open, "tar.xz": lzma.open}[kind]
        with opened(path, "wb") as file:  # type: ignore[operator]
            file.write(header(b"a.png", size))
            for _ in range(size // 10**6):
                file.write(bytes(10**6))
    tracemalloc.start()
    if kind == "zip":
        with pytest.raises(BadPicture, match=r"is 110 MB large, and may have 100 MB"):
            open_source(str(path), size=0, cache_dir=tmp_path / "cache").item(0)
    else:
        with pytest.raises(DataError, match=rf"x\.{kind}: its .* unpack to more than"):
            open_source(str(path), size=0, cache_dir=tmp_path / "cache")
        assert not list((tmp_path / "cache").rglob("*.tmp"))
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()


def test_what_a_killed_process_was_unpacking_is_removed_by_the_next(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=ROWS)
    left = tmp_path / "cache" / "unpacked" / ".0123.tar.99999.tmp"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(1000))
    open_arrays(tmp_path / "x.npz", tmp_path / "cache")
    assert not left.exists()


def test_a_zip_that_hides_the_size_of_a_member_is_read_up_to_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(50_000_000))
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\1\2") + 24
    data[place : place + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(BadPicture, match="cannot be unpacked"):
        open_source(str(path), size=0, cache_dir=tmp_path).item(0)


def test_a_picture_file_of_gigabytes_is_left_out_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(encoded(ROWS[0]))
    with open(folder / "b.png", "wb") as file:
        file.truncate(10**10)
    source = open_source(str(folder), size=0, cache_dir=tmp_path)
    assert source.item(0).name == "a.png"
    with pytest.raises(BadPicture, match="is larger than 100 MB"):
        source.item(1)


def png_of(width: int, height: int) -> bytes:
    data = bytearray(encoded(ROWS[0]))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize("size", [(60_000, 60_000), (13_000, 13_000), (1, 160_000_000), (2**31 - 1, 2**31 - 1)])
@pytest.mark.parametrize("fit", [None, Fit(16, 16, "center", 3)])
def test_a_picture_that_announces_what_it_cannot_hold_is_not_decoded(size: tuple[int, int], fit: Fit | None) -> None:
    data = png_of(*size)
    with pytest.raises(BadPicture):
        open_picture(data)
    tracemalloc.start()
    with pytest.raises(BadPicture):
        decode_into(data, np.empty((16, 16, 3), np.uint8), fit)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_an_empty_page_is_no_bomb() -> None:
    out = np.empty((16, 16, 3), np.uint8)
    decode_into(encoded(np.zeros((4000, 4000, 3), np.uint8)), out, Fit(16, 16, "center", 3))
    assert not out.any()


def test_the_bound_on_pictures_is_the_one_in_the_messages() -> None:
    assert PICTURE_BYTES == 100_000_000
