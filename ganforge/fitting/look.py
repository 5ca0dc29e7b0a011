"""The facts that a recipe is chosen by, read from data, registry and machine."""

import os
from pathlib import Path

import torch

from ganforge.allocation import machine_memory
from ganforge.data.dataset import Dataset
from ganforge.data.pictures import BadPicture, open_picture
from ganforge.data.sources.base import Source
from ganforge.data.values import spread
from ganforge.errors import DataError
from ganforge.fitting.facts import Facts, Machine
from ganforge.metrics.inception import ORIGINAL
from ganforge.metrics.weights import is_here
from ganforge.parallel.launch import uses_cpu
from ganforge.registry import register
from ganforge.spec import DataSpec

FAMILIES = ("dcgan", "stylegan2", "r3gan")
"""Networks that recipes are fitted for, and one that they may point to."""

PROBES = 256
"""Pictures, at even distances, whose size is looked at."""

_TURNED = range(5, 9)
"""Orientations of EXIF that swap height and width."""


def machine_at_hand(cache_dir: Path) -> Machine:
    """What would train if training began here and now.

    Args:
        cache_dir: that holds the weights of extractors.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    has_inception = is_here(ORIGINAL, cache_dir)
    if uses_cpu() or not torch.cuda.is_available():
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        return Machine("cpu", "", machine_memory() // local, processes, has_inception)
    gpu = torch.cuda.get_device_properties(0)
    return Machine("gpu", gpu.name, gpu.total_memory, processes, has_inception)


def facts_of(dataset: Dataset, machine: Machine) -> Facts:
    """Facts about packed pictures."""
    return Facts(len(dataset), dataset.spec, dataset.class_counts, families_for(dataset.spec), machine)


def families_for(spec: DataSpec) -> tuple[str, ...]:
    """The networks that can make such samples; they are asked themselves, without memory for weights."""
    found = []
    for name in FAMILIES:
        try:
            with torch.device("meta"):
                for kind in (register.generator, register.discriminator):
                    component = kind.get(name)
                    component.build(component.check({}), spec=spec)
        except ValueError:
            continue
        found.append(name)
    return tuple(found)


def accepts(height: int, width: int, on_gpu: bool = False) -> bool:
    """Whether a network that recipes are fitted for can make pictures of this size."""
    found = families_for(DataSpec((3, height, width)))
    return "stylegan2" in found or ("dcgan" in found and not on_gpu)


def sizes_of(source: Source) -> list[tuple[int, int]]:
    """Heights and widths, upright, of pictures at even distances in a source; those that cannot be read are left out.

    Raises:
        DataError: none of them can be read.
    """
    found, reason = [], ""
    for place in spread(range(len(source)), PROBES):
        try:
            found.append(_size_of(source, place))
        except (BadPicture, OSError) as error:
            reason = reason or f"{source.known_as(place)} {error}"
    if not found:
        raise DataError(f"none of the pictures that were looked at can be used: {reason}")
    return found


def _size_of(source: Source, place: int) -> tuple[int, int]:
    data = source.item(place).data
    if not isinstance(data, bytes):
        return data.shape[0], data.shape[1]
    if data.startswith(b"\x93NUMPY"):
        from ganforge.data.npy import array_from

        try:
            shape = array_from(data).shape
        except ValueError as error:
            raise BadPicture(f"is damaged: {error}") from None
        return shape[0], shape[1]
    picture = open_picture(data)
    is_turned = picture.getexif().get(0x0112, 1) in _TURNED
    return (picture.width, picture.height) if is_turned else (picture.height, picture.width)
