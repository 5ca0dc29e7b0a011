"""Labels are read wherever they are; where they are not usable, the rule and what was left out are told."""

import io
import json
import tarfile
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, smooth_pictures
from test_sources import packed, source

from ganforge.data.classes import folder_classes, label_classes
from ganforge.data.shards.registered import open_shards
from ganforge.data.verify import verify
from ganforge.errors import DataError

ROWS = smooth_pictures(12, 16)
PICTURES = [encoded(row) for row in ROWS]
Files = Sequence[tuple[str, bytes | str]]


def put(place: Path, files: Files) -> Path:
    """Files in a folder, a zip, or a tar."""
    pairs = [(name, data.encode() if isinstance(data, str) else data) for name, data in files]
    if place.suffix == ".zip":
        with warnings.catch_warnings(), zipfile.ZipFile(place, "w") as file:
            warnings.simplefilter("ignore")  # of names that come twice
            for name, data in pairs:
                file.writestr(name, data)
    elif place.suffix == ".tar":
        with tarfile.open(place, "w") as tar:
            for name, data in pairs:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    else:
        for name, data in pairs:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
    return place


def stylegan(top: str, labels: object, count: int = 4) -> Files:
    """Pictures in StyleGAN's buckets, two in each, and its table."""
    names = [f"{number // 2:05d}/img{number:08d}.png" for number in range(count)]
    table = {"labels": [[name, label] for name, label in zip(names, labels, strict=False)] if labels else None}  # type: ignore[call-overload]
    return [*((top + name, PICTURES[n]) for n, name in enumerate(names)), (f"{top}dataset.json", json.dumps(table))]


@pytest.mark.parametrize("place", ["x", "x.zip"])
@pytest.mark.parametrize("top", ["", "pets/", "deep/pets/"])
def test_stylegans_table_is_read_in_folders_and_below_folders_around_all(place: str, top: str, tmp_path: Path) -> None:
    dataset = packed(source(put(tmp_path / place, stylegan(top, [1, 0, 0, 2])), tmp_path), tmp_path)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [1, 0, 0, 2]
    report = json.loads((tmp_path / "out" / "pack_report.json").read_text())
    assert f"labels: 3 classes by number, from {top}dataset.json" in report["rules"]


def test_stylegans_buckets_are_no_classes_without_labels(tmp_path: Path) -> None:
    assert packed(source(put(tmp_path / "x", stylegan("", None)), tmp_path), tmp_path).labels is None
    assert "StyleGAN's folders are no classes" in (tmp_path / "out" / "pack_report.json").read_text()


@pytest.mark.parametrize("place", ["x", "x.zip", "x.tar"])
def test_a_folder_around_the_class_folders_does_not_drop_the_labels(place: str, tmp_path: Path) -> None:
    files = [(f"pets/{'dog' if n % 2 else 'cat'}/{n}.png", PICTURES[n]) for n in range(6)]
    files.append(("__MACOSX/pets/cat/._0.png", b"junk"))
    dataset = packed(source(put(tmp_path / place, files), tmp_path), tmp_path)
    assert dataset.spec.classes == ("cat", "dog")
    assert "labels: the 2 folders below pets/ are the classes" in (tmp_path / "out" / "pack_report.json").read_text()


@pytest.mark.parametrize("place", ["x", "x.zip", "x.tar"])
def test_a_stray_picture_is_left_out_and_named_and_the_labels_stay(place: str, tmp_path: Path) -> None:
    files = [(f"{'dog' if n % 2 else 'cat'}/{n}.png", PICTURES[n]) for n in range(6)] + [("stray.png", PICTURES[6])]
    found = source(put(tmp_path / place, files), tmp_path)
    assert len(packed(found, tmp_path)) == 6
    assert found.classes == ("cat", "dog")
    report = json.loads((tmp_path / "out" / "pack_report.json").read_text())
    assert report["left_out"] == [{"name": "stray.png", "reason": "has no label, and the others have one"}]
    everything = source(tmp_path / place, tmp_path, labels=False)
    assert len(everything) == 7, "without labels nothing is stray"


def test_many_strays_drop_the_labels_and_that_is_told() -> None:
    found = folder_classes(["cat/1.png", "dog/2.png", *(f"{n}.png" for n in range(5))])
    assert found.classes == ()
    assert found.rule == (
        "no labels: 5 of 7 pictures, such as 0.png, lie beside 2 folders (cat, dog), too many to leave out"
    )


def test_names_that_lead_out_of_a_zip_are_only_names(tmp_path: Path) -> None:
    files = [("/abs/cat/1.png", PICTURES[0]), ("../abs/dog/1.png", PICTURES[1]), ("abs\\cat\\2.PNG", PICTURES[2])]
    found = source(put(tmp_path / "x.zip", files), tmp_path)
    assert found.classes == ("cat", "dog")
    assert len(found) == 3


def test_a_member_that_is_in_a_zip_twice_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "x.zip", [("a.png", PICTURES[0]), ("a.png", PICTURES[1]), ("b.png", PICTURES[2])])
    with pytest.raises(DataError, match=r"x\.zip: holds a\.png twice; which is meant\?"):
        source(path, tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('{"labels": [["0.png", 0], ["1.png", 1], ["0.png", 1]]}', r"lists 0\.png twice, with labels 0 and 1"),
        ('{"labels": [["0.png", 0]], "labels": [["0.png", 1]]}', "has the key 'labels' twice"),
        ('{"labels": [["0.png", 0.5], ["1.png", 1]]}', "not class numbers"),
        ('{"labels": [["0.png", 0]]}', r"has no label for 3 of 4 pictures, such as 1\.png"),
        ("[" * 100_000, "cannot be read: it "),
    ],
)
@pytest.mark.parametrize("place", ["x", "x.zip"])
def test_a_table_that_contradicts_itself_is_refused_with_a_remedy_that_works(
    place: str, table: str, message: str, tmp_path: Path
) -> None:
    files = [*((f"{n}.png", PICTURES[n]) for n in range(4)), ("dataset.json", table)]
    with pytest.raises(DataError, match=rf"{message}.*`labels=False`"):
        source(put(tmp_path / place, files), tmp_path)
    assert len(source(tmp_path / place, tmp_path, labels=False)) == 4


def test_numbers_with_large_gaps_are_names_of_classes(tmp_path: Path) -> None:
    labels = [[f"{n}.png", n % 3 * 1000] for n in range(6)]
    files = [*((f"{n}.png", PICTURES[n]) for n in range(6)), ("dataset.json", json.dumps({"labels": labels}))]
    np.savez(tmp_path / "x.npz", images=ROWS[:6], labels=np.arange(6) % 3 * 1000)
    shards = [
        (f"{n}.{end}", data) for n in range(6) for end, data in (("cls", str(n % 3 * 1000)), ("png", PICTURES[n]))
    ]
    for place in (put(tmp_path / "x.zip", files), tmp_path / "x.npz", put(tmp_path / "x.tar", shards)):
        found = source(place, tmp_path)
        assert found.classes == ("0", "1000", "2000"), place
        assert [found.item(n).label for n in range(6)] == [0, 1, 2, 0, 1, 2]
    dataset = open_shards(str(tmp_path / "x.tar"), tmp_path / "cache")
    assert not verify(dataset).problems


def test_a_few_missing_numbers_are_classes_without_pictures() -> None:
    found = label_classes([0, 1, 3, 4, 9, 8, 7, 6], "x")
    assert found.numbers == [0, 1, 3, 4, 9, 8, 7, 6]
    assert len(found.classes) == 10
    assert found.rule.endswith("; 2 of them, such as 2, without a picture")


def test_a_label_of_a_hundred_million_makes_no_hundred_million_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=ROWS[:3], labels=[0, 1, 99_999_999])
    assert source(tmp_path / "x.npz", tmp_path).classes == ("0", "1", "99999999")
