"""Reading the pickles of StyleGAN2 and R3GAN without running anything that they carry or name.

A pickle is a program that may call whatever it names. Those of StyleGAN2-ADA and StyleGAN3 also carry the Python source
of their networks, which their own reader executes. Here every name is looked up in one table: networks become `Kept`,
which holds their tensors and attributes, and a name that is not in the table is refused.
"""

import io
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._utils import _rebuild_tensor_v2

from ganforge.errors import CheckpointError

TENSORFLOW = "dnnlib.tflib.network"
PERSISTENT_VERSION = 6


class Refused(pickle.UnpicklingError):
    """The pickle asks for what no network needs."""


@dataclass
class Kept:
    """A pickled network or layer: its class and its content.

    Args:
        kind: name of its class.
        tensors: parameters and buffers of its own.
        modules: layers within it.
        attributes: plain values.
    """

    kind: str
    tensors: dict[str, Tensor] = field(default_factory=dict)
    modules: dict[str, "Kept"] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Tensor]:
        """All tensors by dotted name."""
        return {
            f"{prefix}{name}": tensor for prefix, part in self.named_parts() for name, tensor in part.tensors.items()
        }

    def named_parts(self, prefix: str = "") -> list[tuple[str, "Kept"]]:
        """This part and all layers within it, each with the prefix of its tensors' names."""
        found: list[tuple[str, Kept]] = [(prefix, self)]
        for name, inner in self.modules.items():
            found += inner.named_parts(f"{prefix}{name}.")
        return found


def read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary that the trainers of StyleGAN2-ADA, StyleGAN3 and R3GAN pickle, its networks as `Kept`.

    Raises:
        CheckpointError: the file is missing, is not such a pickle, or asks for anything beyond networks.
    """
    try:
        with open(path, "rb") as file:
            found = _Restricted(file).load()
    except Refused as error:
        raise CheckpointError(f"{path}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle can raise anything, from any opcode
        raise CheckpointError(f"{path}: is not a whole pickle of networks: {_first_line(error)}") from error
    if not isinstance(found, dict) or not any(isinstance(part, Kept) for part in found.values()):
        raise CheckpointError(f"{path}: holds no networks under names such as G, D and G_ema")
    return {name: _plain(part) for name, part in found.items() if isinstance(name, str)}


class _Restricted(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        known = ALLOWED.get((module_name, global_name))
        if known is not None:
            return known
        if module_name == TENSORFLOW:
            raise Refused(
                "is a pickle of the TensorFlow code of StyleGAN; legacy.py of the authors' PyTorch code rewrites it as "
                "one that can be imported"
            )
        if (module_name.rpartition(".")[2], global_name) == ("multiarray", "_reconstruct"):
            raise Refused(
                "holds arrays of NumPy, as StyleGAN3's alias-free generator does, for which there is no component; "
                "nothing of it was run"
            )
        raise Refused(
            f"asks for {module_name}.{global_name}, which no StyleGAN2 or R3GAN network needs; nothing of it was run"
        )


def _persistent(meta: dict[str, Any]) -> Kept:
    """Stands for `torch_utils.persistence._reconstruct_persistent_obj`; the source code in `meta` is dropped unread."""
    if meta["version"] != PERSISTENT_VERSION or meta["type"] != "class":
        raise Refused(f"has networks in version {meta['version']} of their layout, not {PERSISTENT_VERSION}")
    kept = Kept(str(meta["class_name"]))
    _take(kept, meta["state"])
    return kept


def _stub(kind: str) -> type[Kept]:
    """A class in the place of a network's: made without arguments, it takes the state that is given to it."""

    class Stub(Kept):
        def __new__(cls) -> "Stub":
            made = super().__new__(cls)
            Kept.__init__(made, kind)
            return made

        def __setstate__(self, state: Any) -> None:
            _take(self, state)

    return Stub


def _take(kept: Kept, state: Any) -> None:
    """Sort the `__dict__` of a torch module into tensors, layers and plain values."""
    own = {**(state.get("_parameters") or {}), **(state.get("_buffers") or {})}
    kept.tensors = {str(name): value.detach() for name, value in own.items() if isinstance(value, Tensor)}
    modules = state.get("_modules") or {}
    kept.modules = {str(name): part for name, part in modules.items() if isinstance(part, Kept)}
    kept.attributes = {str(name): value for name, value in state.items() if not str(name).startswith("_")}


class _Table(dict[str, Any]):
    """Stands for `dnnlib.util.EasyDict`."""


class _Dtype:
    """Stands for `numpy.dtype`: the letter and the bytes of a number."""

    def __init__(self, code: str, *flags: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Byte order and the like, which are the usual ones for plain numbers."""


def _scalar(dtype: _Dtype, data: bytes) -> float | int | bool:
    """Stands for NumPy's constructor of scalars, in which the layers' gains are pickled."""
    formats = {"f8": "<d", "f4": "<f", "i8": "<q", "i4": "<i", "b1": "<?"}
    if dtype.code not in formats:
        raise Refused(f"has a number of NumPy's type {dtype.code!r}, which no network needs")
    return struct.unpack(formats[dtype.code], data)[0]


def _storage(data: bytes) -> Any:
    """Stands for `torch.storage._load_from_bytes`, which would unpickle anything."""
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _parameter(data: Tensor, requires_grad: bool, hooks: object) -> Tensor:
    return data


ALLOWED: dict[tuple[str, str], Any] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
    ("dnnlib.util", "EasyDict"): _Table,
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,  # the same since NumPy 2
}
"""All that the pickles of StyleGAN2-ADA and StyleGAN3 name."""

R3GAN = {
    "training.networks": ("Generator", "Discriminator"),
    "R3GAN.Networks": (
        "Generator", "Discriminator", "GeneratorStage", "DiscriminatorStage", "GenerativeBasis", "DiscriminativeBasis",
        "UpsampleLayer", "DownsampleLayer", "ResidualBlock", "Convolution",
    ),
    "R3GAN.FusedOperators": ("BiasedActivationCUDA", "BiasedActivationReference"),
    "R3GAN.Resamplers": (
        "InterpolativeUpsamplerCUDA", "InterpolativeDownsamplerCUDA", "InterpolativeUpsamplerReference",
        "InterpolativeDownsamplerReference",
    ),
    "torch.nn.modules.container": ("ModuleList",),
    "torch.nn.modules.conv": ("Conv2d",),
    "torch.nn.modules.linear": ("Linear",),
}  # fmt: skip
"""Classes that R3GAN's pickles name, of which each becomes a stub: not even torch's own layers are made."""

ALLOWED |= {(module, name): _stub(name) for module, names in R3GAN.items() for name in names}
ALLOWED |= {("torch", name): name for name in ("float32", "float16", "bfloat16")}


def _plain(part: Any) -> Any:
    """A network or plain values; paths of a machine in the training settings are dropped."""
    return part if isinstance(part, Kept | int | float) else None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
