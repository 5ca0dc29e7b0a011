"""Pictures of instruments that Pillow does not read: DICOM, and TIFF with channels that are no colours."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from ganforge.data.pictures import MAX_PIXELS, BadPicture, is_picture_name
from ganforge.errors import DataError

DICOM_EXTENSIONS = (".dcm", ".dicom")
_SAMPLES_PER_PIXEL = 277  # a tag of TIFF
_MOST_SAMPLES = 4 * MAX_PIXELS
"""Values of one picture, whatever its file says that it unpacks to."""


def is_source_name(name: str) -> bool:
    """Whether the name ends like that of a picture that can be packed."""
    return is_picture_name(name) or name.lower().endswith(DICOM_EXTENSIONS)


def values_or_file(data: bytes) -> bytes | np.ndarray:
    """The values of a DICOM file or of a TIFF that Pillow has no mode for, as an array; all other files as they are.

    Raises:
        BadPicture: it is damaged, or holds no single picture.
        DataError: pydicom or tifffile is missing.
    """
    if data[128:132] == b"DICM":
        return dicom_values(data)
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") and not _pillow_reads(data):
        return tiff_values(data)
    return data


def dicom_values(data: bytes) -> np.ndarray:
    """The values of a DICOM picture: Hounsfield units of a CT, brightness of an X-ray.

    Stored values times the rescale slope plus the intercept (DICOM PS3.3, C.11.1.1.2). `MONOCHROME1`, in which high
    values are dark, is turned round within the range of its stored bits.

    Returns:
        `(height, width)` or `(height, width, 3)`; whole numbers stay whole where slope and intercept are.

    Raises:
        BadPicture: it is damaged, has no picture or several, or is compressed in a way that nothing installed reads.
        DataError: pydicom is missing.
    """
    try:
        import pydicom
        from pydicom.pixels import pixel_array
    except ImportError as error:
        raise DataError("a DICOM file needs pydicom: pip install 'ganforge[medical]'") from error
    with _told("DICOM"):
        dataset: Any = pydicom.dcmread(io.BytesIO(data))
        frames = int(dataset.get("NumberOfFrames", 1) or 1)
        if frames != 1:
            raise BadPicture(f"holds {frames} frames; export each of them as a file of its own")
        _check_size(int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel", 1)))
        stored = pixel_array(dataset)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            bits, is_signed = int(dataset.BitsStored), bool(dataset.get("PixelRepresentation", 0))
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
            stored = low + high - stored.astype(np.int64)
        slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    if (slope, intercept) == (1, 0):
        return stored if stored.dtype.itemsize < 8 else stored.astype(np.int32)
    if slope.is_integer() and intercept.is_integer():
        return (stored.astype(np.int64) * int(slope) + int(intercept)).astype(np.int32)
    return (stored * slope + intercept).astype(np.float32)


def tiff_values(data: bytes) -> np.ndarray:
    """The first page of a TIFF, `(height, width)` or `(height, width, channels)`, of its own type.

    Raises:
        BadPicture: it is damaged, or compressed in a way that nothing installed reads.
        DataError: tifffile is missing.
    """
    try:
        import tifffile
    except ImportError as error:
        raise DataError("a TIFF of such channels needs tifffile: pip install 'ganforge[medical]'") from error
    with _told("TIFF"), tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages[0]
        _check_size(int(np.prod(page.shape, dtype=np.float64)))
        values = page.asarray()
        if values.ndim == 3 and page.axes.startswith("S"):
            values = np.moveaxis(values, 0, 2)  # stored plane by plane
    if values.ndim not in (2, 3):
        raise BadPicture(f"is a TIFF of shape {values.shape}, not (height, width) or (height, width, channels)")
    return values


@contextmanager
def _told(kind: str) -> Iterator[None]:
    """Whatever the parsing of such a file runs into, as a reason."""
    try:
        yield
    except BadPicture:
        raise
    except Exception as error:
        reason = " ".join((str(error) or type(error).__name__).split())[:160]
        raise BadPicture(f"is a {kind} file that cannot be read: {reason}") from None


def _check_size(samples: int) -> None:
    if not 0 < samples <= _MOST_SAMPLES:
        raise BadPicture(f"says that it has {samples:,} values, and a picture has {_MOST_SAMPLES:,} at most")


def _pillow_reads(data: bytes) -> bool:
    """Whether it does, and all channels: of those stored plane by plane it may take the first for the picture."""
    try:
        picture: Any = Image.open(io.BytesIO(data))
        return picture.tag_v2.get(_SAMPLES_PER_PIXEL, 1) <= 4
    except Image.DecompressionBombError:
        return True  # told as of any picture
    except Exception:  # its plugins raise whatever their parsing runs into
        return False
