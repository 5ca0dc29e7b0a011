"""What a foreign tar holds is told in one way by training, `inspect` and `pack`, and what is left out is named."""

from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, smooth_pictures
from test_cli_data import run
from test_labels import PICTURES, ROWS, put
from test_sources import packed, rows_of, source

from ganforge.data.shards.registered import open_shards
from ganforge.data.shards.tarindex import format_idx, parse_idx, scan_tar
from ganforge.data.verify import verify
from ganforge.errors import DataError

GREY = [encoded(row) for row in smooth_pictures(12, 16, 1)]
RULE = "all up to the first dot is the key (WebDataset's rule), and a key has one picture"
TARS = {
    "dots": (
        [(f"v2.{n}.png", PICTURES[n]) for n in range(8)],
        1,
        f"7 pictures are left out, such as v2.1.png beside v2.0.png: {RULE}",
    ),
    "mask": (
        [(f"{n}.{kind}.png", data) for n in range(8) for kind, data in (("image", PICTURES[n]), ("mask", GREY[n]))],
        8,
        f"8 pictures are left out, such as 0.mask.png beside 0.image.png: {RULE}",
    ),
    "apart": (
        [*((f"{n}.png", PICTURES[n]) for n in range(8)), *((f"{n}.cls", str(n % 2)) for n in range(8))],
        8,
        "8 labels apart from the pictures joined to them by key",
    ),
    "missing": (
        [
            (f"{n}.{end}", data)
            for n in range(8)
            for end, data in (("cls", str(n % 2)), ("png", PICTURES[n]))
            if (n, end) != (3, "cls")
        ],
        7,
        "1 sample without a label left out, such as 3.png",
    ),
}


@pytest.mark.parametrize("kind", TARS)
def test_pack_inspect_and_verify_agree_on_a_tar_and_say_the_rule(kind: str, tmp_path: Path) -> None:
    files, count, rule = TARS[kind]
    tar = put(tmp_path / "x.tar", files)
    cache = ("--cache-dir", tmp_path / "cache")
    for _ in range(2):  # the second time from the index in the cache
        said = run("inspect", tar, "--sheet", tmp_path / "sheet.png", *cache)
        assert f"samples  {count}" in said
        assert rule in said
    said = run("pack", tar, tmp_path / "out", "--workers", "1", *cache)
    assert f"{count} sample" in said
    assert rule in said
    assert f"{count} sample" in run("verify", tar, *cache)


@pytest.mark.parametrize("kind", ["apart", "missing"])
def test_labels_are_neither_lost_apart_nor_because_one_is_missing(kind: str, tmp_path: Path) -> None:
    tar = put(tmp_path / "x.tar", TARS[kind][0])
    wanted = [n for n in range(8) if kind != "missing" or n != 3]
    for dataset in (open_shards(str(tar), tmp_path / "cache"), packed(source(tar, tmp_path), tmp_path)):
        assert dataset.labels is not None
        assert dataset.labels.tolist() == [n % 2 for n in wanted]
        assert np.array_equal(rows_of(dataset), ROWS[wanted])


def test_many_missing_labels_drop_all_and_that_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from ganforge.registry import register

    put(tmp_path / "x.tar", [*((f"{n}.png", PICTURES[n]) for n in range(8)), ("8.cls", "1"), ("8.png", PICTURES[8])])
    for _ in range(2):  # at each start, not only when the index is made
        caplog.clear()
        dataset = register.dataset.get("shards").factory(tmp_path / "cache", path=str(tmp_path / "x.tar"))
        assert dataset.labels is None
        assert (
            "no labels: 8 of 9 pictures have none in the shards' .cls and .json, too many to leave out" in caplog.text
        )


def test_names_of_classes_may_stand_in_cls(tmp_path: Path) -> None:
    files = [
        (f"{n}.{end}", data) for n in range(4) for end, data in (("cls", ("cat\n", "dog")[n % 2]), ("png", PICTURES[n]))
    ]
    dataset = open_shards(str(put(tmp_path / "x.tar", files)), tmp_path / "cache")
    assert dataset.spec.classes == ("cat", "dog")
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0, 1, 0, 1]
    assert not verify(dataset).problems


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"b'cat'", b"two\nlines", b"x" * 1000])
def test_what_is_no_name_in_cls_is_refused(data: bytes, tmp_path: Path) -> None:
    put(tmp_path / "x.tar", [("0.cls", data), ("0.png", PICTURES[0])])
    with pytest.raises(DataError, match=r"x\.tar: 0\.cls: .* is not a label, neither a number nor the name of a class"):
        open_shards(str(tmp_path / "x.tar"), tmp_path / "cache")


def test_an_index_of_names_with_blanks_is_read_again(tmp_path: Path) -> None:
    files = [("v2.0 b.png", PICTURES[0]), ("w 50%20.x y.png", PICTURES[1]), ("README", b"x"), ("z.jpg", PICTURES[2])]
    tar = put(tmp_path / "x.tar", files)
    samples = scan_tar(tar)
    again = parse_idx(format_idx(samples), "x")
    assert [[m[:3] for m in s] for s in again] == [[m[:3] for m in s] for s in samples]
    for _ in range(2):
        assert np.array_equal(rows_of(open_shards(str(tar), tmp_path / "cache")), ROWS[:3])


def test_grey_pictures_before_colour_do_not_make_a_tar_grey(tmp_path: Path) -> None:
    files = [(f"{n:03d}.png", GREY[n % 12]) for n in range(40)] + [("zz.png", PICTURES[0])]
    dataset = open_shards(str(put(tmp_path / "x.tar", files)), tmp_path / "cache")
    assert dataset.spec.channels == 3
    assert np.array_equal(rows_of(dataset)[40], ROWS[0])


def test_a_tar_of_48_by_64_is_not_cut_square(tmp_path: Path) -> None:
    wide = np.repeat(smooth_pictures(1, 48)[0], 2, axis=1)[:, :64]
    dataset = open_shards(str(put(tmp_path / "x.tar", [("a.png", encoded(wide))])), tmp_path / "cache")
    assert np.array_equal(rows_of(dataset)[0], wide)
