"""What a recipe is chosen by, as plain values: the pictures, and the machine that is to train."""

from dataclasses import dataclass
from typing import Literal

from ganforge.spec import DataSpec
from ganforge.wording import counted


@dataclass(frozen=True)
class Machine:
    """What trains.

    Args:
        device: a CUDA GPU, or else the CPU.
        name: of the GPU; empty for a CPU.
        memory: bytes of one GPU, or of the main memory that a process may use.
        processes: that train together, one a GPU.
        has_inception: whether the weights of `inception-v3-compat` are here, so that it needs no network.
    """

    device: Literal["cpu", "gpu"] = "cpu"
    name: str = ""
    memory: int = 16 * 10**9
    processes: int = 1
    has_inception: bool = False

    def __str__(self) -> str:
        gigabytes = f"{self.memory / 1e9:.0f} GB"
        if self.device == "cpu":
            one = f"a CPU with {gigabytes} of memory"
            return one if self.processes == 1 else f"{counted(self.processes, 'process', 'processes')} on {one}"
        return f"{counted(self.processes, 'GPU')} ({self.name}, {gigabytes})"


@dataclass(frozen=True)
class Facts:
    """Everything that the choices depend on.

    Args:
        count: pictures.
        spec: size, channels and classes.
        class_counts: pictures of each class; empty where that is not known.
        families: networks that can make pictures of this size, as the registry names them.
        machine: what trains.
    """

    count: int
    spec: DataSpec
    class_counts: tuple[int, ...]
    families: tuple[str, ...]
    machine: Machine

    @property
    def side(self) -> float:
        """Side of a square of as many pixels, for rules that were made for square pictures."""
        return (self.spec.height * self.spec.width) ** 0.5

    @property
    def pixels(self) -> int:
        return self.spec.height * self.spec.width
