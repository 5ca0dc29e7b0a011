"""More than 8 bits become 8 over the range that the data fill, or the one that was asked for, and never unnoticed."""

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, smooth_pictures
from PIL import Image
from test_sources import packed as packed_as
from test_sources import rows_of, source

from ganforge.data.loader import Loader
from ganforge.data.pictures import Fit, OutsideRange, from_array, open_picture, to_pixels
from ganforge.data.shards.dataset import ShardDataset
from ganforge.data.shards.registered import open_shards
from ganforge.data.sources.base import Source
from ganforge.data.values import ValueRange, deep_values, parse_range, range_of, spread, to_bytes
from ganforge.errors import DataError

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 4096, (6, 16, 16), dtype=np.uint16)
DEEP[0, 0, 0] = 4095


def packed(found: Source, tmp_path: Path, **options: object) -> ShardDataset:
    """As 8 bits, which is what this file is about; test_depth.py has what keeps all of them."""
    return packed_as(found, tmp_path, dtype="uint8", **options)


def sixteen_bits(values: np.ndarray, format_name: str = ".png") -> bytes:
    """By OpenCV, since Pillow writes no colours of 16 bits."""
    cv2 = pytest.importorskip("cv2")
    turned = values[..., [2, 1, 0, 3][: values.shape[2]]] if values.ndim == 3 else values
    return cv2.imencode(format_name, turned)[1].tobytes()


@pytest.mark.parametrize("format_name", [".png", ".tiff"])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3), (9, 7, 4)])
def test_all_16_bits_are_read_of_colours_too(format_name: str, shape: tuple[int, ...]) -> None:
    values = RNG.integers(0, 65536, shape, dtype=np.uint16)
    assert np.array_equal(deep_values(open_picture(sixteen_bits(values, format_name))), values)


def test_whole_numbers_fall_into_equal_bins_and_others_are_rounded() -> None:
    values = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_bytes(values, ValueRange(0, 65535)), values >> 8)
    assert np.array_equal(to_bytes(values[:4096], ValueRange(0, 4095)), values[:4096] >> 4)
    assert np.array_equal(to_bytes(np.arange(256), ValueRange(0, 255)), np.arange(256))
    assert np.array_equal(to_bytes(np.arange(256) / 255, ValueRange(0, 1)), np.arange(256))
    assert to_bytes(np.array([-2000, -1000, 1000, 9000], np.int16), ValueRange(-1000, 1000)).tolist() == [
        0,
        0,
        255,
        255,
    ]
    assert to_bytes(np.array([0, 2**63 - 1]), ValueRange(0, 2.0**62)).tolist() == [0, 255]


def test_the_range_is_that_of_the_fewest_bits() -> None:
    for highest, bits in ((255, 8), (256, 10), (1023, 10), (4000, 12), (5000, 14), (40000, 16)):
        assert range_of([np.array([0, highest], np.uint16)]) == ValueRange(0, 2**bits - 1, clip=False)
    assert range_of([np.array([-1, 4])]) is None
    assert range_of([np.array([0.5])]) is None
    assert spread(range(1000), 4) == [0, 333, 666, 999]


@pytest.mark.parametrize("kind", ["png", "npy"])
def test_12_bits_in_a_container_of_16_are_not_packed_nearly_black(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "deep"
    if kind == "png":
        place.mkdir()
        for number, values in enumerate(DEEP):
            Image.fromarray(values).save(place / f"{number}.png")
    else:
        place = tmp_path / "deep.npy"
        np.save(place, DEEP)
    found = source(place, tmp_path)
    dataset = packed(found, tmp_path)
    assert np.array_equal(rows_of(dataset)[..., 0], DEEP >> 4)
    said = (tmp_path / "out" / "pack_report.json").read_text()
    assert "values up to 4,095 in 6 pictures looked at, so 0..4095 become 0..255; `ganforge data pack --range" in said


@pytest.mark.parametrize("codec", ["raw", "keep"])
def test_12_bits_of_colour_are_not_packed_nearly_black(codec: str, tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    values = RNG.integers(0, 4096, (16, 16, 4), dtype=np.uint16)
    values[..., 3] = 65535  # opaque: alpha is not part of the range
    (folder / "0.png").write_bytes(sixteen_bits(values))
    (folder / "1.png").write_bytes(sixteen_bits(values[..., :3]))
    rows = rows_of(packed(source(folder, tmp_path), tmp_path, codec=codec))
    assert np.array_equal(rows[0], values[..., :3] >> 4)
    assert np.array_equal(rows[1], values[..., :3] >> 4)


def test_a_range_that_was_asked_for_clips_and_leaves_8_bits_alone_that_cannot_fill_it(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    Image.fromarray(DEEP[0]).save(folder / "0.png")
    eight = smooth_pictures(1, 16, 1)[0]
    (folder / "1.png").write_bytes(encoded(eight))
    dataset = packed(source(folder, tmp_path), tmp_path, values=parse_range("1024,2047"))
    rows = rows_of(dataset)
    assert np.array_equal(rows[0, ..., 0], (np.clip(DEEP[0], 1024, 2047) - 1024) >> 2)
    assert np.array_equal(rows[1], eight)
    assert dataset.manifest.made_with["range"] == [1024, 2047]


def test_masks_of_0_and_1_can_be_given_their_range(tmp_path: Path) -> None:
    masks = RNG.integers(0, 2, (3, 16, 16), dtype=np.uint8)
    folder = tmp_path / "masks"
    folder.mkdir()
    for number, mask in enumerate(masks):
        Image.fromarray(mask).save(folder / f"{number}.png")
    assert np.array_equal(
        rows_of(packed(source(folder, tmp_path), tmp_path, values=parse_range("0,1")))[..., 0] // 128, masks
    )


@pytest.mark.parametrize("text", ["4095", "5,5", "9,1", "a,b", "0,inf", "0,1,2"])
def test_a_range_is_two_numbers(text: str) -> None:
    with pytest.raises(DataError, match=r"`values='.*'`: give the values that become black and white"):
        parse_range(text)


def test_a_value_outside_of_the_range_found_out_ends_the_pack_with_the_remedy(tmp_path: Path) -> None:
    values = np.zeros((300, 8, 8), np.uint16)
    values[:, 0, 0] = 4000
    values[1, 0, 0] = 60000  # not among the 64 that are looked at
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(
        DataError, match=r"x\.npy\[1\]: holds 60000, outside of the range 0\.\.4095 .*`values='LOW,HIGH'`"
    ):
        packed(source(tmp_path / "x.npy", tmp_path), tmp_path)
    with pytest.raises(OutsideRange):
        from_array(values[1], Fit(values=ValueRange(0, 4095, clip=False)))


def test_a_deep_picture_among_others_that_nobody_looked_at_ends_the_pack_with_the_remedy(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    plain = encoded(smooth_pictures(1, 8, 1)[0])
    for number in range(600):
        (folder / f"{number:03d}.png").write_bytes(plain)
    Image.fromarray(DEEP[0, :8, :8]).save(folder / "001.png")
    with pytest.raises(DataError, match=r"001\.png: has more than 8 bits a channel, unlike .*`values='LOW,HIGH'`"):
        packed(source(folder, tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (RNG.random((3, 8, 8, 3)).astype(np.float32), "0,1"),
        (RNG.integers(-1000, 1000, (3, 8, 8), dtype=np.int16), "-1000,999"),
    ],
)
def test_floats_and_negative_numbers_need_a_range_and_take_it(array: np.ndarray, text: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(
        DataError, match=r"x\.npy\[0\]: holds .* must be uint8 or uint16, or say .* `values='LOW,HIGH'`"
    ):
        packed(source(tmp_path / "x.npy", tmp_path), tmp_path)
    low, high = (float(part) for part in text.split(","))
    rows = rows_of(packed(source(tmp_path / "x.npy", tmp_path), tmp_path, values=parse_range(text)))
    expected = (array.reshape(rows.shape).astype(float) - low) / (high - low) * 255
    assert np.abs(rows - expected).max() <= 1


def test_bool_and_int32_arrays_are_what_they_look_like(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.eye(8, dtype=bool)[None])
    assert np.array_equal(rows_of(packed(source(tmp_path / "b.npy", tmp_path), tmp_path))[0, ..., 0], np.eye(8) * 255)
    values = RNG.integers(0, 256, (2, 8, 8), dtype=np.int32)
    np.save(tmp_path / "i.npy", values)
    rows = rows_of(packed(source(tmp_path / "i.npy", tmp_path), tmp_path / "again"))
    assert np.array_equal(rows[..., 0], values)


def test_a_deep_picture_is_turned_upright() -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(DEEP[0]).save(buffer, "PNG", exif=exif)
    pixels = to_pixels(open_picture(buffer.getvalue()), Fit(crop="none", values=ValueRange(0, 4095)))
    assert np.array_equal(pixels[..., 0], (DEEP[0] >> 4)[::-1, ::-1])


@pytest.mark.parametrize("kind", ["png", "npy"])
def test_12_bits_in_tars_of_others_are_read_in_their_range_too(kind: str, tmp_path: Path) -> None:
    from webdataset.writer import TarWriter

    with TarWriter(str(tmp_path / "x.tar")) as sink:
        for number, values in enumerate(DEEP):
            buffer = io.BytesIO()
            if kind == "png":
                Image.fromarray(values).save(buffer, "PNG")
            else:
                np.save(buffer, values)
            sink.write({"__key__": f"{number}", kind: buffer.getvalue()})
    dataset = open_shards(str(tmp_path / "x.tar"), tmp_path / "cache")
    assert np.array_equal(rows_of(dataset)[..., 0], DEEP >> 4)
    assert dataset.manifest.values == (0, 4095)
    loader = Loader(dataset, batch_size=6, cache_dir=tmp_path / "cache")
    assert loader.next().samples.mean() > -0.3
    loader.close()
    rows = rows_of(packed(source(tmp_path / "x.tar", tmp_path), tmp_path))
    assert np.array_equal(rows[..., 0], DEEP >> 4)
