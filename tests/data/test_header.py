"""What a header says of a picture agrees with what Pillow makes of the whole of it."""

import io

import numpy as np
import pytest
from PIL import Image

from ganforge.data.header import array_sight, has_colour, has_deep_values, is_colour, is_deep, look

GREY = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
RGB = Image.merge("RGB", (GREY, GREY.rotate(90), GREY.rotate(180)))
DEEP = Image.fromarray((np.arange(256, dtype=np.uint16) * 16).reshape(16, 16))


def saved(picture: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format_name, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_png_header_says_what_pillow_says(mode: str) -> None:
    data = saved(DEEP if mode == "I;16" else RGB.convert(mode), "PNG")
    picture = Image.open(io.BytesIO(data))
    assert (is_colour(data[:64]), is_deep(data[:64])) == (has_colour(picture), has_deep_values(picture))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": b"Exif\0\0" + bytes(3000)}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_header_says_how_many_components(mode: str, options: dict[str, object]) -> None:
    assert is_colour(saved(RGB.convert(mode), "JPEG", **options)[:4096]) == (mode != "L")


def test_a_header_that_is_cut_says_nothing() -> None:
    data = saved(RGB, "JPEG", exif=b"Exif\0\0" + bytes(20_000))
    assert is_colour(data[:4096]) is None
    assert look(data) == (True, False)
    assert look(b"nonsense") is None


@pytest.mark.parametrize(
    ("format_name", "mode"), [("WEBP", "RGB"), ("GIF", "P"), ("BMP", "L"), ("TIFF", "LA"), ("PPM", "L")]
)
def test_other_formats_are_opened_whole(format_name: str, mode: str) -> None:
    data = saved(RGB.convert(mode), format_name)
    assert look(data) == (has_colour(Image.open(io.BytesIO(data))), False)


@pytest.mark.parametrize(
    ("array", "sight"),
    [
        (np.zeros((4, 4), np.uint8), (False, False)),
        (np.zeros((4, 4, 3), np.uint16), (True, True)),
        (np.zeros((4, 4, 1), bool), (False, False)),
    ],
)
def test_the_header_of_an_array_says_the_same(array: np.ndarray, sight: tuple[bool, bool]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    assert array_sight(buffer.getvalue()[:4096]) == sight
