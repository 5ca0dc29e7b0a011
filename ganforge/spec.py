"""What one sample of a dataset looks like: the contract between data and networks."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from ganforge.wording import counted

DType = Literal["uint8", "uint16", "float32"]
RANGES: dict[DType, tuple[float, float]] = {"uint8": (0, 255), "uint16": (0, 65_535), "float32": (-1, 1)}
"""The values that become -1 and 1 where nothing else is said."""


@dataclass(frozen=True)
class DataSpec:
    """Shape and classes of the samples.

    Args:
        shape: `(channels, height, width)` of a picture, or `(dimensions,)` of a point.
        classes: names of the classes in the order of their labels; empty without labels.
        dtype: of a picture's values as they are stored, and as samples are written; networks see float32 in [-1, 1].
        values: those that become -1 and 1; None for `RANGES` of the type.
        has_alpha: whether the last channel is opacity, straight: the colours are not multiplied by it.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...] = field(default=())
    dtype: DType = "uint8"
    values: tuple[float, float] | None = None
    has_alpha: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in RANGES:
            raise ValueError(f"values are {', '.join(RANGES)}, not {self.dtype}")
        low, high = self.limits
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"values from {low} to {high} are no range")
        if self.has_alpha and not (len(self.shape) == 3 and self.shape[0] > 1):
            raise ValueError(f"samples of shape {self.shape} have no channel for alpha beside another")
        if len(self.shape) not in (1, 3) or any(size < 1 for size in self.shape):
            raise ValueError(f"a sample is (channels, height, width) or (dimensions,), not {self.shape}")

    @property
    def is_image(self) -> bool:
        return len(self.shape) == 3

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def height(self) -> int:
        return self._side(1)

    @property
    def width(self) -> int:
        return self._side(2)

    def _side(self, index: int) -> int:
        """So a network that is made for pictures refuses points by asking for their height."""
        if not self.is_image:
            raise ValueError(f"it is made for pictures, and the samples are {self}")
        return self.shape[index]

    @property
    def limits(self) -> tuple[float, float]:
        """The values that become -1 and 1."""
        return RANGES[self.dtype] if self.values is None else self.values

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def __str__(self) -> str:
        """In words; a picture's size is height x width, as everywhere."""
        if not self.is_image:
            return f"points in {self.shape[0]} dimensions"
        colour = {1: "grey", 3: "RGB"}.get(self.channels, f"{self.channels} channels")
        colour = "RGBA" if self.has_alpha and self.channels == 4 else colour
        text = f"{self.height}x{self.width} {colour}"
        if self.dtype != "uint8":
            text = f"{text} in {self.dtype} from {self.limits[0]:g} to {self.limits[1]:g}"
        return f"{text}, {counted(self.num_classes, 'class', 'classes')}" if self.classes else text

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what pictures of 8 bits do not need is left out."""
        table: dict[str, Any] = {"shape": list(self.shape), "classes": list(self.classes)}
        if self.dtype != "uint8":
            table["dtype"] = self.dtype
        if self.values is not None:
            table["values"] = list(self.values)
        if self.has_alpha:
            table["has_alpha"] = True
        return table

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> "DataSpec":
        values = table.get("values")
        return cls(
            shape=tuple(table["shape"]),
            classes=tuple(table.get("classes", ())),
            dtype=table.get("dtype", "uint8"),
            values=None if values is None else (values[0], values[1]),
            has_alpha=table.get("has_alpha", False),
        )
