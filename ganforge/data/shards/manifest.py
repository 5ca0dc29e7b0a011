"""`dataset.json`: what lies in a folder of shards, and proof that it is the same everywhere."""

import hashlib
import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import ConfigDict, Field

from ganforge.data.limits import CLASSES, MANIFEST_BYTES, PICTURE_BYTES, SIDE, TooLarge, read_bounded
from ganforge.data.npy import HEADER_BYTES
from ganforge.data.plainjson import parse_json
from ganforge.data.tarheader import BLOCK
from ganforge.errors import DataError
from ganforge.spec import DataSpec, DType

FILE_NAME = "dataset.json"
LABELS_NAME = "labels.npy"
VERSION = 2
"""Of the newest form. Pictures of 8 bits without alpha are written in form 1, which older ganforge reads too."""
# Names in a manifest become paths and urls, so they must not be able to leave the folder.
_PLAIN = r"^[A-Za-z0-9_][A-Za-z0-9_.+=-]*$"
_MOST = 2**50
"""Of samples and of bytes: sums of them fit 64 bits."""
_MOST_DECODED = 1100
"""Bytes of pixels a byte of a codec can stand for: deflate gives 1,032 at most, JPEG about as many."""
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Table(pydantic.BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Shard(_Table):
    """One tar file.

    Args:
        name: file name inside the dataset's folder.
        count: samples in it.
        bytes: size of the file.
        sha256: of the file; empty for foreign shards that nobody hashed.
        first: offset of the first picture's bytes in a raw shard.
        stride: distance between pictures in a raw shard; 0 if they lie at no constant distance.
    """

    name: Annotated[str, Field(pattern=_PLAIN)]
    count: Annotated[int, Field(ge=0, le=_MOST)]
    bytes: Annotated[int, Field(ge=0, le=_MOST)]
    sha256: _Sha256 | Literal[""] = ""
    first: Annotated[int, Field(ge=0, le=_MOST)] = 0
    stride: Annotated[int, Field(ge=0, le=_MOST)] = 0

    @property
    def index_name(self) -> str:
        return Path(self.name).stem + ".idx"


class Manifest(_Table):
    """Everything that `dataset.json` says.

    Args:
        format: always `ganforge-dataset`.
        version: of the format.
        count: samples in all shards.
        shape: `(channels, height, width)`.
        classes: names of the classes.
        codec: `raw`, `png`, `jpeg`, or `keep` for untouched pictures of any codec.
        shards: the tar files in order.
        labels_sha256: of `labels.npy`; empty without labels.
        image_key: extension of the picture in a sample; empty to find it.
        fit: how pictures of another size are fitted when read; empty if all have the size.
        values: those that become black and white in pictures of more than 8 bits; None if there are none.
        dtype: of stored values; other than uint8 they are what they were, and `values` become -1 and 1.
        has_alpha: whether the last channel is opacity.
        made_with: the options of `data pack`, for people.
    """

    format: Literal["ganforge-dataset"] = "ganforge-dataset"
    version: Annotated[int, Field(ge=1)] = 1
    count: Annotated[int, Field(ge=0, le=_MOST)]
    shape: tuple[Annotated[int, Field(ge=1, le=SIDE)], ...]
    classes: Annotated[tuple[str, ...], Field(max_length=CLASSES)] = ()
    codec: Literal["raw", "png", "jpeg", "keep"]
    shards: tuple[Shard, ...]
    labels_sha256: _Sha256 | Literal[""] = ""
    image_key: str = ""
    fit: Literal["", "center", "celeba", "none", "pad"] = ""
    values: tuple[float, float] | None = None
    dtype: DType = "uint8"
    has_alpha: bool = False
    made_with: dict[str, Any] = {}

    @property
    def spec(self) -> DataSpec:
        kept = self.dtype != "uint8"
        return DataSpec(self.shape, self.classes, self.dtype, self.values if kept else None, self.has_alpha)

    @property
    def most_label_bytes(self) -> int:
        """Size of the largest `labels.npy` that fits: a header, and 64 bits a sample."""
        return HEADER_BYTES + 8 * self.count

    @property
    def digest(self) -> str:
        """sha256 over what decides the samples and their order; not over how they were packed."""
        table = self.model_dump(mode="json", exclude={"made_with"} | self._unsaid)
        return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()

    @property
    def _unsaid(self) -> set[str]:
        """What goes without saying, so that manifests and digests of earlier versions stay what they are."""
        usual = {"values": None, "dtype": "uint8", "has_alpha": False}
        return {name for name, value in usual.items() if getattr(self, name) == value}

    def dump(self) -> str:
        """JSON text, one shard a line."""
        table = self.model_dump(mode="json", exclude=self._unsaid)
        shards = ",\n".join("    " + json.dumps(shard) for shard in table.pop("shards"))
        head = json.dumps(table, indent=2)[:-2]
        return f'{head},\n  "shards": [\n{shards}\n  ]\n}}\n'


def version_for(dtype: DType, has_alpha: bool) -> int:
    """The oldest form of a manifest that can say this."""
    return 1 if dtype == "uint8" and not has_alpha else VERSION


def parse_manifest(text: str | bytes, where: str) -> Manifest:
    """Check the text of a `dataset.json`.

    Args:
        text: JSON.
        where: file or url, for messages.

    Raises:
        DataError: it is not a manifest, is of a newer version, or contradicts itself.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        table = parse_json(data)
    except ValueError as error:
        raise DataError(f"{where}: is not JSON ({error}); pack the dataset again") from error
    if not isinstance(table, dict) or table.get("format") != "ganforge-dataset":
        raise DataError(f"{where}: is not a ganforge dataset manifest; pack the folder with `ganforge data pack`")
    if isinstance(table.get("version"), int) and table["version"] > VERSION:
        raise DataError(f"{where}: has version {table['version']}, this ganforge reads {VERSION}; update ganforge")
    try:
        manifest = Manifest.model_validate_json(data)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part)[:40] for part in first["loc"])
        raise DataError(f"{where}: {place}: {first['msg']}; pack the dataset again") from error
    total = sum(shard.count for shard in manifest.shards)
    if total != manifest.count:
        raise DataError(f"{where}: says {manifest.count} samples, its shards add up to {total}; pack it again")
    names = [shard.name for shard in manifest.shards]
    if len(set(names)) != len(names):
        raise DataError(f"{where}: lists a shard twice; pack the dataset again")
    if len(manifest.shape) != 3:
        raise DataError(f"{where}: shape {list(manifest.shape)} is not (channels, height, width); pack it again")
    try:
        _ = manifest.spec
    except ValueError as error:
        raise DataError(f"{where}: {error}; pack the dataset again") from error
    if manifest.fit and math.prod(manifest.shape) > PICTURE_BYTES:  # else the bytes of the shards bound it
        raise DataError(f"{where}: samples of shape {list(manifest.shape)} are too large to be fitted; give a size")
    for shard in manifest.shards:
        _check_plausible(shard, manifest, where)
    return manifest


def _check_plausible(shard: Shard, manifest: Manifest, where: str) -> None:
    """Refuse more samples than the bytes of a shard can hold, before arrays are made for them."""
    pixels = 0 if manifest.fit else shard.count * math.prod(manifest.shape)  # what is fitted may be enlarged
    if shard.count * BLOCK > shard.bytes or pixels > shard.bytes * (1 if manifest.codec == "raw" else _MOST_DECODED):
        raise DataError(
            f"{where}: {shard.name} cannot hold {shard.count:,} samples of {'x'.join(map(str, manifest.shape))} "
            f"in {shard.bytes:,} bytes; pack the dataset again"
        )


def is_manifest(path: Path) -> bool:
    """Whether a file means to be a manifest; StyleGAN's table of labels has the same name."""
    try:
        with open(path, "rb") as file:
            return b'"ganforge-dataset"' in file.read(4096)
    except OSError:
        return False


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a packed folder.

    Raises:
        DataError: there is none, or it is damaged.
    """
    path = folder / FILE_NAME
    try:
        with open(path, "rb") as file:
            return parse_manifest(read_bounded(file, MANIFEST_BYTES), str(path))
    except TooLarge as error:
        raise DataError(
            f"{path}: {error}; pack the dataset again in larger shards: `ganforge data pack --shard-size 1GB`"
        ) from error
    except FileNotFoundError as error:
        raise DataError(f"{folder}: holds no {FILE_NAME}; make it with `ganforge data pack SOURCE {folder}`") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
