"""Encoded pictures to uint8 rows, as fast as what is installed allows.

simplejpeg and OpenCV (extra `fast`) are used when they are there, torchvision otherwise; what they
are not sure to read in the same way (alpha, palettes, 16 bits, EXIF turns) goes through Pillow.
"""

import struct
from functools import cache

import numpy as np

from ganforge.data.pictures import BadPicture, Fit, open_picture, to_pixels, values_in

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
Buffer = bytes | memoryview


def decode_into(data: Buffer, out: np.ndarray, fit: Fit | None = None) -> None:
    """Decode one picture into `out`, `(height, width, channels)` of uint8 or of what the picture is stored in.

    Args:
        data: encoded bytes.
        out: a row of a batch, contiguous.
        fit: how a picture of another size is fitted; None if that is an error.

    Raises:
        BadPicture: it is damaged, or has another size and `fit` is None.
    """
    grey = out.shape[2] == 1
    if out.dtype != np.uint8:
        _kept_into(data, out)
        return
    try:
        if out.shape[2] not in (1, 3):
            pass  # alpha is left to Pillow
        elif _is_plain_jpeg(data, foreign=fit is not None):
            if _jpeg_into(data, out, grey):
                return
        elif _is_plain_png(data) and struct.unpack_from(">II", data, 16) == (out.shape[1], out.shape[0]):
            pixels = _decoders()["png"](data, grey)
            if pixels.shape == out.shape:
                out[...] = pixels
                return
    except (ValueError, RuntimeError) as error:
        raise BadPicture(f"is damaged: {str(error).splitlines()[0]}") from None
    picture = open_picture(bytes(data))
    if fit is None and sorted(picture.size) != sorted(out.shape[:2]):  # said by the header: not decoded in vain
        raise BadPicture(f"is {picture.width}x{picture.height}, not {out.shape[1]}x{out.shape[0]}")
    wanted = fit or Fit(0, 0, "none", out.shape[2], has_alpha=out.shape[2] == 4)
    pixels = to_pixels(picture, wanted)
    if pixels.shape != out.shape:
        raise BadPicture(f"is {pixels.shape[1]}x{pixels.shape[0]}, not {out.shape[1]}x{out.shape[0]}")
    out[...] = pixels


def _kept_into(data: Buffer, out: np.ndarray) -> None:
    """A picture of more than 8 bits, as packing stored it."""
    values = values_in(bytes(data), with_alpha=True)
    values = values[:, :, None] if values.ndim == 2 else values
    if values.shape != out.shape or values.dtype != out.dtype:
        raise BadPicture(f"is {values.dtype} of shape {values.shape}, not {out.dtype} of {out.shape}")
    out[...] = values


def describe_decoders() -> str:
    """Which libraries decode, such as `jpeg by simplejpeg, png by OpenCV`."""
    names = _decoders(describe=True)
    return ", ".join(f"{codec} by {name}" for codec, name in names.items())


def _is_plain_jpeg(data: Buffer, foreign: bool) -> bool:
    if bytes(data[:3]) != b"\xff\xd8\xff":
        return False
    return not (foreign and b"Exif\0" in bytes(data[:4096]))


def _is_plain_png(data: Buffer) -> bool:
    """8-bit grey or RGB without a transparent colour; and whole, which OpenCV does not insist on."""
    if bytes(data[:8]) != _PNG or bytes(data[24:26]) not in (b"\x08\x00", b"\x08\x02"):
        return False
    if bytes(data[-8:]) != _PNG_END:
        raise BadPicture("is damaged: the PNG has no end")
    return b"tRNS" not in bytes(data[:1024])


def _jpeg_into(data: Buffer, out: np.ndarray, grey: bool) -> bool:
    """Decode straight into the row if the size agrees; False if it does not."""
    simplejpeg = _simplejpeg()
    if simplejpeg is None:
        if open_picture(bytes(data)).size != (out.shape[1], out.shape[0]):
            return False
        pixels = _decoders()["jpeg"](data, grey)
        if pixels.shape != out.shape:
            return False
        out[...] = pixels
        return True
    height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
    if (height, width) != out.shape[:2] or colorspace == "CMYK":
        return False
    simplejpeg.decode_jpeg(data, colorspace="GRAY" if grey else "RGB", buffer=out)
    return True


@cache
def _simplejpeg():
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


@cache
def _decoders(describe: bool = False) -> dict:
    """Decoders by codec, or their names."""
    try:
        import cv2

        cv2.setNumThreads(1)  # the threads are ours
        png, png_name = _opencv, "OpenCV"
    except ImportError:
        png, png_name = _torchvision, "torchvision"
    if describe:
        return {"jpeg": "simplejpeg" if _simplejpeg() else "torchvision", "png": png_name}
    return {"jpeg": _torchvision, "png": png}


def _opencv(data: Buffer, grey: bool) -> np.ndarray:
    import cv2

    flags = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise BadPicture("is damaged: OpenCV cannot decode it")
    return pixels[:, :, None] if grey else pixels[:, :, ::-1]


def _torchvision(data: Buffer, grey: bool) -> np.ndarray:
    import torch
    from torchvision.io import ImageReadMode, decode_image

    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    mode = ImageReadMode.GRAY if grey else ImageReadMode.RGB
    return decode_image(encoded, mode).permute(1, 2, 0).numpy()
