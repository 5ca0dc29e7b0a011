"""Every sort of picture becomes 8-bit grey or RGB in one way, or is refused by name."""

import io

import numpy as np
import pytest
from PIL import Image

from ganforge.data.decode import decode_into
from ganforge.data.pictures import BadPicture, Fit, encode, from_array, open_picture, to_pixels


def saved(picture: Image.Image, format_name: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format_name, **options)
    return buffer.getvalue()


def pixels_of(data: bytes, **fit: object) -> np.ndarray:
    return to_pixels(open_picture(data), Fit(**fit))  # type: ignore[arg-type]


def ramp(width: int = 40, height: int = 30) -> np.ndarray:
    down, across = np.mgrid[0:height, 0:width]
    return np.stack([down * 8, across * 6, (down + across) * 3], axis=-1).astype(np.uint8)


def test_plain_rgb_and_grey_stay_as_they_are() -> None:
    assert np.array_equal(pixels_of(saved(Image.fromarray(ramp())), crop="none"), ramp())
    grey = pixels_of(saved(Image.fromarray(ramp()[:, :, 0])), crop="none")
    assert np.array_equal(grey[:, :, 0], ramp()[:, :, 0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    # Not turning would train on lying portraits, silently.
    upright = Image.fromarray(ramp())
    turns = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    turn = turns[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(stored, "PNG", exif=exif)
    assert np.array_equal(pixels_of(data, crop="none"), ramp())


def test_palette_cmyk_alpha_and_16_bit_become_rgb() -> None:
    rgb = Image.fromarray(ramp())
    assert pixels_of(saved(rgb.convert("P")), crop="none").shape == (30, 40, 3)
    cmyk = pixels_of(saved(rgb.convert("CMYK"), "TIFF"), crop="none")
    assert np.abs(cmyk.astype(int) - ramp()).max() <= 3
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert (pixels_of(saved(clear), crop="none") == 255).all(), "transparent must become white"
    deep = Image.fromarray((np.arange(16, dtype=np.uint16) * 4096).reshape(4, 4))
    assert np.array_equal(pixels_of(saved(deep), crop="none")[:, :, 0].ravel(), np.arange(16) * 16)
    half = Image.new("LA", (2, 2), (0, 128))
    assert pixels_of(saved(half), crop="none").shape == (2, 2, 1)
    assert abs(int(pixels_of(saved(half), crop="none")[0, 0, 0]) - 127) <= 1
    assert set(pixels_of(saved(Image.new("1", (2, 2), 1)), crop="none").ravel()) == {255}


def test_floating_point_pixels_are_refused_by_name() -> None:
    with pytest.raises(BadPicture, match="mode F"):
        pixels_of(saved(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"))


def test_what_is_no_picture_or_is_cut_is_refused() -> None:
    with pytest.raises(BadPicture, match="not a picture"):
        open_picture(b"hello")
    data = saved(Image.fromarray(ramp(400, 300)), "JPEG")
    with pytest.raises(BadPicture, match="damaged"):
        pixels_of(data[: len(data) // 2])


def test_centre_crop_takes_the_middle() -> None:
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    assert (pixels_of(saved(Image.fromarray(wide)), height=10, width=10) == 200).all()
    assert pixels_of(saved(Image.fromarray(wide)), height=4, width=8).shape == (4, 8, 3)
    assert not (pixels_of(saved(Image.fromarray(wide)), height=10, width=10, crop="none") == 200).all()


def test_celeba_crop_is_the_usual_box_and_only_for_aligned_pictures() -> None:
    picture = np.zeros((218, 178, 3), np.uint8)
    picture[57:185, 25:153] = 99
    assert (pixels_of(saved(Image.fromarray(picture)), height=64, width=64, crop="celeba") == 99).all()
    with pytest.raises(BadPicture, match="218x178"):
        pixels_of(saved(Image.fromarray(ramp())), height=64, width=64, crop="celeba")


def test_shrinking_is_antialiased() -> None:
    # One-pixel stripes must become even grey; nearest or plain bilinear would leave stripes or black.
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    small = pixels_of(saved(Image.fromarray(stripes)), height=32, width=32)
    assert small.std() < 3
    assert abs(small.mean() - 127.5) < 3


def test_large_jpegs_shrink_almost_as_without_the_short_cut() -> None:
    random = np.random.default_rng(0)
    rough = Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)).resize((1600, 1600), 2)
    data = saved(rough, "JPEG", quality=95)
    quick = pixels_of(data, height=64, width=64).astype(int)
    exact = np.asarray(Image.open(io.BytesIO(data)).resize((64, 64), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(quick - exact).mean() < 1.0


@pytest.mark.parametrize("codec", ["raw", "png", "jpeg"])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_codec_decodes_to_what_was_encoded(codec: str, channels: int) -> None:
    pixels = np.ascontiguousarray(ramp()[:, :, :channels])
    extension, data = encode(pixels, codec)
    out = np.empty_like(pixels)
    if codec == "raw":
        out[...] = np.load(io.BytesIO(data))
    else:
        decode_into(data, out)
    assert np.abs(out.astype(int) - pixels).max() <= (12 if codec == "jpeg" else 0)
    assert extension == {"raw": "npy", "png": "png", "jpeg": "jpg"}[codec]


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP"])
def test_decoding_notices_a_picture_that_was_cut(format_name: str) -> None:
    data = saved(Image.fromarray(ramp()), format_name)
    out = np.empty((30, 40, 3), np.uint8)
    decode_into(data, out)
    with pytest.raises(BadPicture):
        decode_into(data[: len(data) * 2 // 3], out)


def test_decoding_notices_damage_inside_a_png() -> None:
    data = bytearray(saved(Image.fromarray(ramp(200, 200))))
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    with pytest.raises(BadPicture):
        decode_into(bytes(data), np.empty((200, 200, 3), np.uint8))


def test_another_size_is_an_error_unless_it_may_be_fitted() -> None:
    data = saved(Image.fromarray(ramp()), "JPEG")
    out = np.empty((16, 16, 3), np.uint8)
    with pytest.raises(BadPicture, match="40x30, not 16x16"):
        decode_into(data, out)
    decode_into(data, out, Fit(16, 16))


def test_a_turned_jpeg_of_others_is_read_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    square = np.ascontiguousarray(ramp(30, 30))
    data = saved(Image.fromarray(square), "JPEG", exif=exif, quality=95, subsampling=0)
    out = np.empty((30, 30, 3), np.uint8)
    decode_into(data, out, Fit(30, 30))
    assert np.abs(out.astype(int) - square[::-1, ::-1]).mean() < 3


def test_arrays_of_other_types_are_refused_by_name() -> None:
    with pytest.raises(BadPicture, match="float32"):
        from_array(np.zeros((4, 4, 3), np.float32), Fit())
    assert from_array(np.full((4, 4), 0x1234, np.uint16), Fit())[0, 0, 0] == 0x12


@pytest.mark.parametrize("shape", [(64, 64, 3), (28, 28, 1), (16, 24, 3)])
def test_a_raw_sample_is_byte_for_byte_what_numpy_saves(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    buffer = io.BytesIO()
    np.save(buffer, pixels)
    assert encode(pixels, "raw") == ("npy", buffer.getvalue())
