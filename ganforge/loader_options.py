"""How batches are read: the keys of a recipe's `[data]` table that do not belong to the dataset."""

from typing import Annotated, Literal

from pydantic import Field

from ganforge.options import OptionsModel

ReaderName = Literal["auto", "device", "host", "raw", "encoded", "webdataset"]


class LoaderOptions(OptionsModel):
    """How batches are read and what happens to them on the device.

    Args:
        reader: `auto` chooses by codec, decoded size and free memory and says why; `device` keeps all
            samples as uint8 on the accelerator; `host` decodes once into a file of the cache folder that
            the ranks of a node share; `raw` gathers from uncompressed shards in place; `encoded` decodes
            each batch in threads; `webdataset` is the stock pipeline for sources without an index.
        cut: height and width of a window that is cut out of each picture at a random place, before all else; samples
            then have its size, and where they are looked at by number it is the window in the middle.
        flip: mirror half of the pictures left to right.
        crop: shift each picture by up to this many pixels, the border mirrored.
        rotate: turn each picture by up to this many degrees either way, the border mirrored.
        workers: threads that read and decode; 0 for one per core of this rank's share, at most 16.
        prefetch: batches that are read ahead.
        max_corrupt: share of samples that may be unreadable before the run stops; each is replaced.
        window: shards that are shuffled together; 0 for all, or as many as fit the cache twice.
        cache_limit_gb: size limit of fetched shards in the cache folder, in gigabytes.
    """

    reader: ReaderName = "auto"
    cut: tuple[Annotated[int, Field(ge=1, le=65_536)], Annotated[int, Field(ge=1, le=65_536)]] | None = None
    flip: bool = False
    crop: Annotated[int, Field(ge=0, le=4096)] = 0
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    prefetch: Annotated[int, Field(ge=1, le=64)] = 2
    max_corrupt: Annotated[float, Field(ge=0, le=1)] = 0.01
    window: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    cache_limit_gb: Annotated[float, Field(gt=0)] = 100.0

    @property
    def cache_limit_bytes(self) -> int:
        return int(self.cache_limit_gb * 1e9)
