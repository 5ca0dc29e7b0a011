"""A folder is read once, whatever links and names it holds, and what was passed by is told."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, smooth_pictures
from test_sources import packed, rows_of, source

from ganforge.data.shards.registered import open_folder
from ganforge.data.walk import find_pictures
from ganforge.errors import DataError

PICTURES = [encoded(row) for row in smooth_pictures(4, 16)]


def folder_of(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(PICTURES[number % 4])
    return root


def test_a_link_to_the_parent_or_to_itself_brings_no_picture_twice(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "x", "a.png", "b.png", "in/c.png", "in/d.png")
    (root / "in" / "up").symlink_to(root)
    (root / "again").symlink_to("in")
    (root / "self").symlink_to("self")
    found = find_pictures(root)
    assert found.names == ["a.png", "b.png", "in/c.png", "in/d.png"]
    assert found.skipped == ["again", "in/up"]
    assert "2 links or special files were passed by, such as again: each folder is read once" in found.notes[-1]


def test_links_to_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    elsewhere = folder_of(tmp_path / "store", "1.png", "2.png")
    root = folder_of(tmp_path / "x", "dog/1.png")
    (root / "cat").symlink_to(elsewhere)
    dataset = packed(source(root, tmp_path), tmp_path)
    assert dataset.spec.classes == ("cat", "dog")
    assert len(dataset) == 3


def test_a_link_that_leads_nowhere_is_a_bad_picture_with_its_name(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "x", "a.png", "b.png")
    (root / "gone.png").symlink_to("/nowhere/gone.png")
    with pytest.raises(DataError, match=r"1 of the first 3 .* gone\.png, is a link that leads nowhere.*`max_bad=...`"):
        packed(source(root, tmp_path), tmp_path)
    assert len(packed(source(root, tmp_path), tmp_path, max_bad="1")) == 2
    report = json.loads((tmp_path / "out" / "pack_report.json").read_text())
    assert [row["name"] for row in report["left_out"]] == ["gone.png"]


def test_names_that_are_not_utf8_give_a_dataset_that_opens(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path / "x")
    for folder, file in ((b"caf\xe9", b"1\xff.png"), (b"bar", b"2.png"), (b"bar", b"3\xfe.png")):
        os.makedirs(os.path.join(root, folder), exist_ok=True)
        with open(os.path.join(root, folder, file), "wb") as stream:
            stream.write(b"junk" if file[:1] == b"3" else PICTURES[0])
    packed(source(tmp_path / "x", tmp_path), tmp_path, max_bad="1")
    dataset = open_folder(tmp_path / "out")
    assert dataset.spec.classes == ("bar", "caf\\xe9")
    report = json.loads((tmp_path / "out" / "pack_report.json").read_text())
    assert report["left_out"][0]["name"] == "bar/3\\xfe.png"


def test_what_is_no_picture_is_counted_by_kind(tmp_path: Path) -> None:
    root = folder_of(
        tmp_path / "x", "a.PNG", "b.heic", "c.heic", "d.txt", ".hidden.txt", "__MACOSX/e.png", ".git/f.png"
    )
    found = find_pictures(root)
    assert found.names == ["a.PNG"]
    assert found.notes == ["files that are no pictures were passed by: 2 .heic, 1 .txt"]
    (root / "a.PNG").unlink()
    with pytest.raises(DataError, match=r"holds no pictures .*, only 2 \.heic, 1 \.txt"):
        find_pictures(root)


def test_a_pipe_that_is_named_like_a_picture_is_not_waited_for(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "x", "a.png")
    os.mkfifo(root / "b.png")
    assert np.array_equal(rows_of(packed(source(root, tmp_path), tmp_path)).shape, (1, 16, 16, 3))
