"""A `dataset.json` or `labels.npy` that lies is refused before memory is taken for what it announces."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import smooth_pictures

from ganforge.data.shards.manifest import Manifest, load_manifest, parse_manifest
from ganforge.data.shards.registered import open_folder
from ganforge.errors import DataError

ROWS = smooth_pictures(6, 16)
Packed = Callable[..., tuple[Path, Manifest]]


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
