"""What a stream cannot do with foreign shards, an index can: it says so at the start, or refuses."""

import io
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, smooth_pictures
from PIL import Image
from webdataset.writer import TarWriter

from ganforge.data.dataset import Dataset
from ganforge.errors import DataError
from ganforge.registry import register

ROWS = smooth_pictures(4, 16)


def deep_png(most: int) -> bytes:
    """A grey 16-bit picture with values from 0 to `most`."""
    file = io.BytesIO()
    Image.fromarray(np.linspace(0, most, 256).astype(np.uint16).reshape(16, 16)).save(file, "PNG")
    return file.getvalue()


def deep_npy(most: int) -> bytes:
    file = io.BytesIO()
    np.save(file, np.linspace(0, most, 256).astype(np.uint16).reshape(16, 16))
    return file.getvalue()


def streamed(tmp_path: Path, **members: object) -> Dataset:
    with TarWriter(str(tmp_path / "x.tar")) as sink:
        for number in range(4):
            sink.write({"__key__": f"s{number}", **members})
    factory = register.dataset.get("shards").factory
    return factory(tmp_path / "cache", path=str(tmp_path / "x.tar"), stream=True)


@pytest.mark.parametrize("members", [{"png": deep_png(4095)}, {"npy": deep_npy(4095)}], ids=["png", "npy"])
def test_12_bits_in_16_are_refused_instead_of_nearly_black(members: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.tar: s0: has values up to 4,095 in 16 bits.*ganforge data pack.*--range"):
        streamed(tmp_path, **members)


def test_the_range_of_16_bits_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert streamed(tmp_path, png=deep_png(65535)).spec.shape == (1, 16, 16)
    assert caplog.text.count("values 0..65535 become 0..255") == 1


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"cls": b"cat"}, ".cls holds 'cat': a stream takes numbers"),
        ({"json": json.dumps({"label": "cat"}).encode()}, ".json holds 'label': a stream takes numbers"),
        ({"cls": b"2"}, ""),
        ({"json": json.dumps({"width": 16}).encode()}, ""),
        ({}, ""),
    ],
    ids=["name", "json", "number", "other", "none"],
)
def test_labels_that_a_stream_does_not_read_are_told(
    members: dict[str, bytes], told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        streamed(tmp_path, png=encoded(ROWS[0]), **members)
    assert told in caplog.text
    assert bool(caplog.text) == bool(told)
