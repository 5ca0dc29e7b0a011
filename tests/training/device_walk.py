"""A step walked as a GPU would take it, without one: every tensor of the device is without data (`meta`).

What waits for a device needs its data, so on such tensors it cannot be done at all, or is an operation that is seen
here. FakeTensorMode on `cuda` was tried first: in builds of torch with CUDA the backward pass asks the driver for the
stream of a tensor ("hasPrimaryContext expects a valid device index"), so without a GPU no step can be made with it.
What only `device.type == "cuda"` chooses is not walked: pinned buffers, fused optimizers, gradient scalers.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import PartialState
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import ganforge
import ganforge.training.run as running
from ganforge.bench.train import step
from ganforge.parallel.start import forget_processes
from ganforge.recipe import Recipe
from ganforge.training.run import Run

DEVICE = torch.device("meta")
PACKAGE = str(Path(ganforge.__file__).parent)
SENDING = "data/transfer.py"
"""The one file that sends host arrays to the device: through pinned memory, where the device is a GPU."""

WAITING = {
    "_local_scalar_dense", "bincount", "equal", "is_nonzero", "item", "masked_select", "nonzero", "unique_consecutive",
    "_unique2", "unique_dim",
}  # fmt: skip
"""Operations whose result, or the size of it, the host has to wait for."""


class Watch(TorchDispatchMode):
    """Operations that wait for the device, copies between it and the host, and operands on both."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_device = any(tensor.device == DEVICE for tensor in tensors)
        if name in WAITING and on_device:
            self.note(f"{name} waits for the device")
        if name == "index" and any(item is not None and item.dtype == torch.bool for item in args[1]):
            self.note("selecting by booleans waits for the device")
        if name == "repeat_interleave" and on_device and (kwargs or {}).get("output_size") is None:
            self.note("repeat_interleave waits for the device")
        if name not in ("_to_copy", "copy_") and on_device and any(_is_on_host(tensor) for tensor in tensors):
            self.note(f"{name} mixes devices")
        result = func(*args, **(kwargs or {}))
        if name in ("_to_copy", "copy_"):
            source, target = (args[1], args[0]) if name == "copy_" else (args[0], result)
            if source.device == DEVICE != target.device:
                self.note("a copy to the host waits for the device")
            if source.device != DEVICE == target.device and not _place().startswith(SENDING):
                self.note("a copy from the host is not pinned")
        return result

    def note(self, what: str) -> None:
        self.found.add(f"{_place()}: {what}")


class HostMade(TorchFunctionMode):
    """Tensors that are made of Python's values for the device, which is a copy that no dispatcher shows."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and torch.device(kwargs.get("device") or "cpu") == DEVICE:
            self._watch.note("a tensor made of values on the host is not pinned")
        return func(*args, **kwargs)


class Unpinned(TorchFunctionMode):
    """Memory as if there were no driver to pin it, since there is none."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **{name: value for name, value in (kwargs or {}).items() if name != "pin_memory"})


def _is_on_host(tensor: Tensor) -> bool:
    """Whether an operand lies there; one number does no harm, since it goes into the launch itself."""
    return tensor.device != DEVICE and tensor.dim() > 0


def _place() -> str:
    """File and line of ganforge, or of a test's own component, that is at work."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(PACKAGE):
            return f"{file.removeprefix(PACKAGE).lstrip('/')}:{frame.f_lineno}"
        if "/test_" in file:
            return f"{Path(file).name}:{frame.f_lineno}"
        frame = frame.f_back
    return "torch itself"


def walk(recipe: Recipe, monkeypatch: pytest.MonkeyPatch, steps: int = 2) -> set[str]:
    """Take steps of a recipe on a device without data; returns what waits for it or mixes it with the host."""
    with _device(monkeypatch):
        with Unpinned():
            run = Run.build(recipe)
        try:
            assert run.accelerator.device == next(run.networks.generator.parameters()).device == DEVICE
            watch = Watch()
            with HostMade(watch), watch:
                for _ in range(steps):
                    step(run)
            return watch.found
        finally:
            run.close()


@contextmanager
def _device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let accelerate give `DEVICE`, and make networks there: moving them would give them new parameters."""
    autocast = torch.autocast  # it knows no such device
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind=None: False)
    monkeypatch.setattr(torch, "autocast", lambda kind, **options: autocast("cpu", **options))
    for name in ("build_networks", "build_augmentation"):
        monkeypatch.setattr(running, name, _made_there(getattr(running, name)))
    forget_processes()
    PartialState(cpu=True)
    PartialState._shared_state["device"] = DEVICE
    try:
        yield
    finally:
        forget_processes()


def _made_there(build: Any) -> Any:
    def make(*args: Any, **options: Any) -> Any:
        with DEVICE:
            return build(*args, **options)

    return make


NARROW: Mapping[str, int] = {"width": 8, "channel_max": 8, "w_dim": 16}


def narrowed(tables: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """The tables with networks as small as their options let them be."""
    for role in ("generator", "discriminator"):
        network = getattr(recipe, role)
        wide = {name: size for name, size in NARROW.items() if (getattr(network, name, None) or 0) > size}
        tables[role] = {**tables[role], **wide}
    return tables
