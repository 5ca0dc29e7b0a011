"""Headers that lie: what they announce is compared with what is there, and refused in a line that names the file."""

import hashlib
import json
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, read_all, smooth_pictures
from test_tarindex import write_tar

from ganforge.data.decode import decode_into
from ganforge.data.limits import PICTURE_BYTES
from ganforge.data.manifest import Manifest, load_manifest, parse_manifest
from ganforge.data.npy import array_from, mapped, read_layout
from ganforge.data.pictures import BadPicture, Fit, npy_header, open_picture
from ganforge.data.shards import open_folder, open_shards
from ganforge.data.sources.arrays import open_arrays
from ganforge.data.sources.open import open_source
from ganforge.data.tarindex import scan_tar
from ganforge.data.urls import expand
from ganforge.data.verify import verify
from ganforge.errors import DataError

ROWS = smooth_pictures(6, 16)
Packed = Callable[..., tuple[Path, Manifest]]


def header(name: bytes, size: int | bytes, kind: bytes = b"0") -> bytes:
    """A header of a tar with a right checksum, whatever its size says."""
    block = bytearray(512)
    block[: len(name)], block[100:108], block[156:157] = name, b"0000644\0", kind
    block[124:136] = size if isinstance(size, bytes) else b"%011o\0" % size
    block[257:265], block[148:156] = b"ustar\x0000", b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: bytes, data: bytes, kind: bytes = b"0", size: int | bytes | None = None) -> bytes:
    return header(name, len(data) if size is None else size, kind) + data + bytes(-len(data) % 512)


def tar_of(path: Path, *pieces: bytes) -> Path:
    path.write_bytes(b"".join([*pieces, bytes(10240)]))
    return path


def record(keyword: bytes, value: bytes) -> bytes:
    text = b" " + keyword + b"=" + value + b"\n"
    return str(len(text) + len(str(len(text) + 2))).encode() + text


BAD_RECORDS = [b"0 path=a\n", b"00 a=b\n", b"-5 a=b\n", b" =\n", b"99 a=b\n", b"5 a=b\n", b"\xff\xff", b"6 abc\n"]
BAD_SIZES = [b"\xff" * 12, b"\xff" * 10 + b"\xfe\0", b"-0000000512\0", b"0o17\0" + bytes(7), b"1_000\0" + bytes(6)]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("records", [*BAD_RECORDS, b"9" * 5000 + b" a=b\n"])
def test_pax_records_that_are_not_as_long_as_they_say_are_refused(records: bytes, tmp_path: Path) -> None:
    path = tar_of(tmp_path / "x.tar", member(b"pax", records, b"x"), member(b"a.png", b"1"))
    with pytest.raises(DataError, match=r"x\.tar: member pax has a pax record"):
        scan_tar(path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("size", BAD_SIZES)
@pytest.mark.parametrize("kind", [b"0", b"L", b"x"])
def test_sizes_that_are_negative_or_no_octal_number_are_refused(size: bytes, kind: bytes, tmp_path: Path) -> None:
    path = tar_of(tmp_path / "x.tar", member(b"a.png", b"1", kind, size))
    with pytest.raises(DataError, match=r"x\.tar: member a\.png has .*number"):
        scan_tar(path)


@pytest.mark.parametrize("value", [b"-1", b"1e9", b"9" * 4500, b"", b"\xd9\xa3"])
def test_a_pax_size_of_nonsense_is_refused(value: bytes, tmp_path: Path) -> None:
    path = tar_of(tmp_path / "x.tar", member(b"pax", record(b"size", value), b"x"), member(b"a.png", b"1"))
    with pytest.raises(DataError, match=r"x\.tar: member a\.png has .*for a size"):
        scan_tar(path)


@pytest.mark.parametrize(
    ("kind", "size"), [(b"0", 8**11 - 1), (b"0", b"\x80" + b"\x7f" * 11), (b"L", 600_000), (b"x", 600_000)]
)
def test_more_bytes_than_the_tar_has_are_refused(kind: bytes, size: int | bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.tar: ends inside"):
        scan_tar(tar_of(tmp_path / "x.tar", member(b"a.png", b"1", kind, size)))


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_a_name_of_megabytes_is_refused_even_if_it_is_there(kind: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"announces 2000000 bytes of name"):
        scan_tar(tar_of(tmp_path / "x.tar", member(b"a.png", b"1" * 2_000_000, kind)))


@pytest.mark.parametrize(
    "pieces",
    [
        (member(b"a.png", b"1", b"S"),),
        (member(b"pax", record(b"GNU.sparse.major", b"1"), b"x"), member(b"a.png", b"1")),
    ],
)
def test_files_with_holes_are_refused(pieces: tuple[bytes, ...], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="file with holes"):
        scan_tar(tar_of(tmp_path / "x.tar", *pieces))


def test_a_global_header_cannot_rename_what_follows(tmp_path: Path) -> None:
    comment = member(b"g", record(b"comment", b"0" * 40), b"g")  # as `git archive` writes it
    assert len(scan_tar(tar_of(tmp_path / "x.tar", comment, member(b"a.png", b"1")))) == 1
    with pytest.raises(DataError, match="renames all members"):
        scan_tar(tar_of(tmp_path / "y.tar", member(b"g", record(b"path", b"b.png"), b"g"), member(b"a.png", b"1")))


def test_a_link_has_no_bytes_whatever_size_it_gives(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "x.tar", header(b"link.png", 700, b"1"), member(b"a.png", b"1"))
    assert [sample[0].name for sample in scan_tar(path)] == ["a.png"]


def test_a_long_name_outlives_the_long_name_of_a_link(tmp_path: Path) -> None:
    names = [member(b"long", b"n" * 150 + b".png\0", b"L"), member(b"long", b"target\0", b"K")]
    assert scan_tar(tar_of(tmp_path / "x.tar", *names, member(b"a", b"1")))[0][0].name == "n" * 150 + ".png"


def test_a_member_twice_in_a_sample_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", [("a.png", b"1"), ("a.cls", b"1"), ("a.png", b"2")])
    with pytest.raises(DataError, match=r"x\.tar: holds a\.png twice"):
        scan_tar(path)


@pytest.mark.timeout(20)
def test_thousands_of_members_of_one_key_take_no_square_of_time(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "x.tar", *(member(b"v2.%d.png" % number, b"") for number in range(30_000)))
    assert len(scan_tar(path)[0]) == 30_000


def test_names_that_are_not_utf_8_are_indexed(tmp_path: Path) -> None:
    tar_of(tmp_path / "x.tar", member(b"\xff\xfe.png", encoded(ROWS[0])))
    assert len(read_all(open_shards(str(tmp_path / "x.tar"), tmp_path / "cache"))) == 1


def labelled_tar(path: Path, extension: str, texts: list[bytes]) -> Path:
    members = []
    for number, text in enumerate(texts):
        members += [(f"k{number}.png", encoded(ROWS[number])), (f"k{number}.{extension}", text)]
    return write_tar(path, members)


def labelled_zip(path: Path, label: int) -> Path:
    names = [f"00000/{number}.png" for number in range(3)]
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, encoded(ROWS[number]))
        rows = [[name, label if number else 0] for number, name in enumerate(names)]
        archive.writestr("dataset.json", json.dumps({"labels": rows}))
    return path


@pytest.mark.parametrize("kind", ["cls", "json", "zip", "npz", "npy"])
def test_a_label_of_99_999_999_makes_no_such_number_of_classes(kind: str, tmp_path: Path) -> None:
    label = 99_999_999
    path = tmp_path / f"x.{kind}"
    if kind in ("cls", "json"):
        texts = [b"0", b"1", b"%d" % label]
        path = labelled_tar(tmp_path / "x.tar", kind, [b'{"label": %s}' % t if kind == "json" else t for t in texts])
    elif kind == "zip":
        labelled_zip(path, label)
    elif kind == "npz":
        np.savez(path, images=ROWS[:3], labels=np.array([0, 1, label]))
    else:
        np.save(path, ROWS[:3])
        np.save(tmp_path / "x_labels.npy", np.array([0, 1, label]))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"label 99999999.*1,000,000 classes"):
        open_source(str(path), size=0, cache_dir=tmp_path / "cache")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("extension", "text", "message"),
    [
        ("cls", b"1" * 5000, "is 5 kB large"),
        ("cls", b"9" * 4096, "out of|label|classes"),
        ("json", b"[" * 100_000, "is no label"),
        ("json", b'{"label": 1, "label": 2}', "is no label"),
        ("json", b'{"label": NaN}', "is no label"),
        ("json", b'{"label": "\\ud800"}', "cannot be the name of a class"),
    ],
)
def test_labels_without_bounds_are_refused(extension: str, text: bytes, message: str, tmp_path: Path) -> None:
    labelled_tar(tmp_path / "x.tar", extension, [text])
    with pytest.raises(DataError, match=message):
        open_shards(str(tmp_path / "x.tar"), tmp_path / "cache")


def index_of(folder: Path, number: int = 0) -> Path:
    return folder / load_manifest(folder).shards[number].index_name


def test_the_index_of_another_shard_is_noticed(packed: Packed) -> None:
    folder = packed(smooth_pictures(192, 16), codec="png", shard_bytes=1000)[0]
    index_of(folder, 0).write_bytes(index_of(folder, 1).read_bytes())
    dataset = open_folder(folder)
    problems = dataset.read(np.arange(64), np.empty((64, 16, 16, 3), np.uint8))
    assert len(problems) > 60, "pictures of other places are taken for the right ones"
    assert "lies elsewhere than" in problems[max(problems)].reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [lines[0], *[lines[1]] * (len(lines) - 1)], "overlap"),
        (lambda lines: [lines[0], lines[1].replace(" 512 ", " -512 "), *lines[2:]], "overlap|is not `extension"),
        (
            lambda lines: [lines[0], lines[1].replace(" 512 ", f" {2**62} "), *lines[2:]],
            "points past|is not `extension",
        ),
        (lambda lines: [lines[0], lines[1].replace(" 512 ", " " + "9" * 5000 + " "), *lines[2:]], "is not `extension"),
        (lambda lines: [lines[0], "a " * 20_000], "cannot be the index"),
        (lambda lines: ["x" * 1_000_000], "cannot be the index"),
    ],
)
def test_an_index_that_no_tar_has_is_refused(change: Callable[..., list[str]], message: str, packed: Packed) -> None:
    folder = packed(smooth_pictures(20, 16), codec="png")[0]
    path = index_of(folder)
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(DataError, match=message):
        open_folder(folder).encoded(0)


def test_an_index_that_is_gone_is_told_by_verify_too(packed: Packed) -> None:
    folder = packed(ROWS, codec="png")[0]
    index_of(folder).unlink()
    assert any("cannot be read" in problem for problem in verify(open_folder(folder)).problems)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 2**60}, "count: .*less than"),
        ({"shape": [3, 2**31, 2**31]}, "shape.*less than"),
        ({"shape": [3, 16384, 16384]}, "cannot hold 6 samples"),
        ({"shape": [3, 16384, 16384], "fit": "center"}, "too large to be fitted"),
        ({"classes": [""] * 1_000_001}, "classes: "),
        ({"x" * 10_000: 1}, "Extra inputs"),
    ],
)
def test_counts_and_shapes_beyond_the_shards_are_refused(
    change: dict[str, object], message: str, packed: Packed
) -> None:
    folder = packed(ROWS, codec="png")[0]
    table = {**json.loads((folder / "dataset.json").read_text()), **change}
    with pytest.raises(DataError, match=message) as caught:
        parse_manifest(json.dumps(table), "x/dataset.json")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("fit", ["", "center"])
def test_more_samples_than_a_shard_has_bytes_for_are_refused(fit: str, packed: Packed) -> None:
    folder = packed(ROWS)[0]
    table = {**json.loads((folder / "dataset.json").read_text()), "fit": fit}
    table["count"] = table["shards"][0]["count"] = 10**12
    with pytest.raises(DataError, match=r"shard-000000\.tar cannot hold 1,000,000,000,000 samples"):
        parse_manifest(json.dumps(table), "x/dataset.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deep"),
        ('{"format": "ganforge-dataset", "count": 1, "count": 2}', "key 'count' twice"),
        ('{"format": "ganforge-dataset", "made_with": {"x": NaN}}', "NaN"),
        ('{"format": "ganforge-dataset", "count": ' + "9" * 5000 + "}", "is not JSON"),
        ("[" + "[]," * 1_500_000 + "0]", "more than 2,000,000 values"),
        (b'{"a": "\xff"}', "not UTF-8"),
    ],
)
def test_a_manifest_without_bounds_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_manifest(text, "x/dataset.json")


def test_a_manifest_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "dataset.json", "wb") as file:
        file.truncate(10**10)
    with pytest.raises(DataError, match="is larger than 64 MB"):
        load_manifest(tmp_path)


@pytest.mark.parametrize("labels", [[0.0] * 6, [np.nan] * 6, [1j] * 6, ["a"] * 6, [None] * 6, [2**62] * 6])
def test_labels_of_a_packed_folder_are_whole_numbers(labels: list[object], packed: Packed) -> None:
    folder = packed(ROWS, np.arange(6) % 3)[0]
    np.save(folder / "labels.npy", np.array(labels), allow_pickle=True)
    table = json.loads((folder / "dataset.json").read_text())
    table["labels_sha256"] = hashlib.sha256((folder / "labels.npy").read_bytes()).hexdigest()
    (folder / "dataset.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match=r"labels\.npy: (holds|is damaged|has labels outside)"):
        open_folder(folder)


def test_labels_of_gigabytes_are_not_read(packed: Packed) -> None:
    folder = packed(ROWS, np.arange(6) % 3)[0]
    with open(folder / "labels.npy", "r+b") as file:
        file.truncate(10**10)
    with pytest.raises(DataError, match="too much for 6 labels"):
        open_folder(folder)


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
        (b"\x93NUMPY", "no array"),
        (b"", "no array"),
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
    with pytest.raises(DataError, match=r"is a damaged|no picture"):
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


@pytest.mark.parametrize(
    "text", ["x{0..999999999}.tar", "pipe:cat {0..9999}{0..9999}", "http://[x/{0..3}.tar", "{a,{b"]
)
def test_braces_and_urls_of_nonsense_are_refused(text: str) -> None:
    with pytest.raises(DataError):
        expand(text)


def test_the_bound_on_pictures_is_the_one_in_the_messages() -> None:
    assert PICTURE_BYTES == 100_000_000
