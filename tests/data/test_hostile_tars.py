"""Tars, labels and indexes that lie: what they announce is compared with what is there, and refused in a line."""

import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, read_all, smooth_pictures
from test_tarindex import write_tar

from ganforge.data.shards.manifest import Manifest, load_manifest
from ganforge.data.shards.registered import open_folder, open_shards
from ganforge.data.shards.tarindex import scan_tar
from ganforge.data.sources.open import open_source
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
    source = open_source(str(path), size=0, cache_dir=tmp_path / "cache")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert source.classes == (("0", "99999999") if kind == "zip" else ("0", "1", "99999999"))
    assert source.item(2).label == len(source.classes) - 1


@pytest.mark.parametrize(
    ("extension", "text", "message"),
    [
        ("cls", b"1" * 5000, "is 5 kB large"),
        ("cls", b"9" * 4096, "out of|label|classes"),
        ("json", b"[" * 100_000, "is not a label"),
        ("json", b'{"label": 1, "label": 2}', "is not a label"),
        ("json", b'{"label": NaN}', "is not a label"),
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
    "text", ["x{0..999999999}.tar", "pipe:cat {0..9999}{0..9999}", "http://[x/{0..3}.tar", "{a,{b"]
)
def test_braces_and_urls_of_nonsense_are_refused(text: str) -> None:
    with pytest.raises(DataError):
        expand(text)
