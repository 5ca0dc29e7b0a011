"""Pickles in the layouts of the published code, written by classes of our own that stand where theirs stand.

StyleGAN2-ADA and StyleGAN3 pickle each layer as a call of `torch_utils.persistence._reconstruct_persistent_obj` with
the layer's `__dict__` and the source of its module; R3GAN pickles plain torch modules by the names of their classes.
"""

import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SOURCE = "raise SystemExit('the source within the pickle was run')"
LOW_PASS = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0])) / 64


class Layer:
    """One layer of a published network, which pickles itself as theirs do."""

    def __init__(self, kind: str, attributes: Mapping[str, Any]) -> None:
        self.kind, self.attributes = kind, dict(attributes)
        self.parameters: dict[str, Tensor] = {}
        self.buffers: dict[str, Tensor] = {}
        self.modules: dict[str, Any] = {}
        self.version = 6

    def __reduce__(self) -> tuple[Any, ...]:
        table = sys.modules["dnnlib.util"].EasyDict
        state = {
            "training": False,
            "_parameters": OrderedDict({key: nn.Parameter(value, False) for key, value in self.parameters.items()}),
            "_buffers": OrderedDict(self.buffers),
            "_non_persistent_buffers_set": set(),
            "_forward_hooks": OrderedDict(),
            "_modules": OrderedDict(self.modules),
            "_init_args": (),
            "_init_kwargs": table(synthesis_kwargs=table(path="/home/somebody")),
            **self.attributes,
        }
        meta = {"type": "class", "version": self.version, "module_src": SOURCE, "class_name": self.kind, "state": state}
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (meta,), None


def kind_of(path: str, role: str) -> tuple[str, dict[str, Any]]:
    """Class and attributes of the layer at a dotted path."""
    name = path.rpartition(".")[2]
    gain = {"weight_gain": np.float64(0.125)}
    if name == "mapping":
        return "MappingNetwork", {"w_avg_beta": 0.995 if role == "generator" else None}
    if name.startswith("fc") and "mapping" in path:
        return "FullyConnectedLayer", {"activation": "lrelu", "bias_gain": np.float64(0.01), **gain}
    if name in ("affine", "embed", "fc", "out"):
        return "FullyConnectedLayer", {"activation": "linear", "bias_gain": 1, **gain}
    if name == "synthesis":
        return "SynthesisNetwork", {}
    if name == "torgb":
        return "ToRGBLayer", {"conv_clamp": 256, **gain}
    if name == "b4" and role == "discriminator":
        return "DiscriminatorEpilogue", {"architecture": "resnet"}
    if name.startswith("b"):
        kind = "SynthesisBlock" if role == "generator" else "DiscriminatorBlock"
        return kind, {"architecture": "skip" if role == "generator" else "resnet", "use_fp16": True}
    kind = "SynthesisLayer" if role == "generator" and name.startswith("conv") else "Conv2dLayer"
    return kind, {"activation": "lrelu", "conv_clamp": 256, **gain}


def stylegan2_of(network: nn.Module, role: str, **attributes: Any) -> Layer:
    """A network of ours as theirs is laid out, with the filters that theirs keeps in every layer."""
    root = Layer(role.capitalize(), attributes)
    parameters = dict(network.named_parameters())
    for name, tensor in network.state_dict().items():
        *path, last = name.split(".")
        layer = root
        for depth, part in enumerate(path):
            if part not in layer.modules:
                made = Layer(*kind_of(".".join(path[: depth + 1]), role))
                if made.kind in ("SynthesisLayer", "Conv2dLayer", "SynthesisBlock"):
                    made.buffers["resample_filter"] = LOW_PASS
                layer.modules[part] = made
            layer = layer.modules[part]
        (layer.parameters if name in parameters else layer.buffers)[last] = tensor.detach().clone()
    if role == "discriminator":
        root.modules["b4"].modules["mbstd"] = Layer("MinibatchStdLayer", {"group_size": 4, "num_channels": 1})
    return root


@contextmanager
def published_modules(*names: str) -> Iterator[dict[str, types.ModuleType]]:
    """While inside, modules of those names can be pickled by reference."""
    before = {name: sys.modules.get(name) for name in names}
    made = {name: types.ModuleType(name) for name in names}
    sys.modules.update(made)
    try:
        yield made
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def write_stylegan2(path: Path, parts: Mapping[str, Any]) -> Path:
    """A pickle as stylegan2-ada-pytorch and stylegan3 write it."""
    names = ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util")
    with published_modules(*names) as modules:

        def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
            raise AssertionError("the published reader was called")

        _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
        _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
        modules["torch_utils.persistence"]._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
        table = type("EasyDict", (dict,), {"__module__": "dnnlib.util", "__qualname__": "EasyDict"})
        modules["dnnlib.util"].EasyDict = table  # type: ignore[attr-defined]
        settings = table(class_name="x", path="/home/somebody/pictures.zip", xflip=True)
        path.write_bytes(pickle.dumps({"training_set_kwargs": settings, **parts}))
    return path


THEIR_BLOCK = {
    "layers.0.weight": "LinearLayer1.Layer.weight",
    "layers.0.bias": "NonLinearity1.Bias",
    "layers.2.weight": "LinearLayer2.Layer.weight",
    "layers.2.bias": "NonLinearity2.Bias",
    "layers.4.weight": "LinearLayer3.Layer.weight",
}


def write_r3gan(path: Path, parts: Mapping[str, Mapping[str, Tensor]], images: int) -> Path:
    """A pickle as R3GAN's trainer writes it, of states under its own dotted names."""
    with published_modules("training", "training.networks", "R3GAN", "R3GAN.Networks", "R3GAN.Resamplers") as modules:

        def module(where: str, name: str) -> nn.Module:
            made = type(name, (nn.Module,), {"__module__": where, "__qualname__": name})
            return vars(modules[where]).setdefault(name, made)()

        def grown(root: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
            for name, tensor in state.items():
                *parents, last = name.split(".")
                layer = root
                for part in parents:
                    if part not in layer._modules:
                        layer.add_module(part, _new(module, part, parents))
                    layer = layer.get_submodule(part)
                if last == "Kernel":
                    layer.register_buffer(last, tensor)
                else:
                    layer.register_parameter(last, nn.Parameter(tensor.contiguous(), False))
            return root

        data: dict[str, Any] = {
            name: grown(module("training.networks", "Discriminator" if name == "D" else "Generator"), state)
            for name, state in parts.items()
        }
        for network in data.values():
            network.get_submodule("Model.MainLayers.0").DataType = torch.bfloat16
        path.write_bytes(pickle.dumps({**data, "cur_nimg": images, "training_set_kwargs": {"path": "/home/somebody"}}))
    return path


def _new(module: Any, part: str, parents: list[str]) -> nn.Module:
    """A layer of a class that the published networks have."""
    if part in ("MainLayers", "Layers"):
        return nn.ModuleList()
    if part == "Resampler":
        return module("R3GAN.Resamplers", "InterpolativeUpsamplerCUDA")
    return module("R3GAN.Networks", "Generator" if part == "Model" else "Convolution")
