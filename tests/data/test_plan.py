"""What a pack decides before it begins: grey or colour of all, size of the first, and what it says of that."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, smooth_pictures
from PIL import Image
from test_cli_data import run
from test_sources import packed, rows_of, source

from ganforge.data.sources.base import Source
from ganforge.data.sources.folder import FolderSource
from ganforge.errors import DataError

GREY, RGB = smooth_pictures(1, 16, 1)[0], smooth_pictures(1, 16)[0]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A hundred grey pictures, and one of colour at the end."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number:03d}.png").write_bytes(encoded(GREY))
    (folder / "colour.png").write_bytes(encoded(RGB))
    return folder


@pytest.mark.parametrize("kind", ["folder", "zip", "deflated"])
def test_one_picture_of_colour_after_many_grey_ones_makes_all_rgb(kind: str, mixed: Path, tmp_path: Path) -> None:
    place = mixed
    if kind != "folder":
        place = tmp_path / "x.zip"
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED if kind == "deflated" else zipfile.ZIP_STORED) as file:
            for path in sorted(mixed.iterdir()):
                file.write(path, path.name)
    dataset = packed(source(place, tmp_path), tmp_path)
    assert dataset.spec.channels == 3
    assert np.array_equal(rows_of(dataset)[100], RGB)
    report = json.loads((tmp_path / "out" / "pack_report.json").read_text())
    assert "grey and colour are mixed, so all become RGB: colour.png has colour, picture 1 does not" in report["rules"]
    assert report["conversions"]["grey made RGB"] == {"pictures": 100, "first": "000.png"}


def test_deciding_reads_headers_and_one_picture(mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganforge.data.plan import PackOptions, make_plan

    read = []
    whole = FolderSource.item
    monkeypatch.setattr(FolderSource, "item", lambda self, index: (read.append(index), whole(self, index))[1])
    assert make_plan(FolderSource(mixed), PackOptions()).fit.channels == 3
    assert set(read) <= {0, 100}, "the first for its size, the last for its name"


def test_the_fourth_channel_of_an_array_is_alpha_only_if_the_source_says_so(tmp_path: Path) -> None:
    pictures = np.zeros((3, 16, 16, 4), np.uint8)
    for place, array in (("last.npy", pictures), ("first.npy", pictures.transpose(0, 3, 1, 2))):
        np.save(tmp_path / place, array)
        with pytest.raises(
            DataError, match="has 4 channels, and nothing says that the fourth is alpha; keep 3 of them"
        ):
            source(tmp_path / place, tmp_path)
    np.savez(tmp_path / "x.npz", rgba=pictures)
    assert (rows_of(packed(source(tmp_path / "x.npz", tmp_path), tmp_path)) == 255).all(), "transparent becomes white"


def test_the_first_pictures_size_is_its_own_and_not_a_square(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    wide = np.repeat(smooth_pictures(1, 48)[0], 2, axis=1)[:, :64]
    (folder / "a.png").write_bytes(encoded(wide))
    (folder / "b.png").write_bytes(encoded(smooth_pictures(1, 80)[0]))
    said = run("pack", folder, tmp_path / "out", "--workers", "1", "--cache-dir", tmp_path / "cache")
    assert "2 samples, 48x64 RGB" in said
    assert "size: 48x64 (height x width), that of the first picture, a.png" in said
    assert "pictures: cropped (1), resized (1)" in said


def test_a_picture_of_more_pixels_than_pillow_decodes_is_let_in_by_the_remedy_that_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    Image.new("L", (13_500, 13_500)).save(folder / "a.jpg")  # decoded at an eighth of its size: quick
    arguments = ("pack", folder, tmp_path / "out", "--size", "16", "--workers", "1", "--cache-dir", tmp_path / "cache")
    with pytest.raises(DataError, match=r"a\.jpg, has 183 megapixels.*--max-megapixels 183` lets it in"):
        run(*arguments)
    assert "1 sample, 16x16 grey" in run(*arguments, "--max-megapixels", "183")


def test_what_was_done_to_pictures_is_counted_by_kind(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    picture = Image.fromarray(smooth_pictures(1, 16)[0])
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(folder / "plain.PNG")
    picture.convert("P").save(folder / "palette.png")
    picture.convert("1").save(folder / "bit.png")
    picture.convert("LA").save(folder / "la.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.save(folder / "turned.jpg", exif=exif)
    for name in ("frames.gif", "frames.webp", "pages.tiff"):
        picture.save(folder / name, save_all=True, append_images=[picture.rotate(90)])
    packed(source(folder, tmp_path), tmp_path)
    done = json.loads((tmp_path / "out" / "pack_report.json").read_text())["conversions"]
    assert {kind: row["pictures"] for kind, row in done.items()} == {
        "CMYK made RGB": 1,
        "first of several frames or pages taken": 3,
        "grey made RGB": 2,
        "transparent parts made white": 1,
        "turned upright by EXIF": 1,
    }


def test_every_source_says_the_beginning_of_what_it_gives(
    picture_folder: Path, jpeg_folder: Path, tmp_path: Path
) -> None:
    def check(found: Source) -> None:
        for index in (0, len(found) - 1):
            start, whole = found.start(index), found.item(index).data
            assert isinstance(start, bytes)
            assert isinstance(whole, bytes)
            assert start == whole[: len(start)]
            assert len(start) >= min(26, len(whole))

    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(picture_folder.rglob("*.png"))[:5]:
            file.write(path, path.name)
    for place in (picture_folder, jpeg_folder, tmp_path / "x.zip"):
        check(source(place, tmp_path))
