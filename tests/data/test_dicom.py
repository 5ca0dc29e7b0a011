"""DICOM files and TIFFs of many channels as sources of a pack: Hounsfield units, windows, inverted X-rays."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_depth import read
from test_sources import packed, source

from ganforge.data.samples import real_samples
from ganforge.data.shards.registered import open_folder
from ganforge.data.sources.scientific import dicom_values, values_or_file
from ganforge.errors import DataError

pydicom = pytest.importorskip("pydicom")
tifffile = pytest.importorskip("tifffile")
Command = Callable[..., Any]
RNG = np.random.default_rng(0)
STORED = RNG.integers(0, 4096, (4, 16, 24), dtype=np.uint16)
STORED[0, 0, :2] = 0, 4095


def dicom(stored: np.ndarray, photometric: str = "MONOCHROME2", bits: int = 12, **more: Any) -> bytes:
    """A file as a scanner writes it: explicit little endian, not compressed."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = stored.shape[-2:] if stored.shape[-1] != 3 else stored.shape[:2]
    dataset.SamplesPerPixel = 3 if stored.shape[-1] == 3 else 1
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * stored.dtype.itemsize, bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    for name, value in more.items():
        setattr(dataset, name, value)
    dataset.PixelData = stored.tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    folder = tmp_path / "ct"
    folder.mkdir()
    for number, values in enumerate(STORED):
        (folder / f"{number}.dcm").write_bytes(dicom(values, RescaleSlope=1, RescaleIntercept=-1024))
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_a_ct_is_packed_in_hounsfield_units_within_a_window(ct: Path, tmp_path: Path, ganforge: Command) -> None:
    out = tmp_path / "out"
    done = ganforge("data", "pack", ct, out, "--range", "-1000,400")
    assert done.code == 0, done.err
    dataset = open_folder(out)
    assert (dataset.spec.dtype, dataset.spec.limits, dataset.spec.shape) == ("float32", (-1000, 400), (1, 16, 24))
    assert np.array_equal(read(dataset)[..., 0], np.clip(STORED.astype(np.float32) - 1024, -1000, 400))
    assert (real_samples(dataset).min(), real_samples(dataset).max()) == (-1, 1)
    assert ganforge("data", "inspect", out, "--sheet", tmp_path / "sheet.png").code == 0
    done = ganforge("data", "pack", ct, tmp_path / "bytes", "--range", "-1000,400", "--dtype", "uint8")
    assert done.code == 0, done.err
    assert open_folder(tmp_path / "bytes").spec.dtype == "uint8"


def test_units_below_0_ask_for_a_window(ct: Path, tmp_path: Path, ganforge: Command) -> None:
    done = ganforge("data", "pack", ct, tmp_path / "out")
    assert done.code == 2
    assert done.err.endswith("say which values become black and white with --range LOW,HIGH\n")


@pytest.mark.parametrize("how", ["folder", "zip"])
def test_an_x_ray_in_which_high_is_dark_is_turned_round(how: str, tmp_path: Path) -> None:
    files = {f"{number}.dcm": dicom(values, "MONOCHROME1") for number, values in enumerate(STORED)}
    place = tmp_path / "x.zip"
    if how == "zip":
        with zipfile.ZipFile(place, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        place = tmp_path / "in"
        place.mkdir()
        for name, data in files.items():
            (place / name).write_bytes(data)
    dataset = packed(source(place, tmp_path), tmp_path)
    assert (dataset.spec.dtype, dataset.spec.limits) == ("uint16", (0, 4095))
    assert np.array_equal(read(dataset)[..., 0], 4095 - STORED)


def test_slopes_signs_and_colours() -> None:
    assert np.array_equal(dicom_values(dicom(STORED[0], RescaleSlope=2, RescaleIntercept=3)), 2 * STORED[0] + 3)
    halves = dicom_values(dicom(STORED[0], RescaleSlope=0.5, RescaleIntercept=0))
    assert (halves.dtype, np.array_equal(halves, STORED[0] / 2)) == (np.float32, True)
    signed = STORED[0].astype(np.int16) - 2048
    assert np.array_equal(dicom_values(dicom(signed)), signed)
    assert np.array_equal(dicom_values(dicom(signed, "MONOCHROME1")), -1 - signed)
    colours = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    assert np.array_equal(dicom_values(dicom(colours, "RGB", bits=8)), colours)


def test_what_is_no_single_picture_or_damaged_is_left_out_by_name(ct: Path, tmp_path: Path, ganforge: Command) -> None:
    several = dicom(STORED[:2].reshape(32, 24), NumberOfFrames=2, Rows=16)
    (ct / "8.dcm").write_bytes(several)
    (ct / "9.dcm").write_bytes(dicom(STORED[0])[:900])
    done = ganforge("data", "pack", ct, tmp_path / "out", "--range", "-1000,400", "--max-bad", 2)
    assert done.code == 0, done.err
    report = (tmp_path / "out" / "pack_report.json").read_text()
    assert "8.dcm" in report
    assert "holds 2 frames; export each of them as a file of its own" in report
    assert "is a DICOM file that cannot be read: " in report


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_tiff_of_six_channels_is_kept(dtype: str, planar: str, tmp_path: Path, ganforge: Command) -> None:
    values = (RNG.random((3, 16, 24, 6)) * 250).astype(dtype)
    values[0, 0, 0] = 65_535 if dtype == "uint16" else 250
    (tmp_path / "in").mkdir()
    for number, picture in enumerate(values):
        stored = picture if planar == "contig" else np.moveaxis(picture, 2, 0)
        options: Any = {"photometric": "minisblack", "planarconfig": planar, "compression": "zlib"}
        tifffile.imwrite(tmp_path / "in" / f"{number}.tif", stored, **options)
    limits = ("--range", "0,250") if dtype == "float32" else ()
    done = ganforge("data", "pack", tmp_path / "in", tmp_path / "out", "--channels", 6, *limits)
    assert done.code == 0, done.err
    dataset = open_folder(tmp_path / "out")
    assert (dataset.spec.shape, dataset.spec.dtype) == ((6, 16, 24), dtype)
    assert np.array_equal(read(dataset), values)
    done = ganforge("data", "export", tmp_path / "out", tmp_path / "back")
    assert np.array_equal([np.load(path) for path in sorted((tmp_path / "back").iterdir())], values)


def test_a_tiff_that_pillow_reads_is_left_to_it() -> None:
    buffer = io.BytesIO()
    Image.fromarray(STORED[0]).save(buffer, "TIFF")
    assert values_or_file(buffer.getvalue()) == buffer.getvalue()


def test_more_channels_are_not_guessed_at(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 8, 8, 6), np.uint8))
    with pytest.raises(DataError, match=r"`channels=6` keeps them"):
        packed(source(tmp_path / "x.npy", tmp_path), tmp_path)
    dataset = packed(source(tmp_path / "x.npy", tmp_path, channels=6), tmp_path, channels=6)
    assert dataset.spec.shape == (6, 8, 8)
