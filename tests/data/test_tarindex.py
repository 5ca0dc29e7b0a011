"""Tars of all makers are indexed like DALI does it, and damaged ones are refused by name."""

import io
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from webdataset.writer import TarWriter

from ganforge.data.shards.manifest import load_manifest
from ganforge.data.shards.tarindex import format_idx, parse_idx, scan_tar, split_name
from ganforge.errors import DataError


def write_tar(path: Path, members: list[tuple[str, bytes]], format_number: int = tarfile.USTAR_FORMAT) -> Path:
    with tarfile.open(path, "w", format=format_number) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


MEMBERS = [("a/000.jpg", b"x" * 700), ("a/000.cls", b"3"), ("a/001.jpg", b""), ("a/001.seg.png", b"y" * 512)]


@pytest.mark.parametrize("format_number", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_scan_agrees_with_the_standard_library(tmp_path: Path, format_number: int) -> None:
    long = "b/" + "n" * 150 + "/" + "m" * 60 if format_number != tarfile.USTAR_FORMAT else "b/002"
    path = write_tar(tmp_path / "x.tar", [*MEMBERS, (f"{long}.png", b"z" * 1000), ("b/ü.txt", b"!")], format_number)
    found = [(m.name, m.offset, m.size) for sample in scan_tar(path) for m in sample]
    with tarfile.open(path) as tar:
        assert found == [(info.name, info.offset_data, info.size) for info in tar]


def test_members_of_one_key_make_one_sample(tmp_path: Path) -> None:
    samples = scan_tar(write_tar(tmp_path / "x.tar", [*MEMBERS, ("a/.hidden", b"h"), ("._002.jpg", b"mac")]))
    assert [[m.extension for m in sample] for sample in samples] == [["jpg", "cls"], ["jpg", "seg.png"]]
    assert split_name("a.b/c.d.e") == ("a.b/c", "d.e")


def test_a_tar_of_gnu_tar_is_read(tmp_path: Path) -> None:
    for name in ("0001.jpg", "0001.cls", "0002.jpg"):
        (tmp_path / name).write_bytes(b"1" * 600)
    subprocess.run(["tar", "cf", "x.tar", "--sort=name", "--exclude=x.tar", "."], cwd=tmp_path, check=True)
    assert [len(sample) for sample in scan_tar(tmp_path / "x.tar")] == [2, 1]


def test_idx_follows_the_rules_of_dali(raw_folder: Path) -> None:
    # Of DALI's reader: `v1.2 COUNT`, then per line `extension offset size name` repeated, split at blanks,
    # offsets multiples of 512 that point at the bytes, as many lines as samples.
    for shard in load_manifest(raw_folder).shards:
        head, *lines = (raw_folder / shard.index_name).read_text().split("\n")
        assert lines.pop() == ""
        assert re.fullmatch(r"v1\.2 \d+", head)
        assert int(head.split()[1]) == len(lines) == shard.count
        with tarfile.open(raw_folder / shard.name) as tar:
            expected = {info.name: (info.offset_data, info.size) for info in tar}
        seen = {}
        for line in lines:
            fields = line.split(" ")
            assert len(fields) % 4 == 0
            for extension, offset, size, name in zip(*[iter(fields)] * 4, strict=True):
                assert int(offset) % 512 == 0
                assert name.split(".", 1)[1] == extension
                seen[name] = (int(offset), int(size))
        assert seen == expected


def test_idx_round_trip_also_with_blanks_in_names(tmp_path: Path) -> None:
    samples = scan_tar(write_tar(tmp_path / "x.tar", MEMBERS))
    assert parse_idx(format_idx(samples), "x") == samples
    blank = scan_tar(write_tar(tmp_path / "y.tar", [("my photo.jpg", b"1"), ("other.jpg", b"2")]))
    text = format_idx(blank)
    assert text.startswith("v1.1 2\n")
    assert [m.offset for s in parse_idx(text, "y") for m in s] == [m.offset for s in blank for m in s]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not begin"),
        ("v2.0 1\njpg 512 1 a.jpg\n", "does not begin"),
        ("v1.2 2\njpg 512 1 a.jpg\n", "says 2 samples and lists 1"),
        ("v1.2 1\njpg 513 1 a.jpg\n", "line 2"),
        ("v1.2 1\njpg 512\n", "line 2"),
        ("v1.2 1\n\n", "line 2"),
    ],
)
def test_a_broken_idx_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_idx(text, "x.idx")


@pytest.mark.parametrize("cut", [100, 1024, 1500, 3000, 5120])
def test_a_truncated_tar_is_refused_wherever_it_ends(tmp_path: Path, cut: int) -> None:
    path = write_tar(tmp_path / "x.tar", MEMBERS)
    whole = path.read_bytes()
    assert len(whole) > cut
    end = max(i for i in range(0, len(whole), 512) if any(whole[i : i + 512])) + 512
    path.write_bytes(whole[: min(cut, end)])
    with pytest.raises(DataError, match=r"x\.tar: .*(truncated|too short)"):
        scan_tar(path)


@pytest.mark.parametrize("name", ["../evil.jpg", "a/../../evil.jpg", "/etc/evil.jpg"])
def test_a_hostile_name_is_refused_with_shard_and_name(tmp_path: Path, name: str) -> None:
    path = write_tar(tmp_path / "x.tar", [("ok.jpg", b"1"), (name, b"2")])
    with pytest.raises(DataError, match=r"x\.tar: member .*evil\.jpg.* do not trust"):
        scan_tar(path)


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"\x1f\x8b" + bytes(range(256)) * 8)
    with pytest.raises(DataError, match="no tar header"):
        scan_tar(tmp_path / "x.tar")


def test_a_flipped_bit_in_a_header_is_noticed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", MEMBERS)
    data = bytearray(path.read_bytes())
    data[130] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="no tar header"):
        scan_tar(path)


def test_a_large_shard_of_tarwriter_is_scanned(tmp_path: Path) -> None:
    with TarWriter(str(tmp_path / "x.tar"), encoder=False) as writer:
        for number in range(2000):
            writer.write({"__key__": f"{number:06d}", "jpg": bytes(number % 700), "cls": b"1"})
    samples = scan_tar(tmp_path / "x.tar")
    assert len(samples) == 2000
    assert [sample[1].size for sample in samples] == [number % 700 for number in range(2000)]
