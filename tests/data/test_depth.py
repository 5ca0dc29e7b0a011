"""16-bit and floating-point data are kept: the same values in shards, in every reader, in exports and in samples."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import encoded, read_all
from PIL import Image
from test_sources import packed, source

from ganforge.data.contactsheet import displayed
from ganforge.data.decode import decode_into
from ganforge.data.deep import upright
from ganforge.data.depth import as_rows, scaled, stored_values
from ganforge.data.fitting import Fit
from ganforge.data.loader import Loader
from ganforge.data.pictures import from_array, open_picture, to_pixels, values_in
from ganforge.data.samples import real_samples
from ganforge.data.shards.manifest import load_manifest, parse_manifest
from ganforge.data.shards.registered import open_folder
from ganforge.data.valuefile import png16, value_file
from ganforge.data.values import ValueRange, parse_range
from ganforge.data.verify import verify
from ganforge.errors import DataError
from ganforge.spec import DataSpec

Command = Callable[..., Any]
RNG = np.random.default_rng(0)
FULL = RNG.integers(0, 65_536, (12, 16, 24), dtype=np.uint16)
FULL[0, 0, :2] = 0, 65_535
FLOATS = RNG.normal(0, 400, (12, 16, 24)).astype(np.float32)
WINDOW = (-1000.0, 400.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PNGs of 16 bits of grey."""
    folder = tmp_path_factory.mktemp("grey16")
    for number, values in enumerate(FULL):
        Image.fromarray(values).save(folder / f"{number:02d}.png")
    return folder


@pytest.mark.parametrize("codec", ["auto", "raw", "png", "keep"])
def test_16_bit_grey_is_the_same_through_pack_reader_and_export(
    codec: str, folder: Path, tmp_path: Path, ganforge: Command
) -> None:
    out = tmp_path / "packed"
    done = ganforge("data", "pack", folder, out, "--codec", codec)
    assert done.code == 0, done.err
    assert "values are kept as uint16, and 0..65535 become -1..1" in done.out
    dataset = open_folder(out)
    assert (dataset.spec.dtype, dataset.spec.limits, dataset.dtype) == ("uint16", (0, 65_535), np.uint16)
    assert np.array_equal(read(dataset)[..., 0], FULL)
    assert not verify(dataset).problems
    assert ganforge("data", "export", out, tmp_path / "back").code == 0
    files = sorted((tmp_path / "back").iterdir())
    assert [path.suffix for path in files] == [".png"] * len(FULL)
    assert np.array_equal([values_in(path.read_bytes()) for path in files], FULL)
    assert ganforge("data", "inspect", out, "--sheet", tmp_path / "sheet.png").code == 0


def read(dataset: Any) -> np.ndarray:
    rows = np.empty((len(dataset), *dataset.row_shape), dataset.dtype)
    assert not dataset.read(np.arange(len(dataset)), rows)
    return rows


@pytest.mark.parametrize("reader", ["device", "raw", "encoded", "host", "webdataset"])
@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_every_reader_gives_the_stored_values_over_their_range(kind: str, reader: str, tmp_path: Path) -> None:
    data = FULL if kind == "uint16" else FLOATS
    np.save(tmp_path / "x.npy", data)
    limits = None if kind == "uint16" else parse_range("-1000,400")
    codec = "png" if (kind, reader) == ("uint16", "encoded") else "raw"
    dataset = packed(source(tmp_path / "x.npy", tmp_path), tmp_path, values=limits, codec=codec)
    low, high = dataset.spec.limits
    expected = (np.clip(data, low, high).astype(np.float64) - low) / (high - low) * 2 - 1
    with Loader(dataset, batch_size=12, reader=reader, cache_dir=tmp_path / "cache", flip=True) as loader:
        batch = loader.next()
    assert batch.samples.dtype == torch.float32
    samples = batch.samples[:, 0].double().numpy()
    found = [number for sample in samples for number in range(12) if close(sample, expected[number])]
    assert len(found) == 12
    assert reader == "webdataset" or sorted(found) == list(range(12))  # a stream is shuffled over its repetitions
    torch.testing.assert_close(real_samples(dataset)[:, 0].double(), torch.from_numpy(expected), atol=1e-6, rtol=0)
    back = stored_values(real_samples(dataset), dataset.spec)
    if kind == "uint16":
        assert np.array_equal(back[..., 0], data)


def close(sample: np.ndarray, expected: np.ndarray) -> bool:
    """The same, or mirrored."""
    return any(np.allclose(sample, side, atol=1e-6) for side in (expected, expected[:, ::-1]))


def test_crops_and_turns_move_the_values_of_16_bits(tmp_path: Path) -> None:
    flat = np.full((4, 16, 16), 40_000, np.uint16)
    flat[0, 0, 0] = 65_535
    np.save(tmp_path / "x.npy", flat)
    dataset = packed(source(tmp_path / "x.npy", tmp_path), tmp_path)
    with Loader(dataset, batch_size=4, crop=3, rotate=20.0, flip=True, cache_dir=tmp_path / "cache") as loader:
        samples = loader.next().samples
    assert samples.median() == pytest.approx(40_000 / 65_535 * 2 - 1, abs=1e-5)
    assert samples.min() > 0.2


def test_every_value_of_16_bits_comes_back_from_the_networks_range() -> None:
    every = np.arange(65_536, dtype=np.uint16).reshape(1, 256, 256, 1)
    for limits in ((0, 65_535), (0, 4095), (100, 60_000)):
        spec = DataSpec((1, 256, 256), dtype="uint16", values=limits)
        samples = scaled(as_rows(every), torch.contiguous_format, spec)
        inside = (every >= limits[0]) & (every <= limits[1])
        assert np.array_equal(stored_values(samples, spec)[inside], every[inside])
        assert float(samples[0, 0].flatten()[limits[0]]) == -1
        assert float(samples[0, 0].flatten()[limits[1]]) == pytest.approx(1, abs=1e-6)


def test_12_bits_keep_their_values_and_fill_the_range(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", FULL >> 4)
    dataset = packed(source(tmp_path / "x.npy", tmp_path), tmp_path)
    assert dataset.spec.limits == (0, 4095)
    assert np.array_equal(read(dataset)[..., 0], FULL >> 4)
    assert real_samples(dataset).max() == pytest.approx(1)
    assert "16x24 grey in uint16 from 0 to 4095" in str(dataset.spec)


def test_8_bits_in_a_container_of_16_are_8_bits(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", FULL >> 8)
    dataset = packed(source(tmp_path / "x.npy", tmp_path), tmp_path)
    assert dataset.spec.dtype == "uint8"
    assert np.array_equal(read(dataset)[..., 0], FULL >> 8)


def test_a_window_cuts_off_what_lies_outside(folder: Path, tmp_path: Path, ganforge: Command) -> None:
    assert ganforge("data", "pack", folder, tmp_path / "out", "--range", "1000,30000").code == 0
    dataset = open_folder(tmp_path / "out")
    assert np.array_equal(read(dataset)[..., 0], np.clip(FULL, 1000, 30_000))
    assert (real_samples(dataset).min(), real_samples(dataset).max()) == (-1, 1)


def test_floats_are_kept_and_leave_as_tiff(tmp_path: Path, ganforge: Command) -> None:
    np.save(tmp_path / "x.npy", FLOATS)
    out = tmp_path / "out"
    assert ganforge("data", "pack", tmp_path / "x.npy", out, "--range", "-1000,400").code == 0
    dataset = open_folder(out)
    assert (dataset.spec.dtype, dataset.spec.limits) == ("float32", WINDOW)
    assert np.array_equal(read(dataset)[..., 0], np.clip(FLOATS, *WINDOW))
    assert ganforge("data", "export", out, tmp_path / "back").code == 0
    back = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "back").glob("*.tiff"))]
    assert np.array_equal(back, np.clip(FLOATS, *WINDOW))


def test_colours_of_16_bits_are_kept_by_png_and_array(tmp_path: Path) -> None:
    colours = RNG.integers(0, 65_536, (3, 80, 8, 3), dtype=np.uint16)
    colours[0, 0, 0] = 0, 65_535, 1
    (tmp_path / "in").mkdir()
    for number, values in enumerate(colours):
        (tmp_path / "in" / f"{number}.png").write_bytes(png16(values))
    for codec, name in (("auto", "png"), ("raw", "npy")):
        dataset = packed(source(tmp_path / "in", tmp_path), tmp_path / codec, codec=codec)
        assert (dataset.spec.shape, dataset.spec.dtype) == ((3, 80, 8), "uint16")
        assert dataset.shard(0).key(0).endswith(name)
        assert np.array_equal(read(dataset), colours)


def test_grey_of_8_bits_among_16_fills_the_range(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for path in sorted(folder.iterdir())[:3]:
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "in" / "z.png").write_bytes(encoded(np.full((16, 24, 1), 255, np.uint8)))
    dataset = packed(source(tmp_path / "in", tmp_path), tmp_path)
    assert (read(dataset)[-1] == 65_535).all()


@pytest.mark.parametrize("crop", ["center", "pad", "none"])
def test_resizing_in_16_bits_is_that_of_8_bits_but_finer(crop: Any) -> None:
    smooth = np.add.outer(np.arange(60), 2 * np.arange(40)).astype(np.float64)
    smooth = smooth / smooth.max()
    deep = from_array(np.rint(smooth * 65_535).astype(np.uint16), Fit(24, 24, crop, 1, ValueRange(0, 65_535), "uint16"))
    eight = from_array(np.rint(smooth * 255).astype(np.uint8), Fit(24, 24, crop, 1))
    assert deep.shape == eight.shape
    assert np.abs(deep.astype(float) / 257 - eight).max() <= 1.5
    assert len(np.unique(deep)) > len(np.unique(eight))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_are_turned_upright(orientation: int) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(4, 6)
    picture = Image.fromarray(values)
    picture.getexif()[0x0112] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=picture.getexif())
    expected = to_pixels(open_picture(buffer.getvalue()), Fit(crop="none", channels=1))
    assert np.array_equal(upright(values[:, :, None], orientation), expected)


def test_what_a_type_or_a_codec_cannot_hold_is_refused(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", FLOATS)
    floats = source(tmp_path / "x.npy", tmp_path)
    with pytest.raises(DataError, match=r"`dtype='uint16'`: holds whole numbers from 0 to 65,535, and the range is"):
        packed(floats, tmp_path, dtype="uint16", values=parse_range("-1,1"))
    with pytest.raises(DataError, match=r"`codec='png'`: has no form for float32"):
        packed(floats, tmp_path, values=parse_range("-1,1"), codec="png")
    with pytest.raises(DataError, match=r"`codec='jpeg'`: has no form for uint16"):
        packed(source(folder, tmp_path), tmp_path, codec="jpeg")
    with pytest.raises(DataError, match="say which values become black and white"):
        packed(floats, tmp_path)


def test_a_manifest_of_8_bits_is_the_one_that_older_versions_read(folder: Path, tmp_path: Path) -> None:
    dataset = packed(source(folder, tmp_path), tmp_path, dtype="uint8")
    text = (tmp_path / "out" / "dataset.json").read_text()
    assert '"version": 1' in text
    assert not any(word in text for word in ('"dtype": "uint8"', "has_alpha", '"values"'))
    kept = packed(source(folder, tmp_path), tmp_path / "kept")
    assert load_manifest(tmp_path / "kept" / "out").version == 2
    assert dataset.digest != kept.digest
    bad = (tmp_path / "kept" / "out" / "dataset.json").read_text().replace("65535.0", "0.0")
    with pytest.raises(DataError, match="no range; pack the dataset again"):
        parse_manifest(bad, "dataset.json")


def test_a_sample_has_a_file_that_keeps_it() -> None:
    shapes = {
        (1, "uint16"): "png",
        (3, "uint16"): "png",
        (1, "float32"): "tiff",
        (3, "float32"): "npy",
        (5, "uint8"): "npy",
    }
    for (channels, dtype), extension in shapes.items():
        values = (RNG.random((6, 5, channels)) * 60_000).astype(dtype)
        found, data = value_file(values, has_alpha=False)
        assert found == extension
        back = np.load(io.BytesIO(data)) if extension == "npy" else values_in(data)
        assert np.array_equal(back.reshape(values.shape), values)


def test_people_see_the_range_in_8_bits() -> None:
    spec = DataSpec((1, 1, 3), dtype="uint16", values=(0, 4095))
    rows = np.array([0, 4095, 9999], np.uint16).reshape(1, 1, 3, 1)
    assert displayed(rows, spec).flatten().tolist() == [0, 255, 255]


def test_a_damaged_picture_of_16_bits_is_told(folder: Path) -> None:
    data = (folder / "00.png").read_bytes()
    row = np.empty((16, 24, 1), np.uint16)
    decode_into(data, row)
    assert np.array_equal(row[..., 0], FULL[0])
    for broken, message in (
        (data[:200], "damaged|cut short"),
        (encoded(np.zeros((16, 24, 1), np.uint8)), "not uint16"),
    ):
        with pytest.raises(Exception, match=message):
            decode_into(broken, row)


def test_8_bits_are_scaled_as_ever(opened: Any) -> None:
    rows = torch.from_numpy(read_all(opened))
    expected = torch.empty(rows.permute(0, 3, 1, 2).shape).copy_(rows.permute(0, 3, 1, 2)).mul_(1 / 127.5).sub_(1)
    assert torch.equal(scaled(rows, torch.contiguous_format, opened.spec), expected)
