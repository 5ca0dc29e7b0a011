"""StyleGAN2 as the authors' PyTorch code pickles it (stylegan2-ada-pytorch, and stylegan3 with `--cfg=stylegan2`).

Options are read from the layers' own attributes and shapes, not from the arguments that made them, whose defaults
differ between the two repositories.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ganforge.importing.found import NAMES, Found, Network, Unfit, attribute, classes_of, inner
from ganforge.importing.restricted import Kept
from ganforge.models.pyramid import SMALLEST
from ganforge.models.resampling import low_pass_kernel
from ganforge.spec import DataSpec

LAYERS = {
    "Generator", "MappingNetwork", "SynthesisNetwork", "SynthesisBlock", "SynthesisLayer", "ToRGBLayer",
    "FullyConnectedLayer", "Conv2dLayer", "Discriminator", "DiscriminatorBlock", "MinibatchStdLayer",
    "DiscriminatorEpilogue",
}  # fmt: skip
FILTER = ".resample_filter"


def is_stylegan2(parts: dict[str, Any]) -> bool:
    """Whether a pickle's generator has a mapping and a synthesis."""
    return any(isinstance(part := parts.get(name), Kept) and "synthesis" in part.modules for name in ("G_ema", "G"))


def stylegan2(parts: dict[str, Any]) -> Found:
    """The networks of a pickle as components `stylegan2`.

    Raises:
        Unfit: the networks are of another kind.
    """
    kept = {ours: parts[theirs] for ours, theirs in NAMES.items() if isinstance(parts.get(theirs), Kept)}
    generator = kept.get("averaged") or kept["generator"]
    side, channels = int(attribute(generator, "img_resolution")), int(attribute(generator, "img_channels"))
    spec = DataSpec((channels, side, side), classes_of(int(attribute(generator, "c_dim"))))
    networks = {}
    for name, part in kept.items():
        table = _discriminator(part, spec) if name == "discriminator" else _generator(part, spec)
        networks[name] = Network({"name": "stylegan2", **table}, _tensors(part))
    pipe = parts.get("augment_pipe")
    strength = pipe.tensors.get("p") if isinstance(pipe, Kept) else None
    return Found(
        spec,
        networks,
        images=int(parts.get("cur_nimg") or 0),
        ada_probability=None if strength is None or strength.numel() != 1 else float(strength),
    )


def _generator(part: Kept, spec: DataSpec) -> dict[str, Any]:
    synthesis, mapping = inner(part, "synthesis"), inner(part, "mapping")
    if f"b{SMALLEST}" not in synthesis.modules:
        raise Unfit("StyleGAN3's alias-free generator, for which there is no component; its StyleGAN2 can be imported")
    _check_layers(part)
    blocks = _blocks(synthesis, spec)
    layer = inner(blocks[0], "conv1")
    return {
        "latent_dim": int(attribute(part, "z_dim")),
        "w_dim": int(attribute(part, "w_dim")),
        **_mapping(mapping),
        **_channels([len(inner(block, "conv1").tensors["bias"]) for block in blocks]),
        "architecture": str(attribute(blocks[0], "architecture")),
        "noise": "noise_const" in layer.tensors,
        "output": "linear",
        "clamp": float(attribute(layer, "conv_clamp") or 0.0),
        "conditional": "embedding" if spec.classes else "none",
        "w_avg_beta": float(attribute(mapping, "w_avg_beta") or 0.0),
    }


def _discriminator(part: Kept, spec: DataSpec) -> dict[str, Any]:
    _check_layers(part)
    last, *others = _blocks(part, spec)
    deviation = last.modules.get("mbstd")
    if deviation is not None and attribute(deviation, "num_channels") != 1:
        raise Unfit("a discriminator with several channels of minibatch deviation")
    group = 0 if deviation is None else attribute(deviation, "group_size")
    if group is None:
        raise Unfit("a discriminator whose minibatch deviation is over the whole batch")
    table = {
        **_channels(
            [
                len(inner(block, "conv0" if others and block is not last else "conv").tensors["bias"])
                for block in (last, *others)
            ]
        ),
        "architecture": str(attribute(last, "architecture")),
        "minibatch_std": int(group),
        "clamp": float(attribute(inner(last, "conv"), "conv_clamp") or 0.0),
        "conditional": "projection" if spec.classes else "none",
    }
    return {**table, **_mapping(inner(part, "mapping"))} if spec.classes else table


def _blocks(part: Kept, spec: DataSpec) -> list[Kept]:
    """The blocks from 4x4 up to the picture's size."""
    sides = [SMALLEST << level for level in range((spec.height // SMALLEST).bit_length())]
    return [inner(part, f"b{side}") for side in sides]


def _mapping(mapping: Kept) -> dict[str, Any]:
    layers = [layer for name, layer in mapping.modules.items() if name.startswith("fc")]
    rates = {round(float(attribute(layer, "bias_gain")), 9) for layer in layers}
    if len(rates) != 1:
        raise Unfit(f"a mapping whose layers have {len(rates)} learning rates")
    return {"mapping_layers": len(layers), "mapping_lr": rates.pop()}


def _channels(widths: list[int]) -> dict[str, int]:
    """The options `channel_base` and `channel_max` that give these channels, smallest map first."""
    sides = [SMALLEST << level for level in range(len(widths))]
    base, most = max(width * side for width, side in zip(widths, sides, strict=True)), max(widths)
    if [min(base // side, most) for side in sides] != widths or any(one < two for one, two in pairwise(widths)):
        raise Unfit(f"maps of {', '.join(map(str, widths))} channels, which no channel_base and channel_max give")
    return {"channel_base": base, "channel_max": most}


def _check_layers(part: Kept) -> None:
    """Refuse layers that differ from the published ones in kind or in behaviour.

    Raises:
        Unfit: a layer differs from the published ones.
    """
    for prefix, layer in part.named_parts():
        if layer.kind not in LAYERS:
            raise Unfit(f"'{prefix.rstrip('.')}' is a {layer.kind}, which the published networks do not have")
        activation = layer.attributes.get("activation", "linear")
        if activation not in ("linear", "lrelu"):
            raise Unfit(f"'{prefix.rstrip('.')}' has the activation {activation}, not lrelu")
    for name, tensor in part.state_dict().items():
        if name.endswith(FILTER) and not _is_usual_filter(tensor):
            raise Unfit(f"'{name}' is another low-pass filter than [1, 3, 3, 1]")


def _is_usual_filter(tensor: Tensor) -> bool:
    kernel = low_pass_kernel()
    return tensor.shape == kernel.shape and torch.allclose(tensor.float(), kernel)


def _tensors(part: Kept) -> dict[str, Tensor]:
    """All tensors but the filters, which are constants here."""
    return {name: tensor for name, tensor in part.state_dict().items() if not f".{name}".endswith(FILTER)}
