"""What looks at pictures before they are packed takes no more than what reads them."""

import os
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, smooth_pictures
from faultyserver import FaultyServer
from PIL import Image
from test_tarindex import write_tar

from ganforge.data.cache import ShardCache
from ganforge.data.classes import folder_classes, label_classes
from ganforge.data.limits import CLASSES, PICTURE_BYTES
from ganforge.data.picture_folder import PictureFolder
from ganforge.data.pictures import BadPicture
from ganforge.data.plan import PackOptions, make_plan
from ganforge.data.sources.folder import FolderSource
from ganforge.data.sources.stylegan import find_table
from ganforge.data.sources.unpack import read_member
from ganforge.data.sources.zipstart import first_bytes
from ganforge.data.tarcontents import look_through, read_picture
from ganforge.errors import DataError
from ganforge.registry import register

ROWS = smooth_pictures(6, 16)


def test_folders_in_folders_without_end_cost_no_time() -> None:
    names = ["a/" * 200_000 + f"{name}.png" for name in ("x", "y")]
    asked: list[str] = []
    began = time.process_time()
    assert folder_classes(names).classes == ()
    assert find_table(names, lambda place: bool(asked.append(place))) == ""
    assert time.process_time() - began < 3
    assert len(asked) < 100


def test_more_classes_than_any_dataset_has_are_refused_in_a_line() -> None:
    with pytest.raises(DataError, match=r"x: 1,000,001 classes, and there may be 1,000,000"):
        label_classes(range(CLASSES + 1), "x")


def test_the_range_of_deep_pictures_is_found_without_keeping_them(tmp_path: Path) -> None:
    for number in range(32):
        Image.fromarray(np.full((512, 512), 4000 + number, np.uint16)).save(tmp_path / f"{number}.png")
    source = FolderSource(tmp_path)
    make_plan(source, PackOptions())  # imports
    tracemalloc.start()
    plan = make_plan(source, PackOptions())
    assert tracemalloc.get_traced_memory()[1] < 8e6  # of 17 MB of pixels
    tracemalloc.stop()
    assert plan.fit.values is not None
    assert plan.fit.values[:2] == (0, 4095)


def test_a_large_file_in_a_picture_folder_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(ROWS[0]))
    (tmp_path / "b.png").write_bytes(encoded(ROWS[1]))
    os.truncate(tmp_path / "b.png", 20 * PICTURE_BYTES)
    folder = PictureFolder(tmp_path)
    rows = np.empty((2, *folder.row_shape), np.uint8)
    problems = folder.read(np.arange(2), rows)
    assert list(problems) == [1]
    assert "larger than 100 MB" in problems[1].reason


def test_a_member_of_a_zip_beyond_its_end_cannot_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.png", encoded(ROWS[0]))
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        info = archive.getinfo("a.png")
        for offset in (-1, 2**40, 2**64 - 1):
            info.header_offset = offset
            assert first_bytes(archive, info, 100) == b""
            with pytest.raises(BadPicture, match="cannot be unpacked"):
                read_member(archive, info)


def test_a_shard_that_left_the_cache_while_others_were_looked_through_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    pictures = [encoded(row) for row in ROWS[:3]]
    for number, picture in enumerate(pictures):
        write_tar(tmp_path / "served" / f"{number}.tar", [(f"{number}.png", picture)])
    server = FaultyServer(tmp_path / "served")
    try:
        cache = ShardCache(tmp_path / "cache", limit_bytes=(tmp_path / "served" / "0.tar").stat().st_size)
        contents = look_through([f"{server.url}/{number}.tar" for number in range(3)], cache, "")
        assert len(list((tmp_path / "cache").glob("??/*.tar"))) == 1
        assert [read_picture(contents, place) for place in range(3)] == pictures
        assert len(list((tmp_path / "cache").glob("??/*.tar"))) == 1
    finally:
        server.stop()


def test_a_picture_larger_than_any_is_not_read_to_see_its_kind(tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", [("0.bmp", encoded(ROWS[0])), ("1.bmp", bytes(PICTURE_BYTES + 1))])
    cache = ShardCache(tmp_path / "cache")
    tracemalloc.start()
    contents = look_through([str(tmp_path / "x.tar")], cache, "")
    with pytest.raises(BadPicture, match="is 100 MB large"):
        read_picture(contents, 1)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
    assert contents.sights[1] is None


def test_shards_are_made_by_name_without_a_limit_for_the_cache(tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", [(f"{n}.png", encoded(row)) for n, row in enumerate(ROWS)])
    assert len(register.dataset.make("shards", tmp_path / "cache", path=str(tmp_path / "x.tar"))) == len(ROWS)
