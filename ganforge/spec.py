"""What one sample of a dataset looks like: the contract between data and networks."""

from dataclasses import dataclass, field
from typing import Any

from ganforge.wording import counted


@dataclass(frozen=True)
class DataSpec:
    """Shape and classes of the samples.

    Args:
        shape: `(channels, height, width)` of a picture, or `(dimensions,)` of a point.
        classes: names of the classes in the order of their labels; empty without labels.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
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
    def num_classes(self) -> int:
        return len(self.classes)

    def __str__(self) -> str:
        """In words; a picture's size is height x width, as everywhere."""
        if not self.is_image:
            return f"points in {self.shape[0]} dimensions"
        colour = {1: "grey", 3: "RGB"}.get(self.channels, f"{self.channels} channels")
        text = f"{self.height}x{self.width} {colour}"
        return f"{text}, {counted(self.num_classes, 'class', 'classes')}" if self.classes else text

    def to_dict(self) -> dict[str, Any]:
        return {"shape": list(self.shape), "classes": list(self.classes)}

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> "DataSpec":
        return cls(shape=tuple(table["shape"]), classes=tuple(table.get("classes", ())))
