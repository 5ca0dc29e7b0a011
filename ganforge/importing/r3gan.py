"""R3GAN as its authors' code pickles it."""

from typing import Any

import torch
from torch import Tensor

from ganforge.importing.found import NAMES, Found, Network, Unfit, classes_of, inner
from ganforge.importing.restricted import Kept
from ganforge.models.resampling import low_pass_kernel
from ganforge.spec import DataSpec

WITHIN_BLOCK = {
    "LinearLayer1.Layer.weight": "layers.0.weight",
    "NonLinearity1.Bias": "layers.0.bias",
    "LinearLayer2.Layer.weight": "layers.2.weight",
    "NonLinearity2.Bias": "layers.2.bias",
    "LinearLayer3.Layer.weight": "layers.4.weight",
}
"""Names within a residual block: theirs and ours."""


def is_r3gan(parts: dict[str, Any]) -> bool:
    """Whether a pickle's generator is a model of stages."""
    return any(
        isinstance(part := parts.get(name), Kept) and "MainLayers" in part.modules.get("Model", part).modules
        for name in ("G_ema", "G")
    )


def r3gan(parts: dict[str, Any]) -> Found:
    """The networks of a pickle as components `r3gan`.

    Raises:
        Unfit: the networks are of another kind.
    """
    kept = {ours: parts[theirs] for ours, theirs in NAMES.items() if isinstance(parts.get(theirs), Kept)}
    models = {name: part.modules.get("Model", part) for name, part in kept.items()}
    generator = models.get("averaged") or models["generator"]
    side = 4 << (len(inner(generator, "MainLayers").modules) - 1)
    embedding = generator.modules.get("EmbeddingLayer")
    spec = DataSpec((3, side, side), classes_of(0 if embedding is None else embedding.tensors["weight"].shape[1]))
    networks = {
        name: _discriminator(part, spec) if name == "discriminator" else _generator(part, spec)
        for name, part in models.items()
    }
    return Found(spec, networks, images=int(parts.get("cur_nimg") or 0))


def _generator(part: Kept, spec: DataSpec) -> Network:
    tensors: dict[str, Tensor] = {}
    stages = _stages(part)
    widths = []
    for number, (transition, *blocks) in enumerate(stages):
        at = 0
        if number == 0:
            tensors["basis.maps"] = transition.tensors["Basis"]
            tensors["basis.weigh.weight"] = inner(transition, "LinearLayer").tensors["weight"]
        else:
            _check_filter(transition)
            if "LinearLayer" in transition.modules:
                tensors[f"stages.{number}.0.weight"] = _weight(inner(transition, "LinearLayer"))
                at = 1
            at += 1
        widths.append(_add_blocks(tensors, f"stages.{number}", at, blocks))
    tensors["output.0.weight"] = _weight(inner(part, "AggregationLayer"))
    latent_dim = tensors["basis.weigh.weight"].shape[1]
    if spec.classes:
        table = inner(part, "EmbeddingLayer").tensors["weight"]
        latent_dim -= table.shape[0]
        tensors["labelled.classes.weight"] = table.t()
    return Network(
        {
            "name": "r3gan",
            "latent_dim": latent_dim,
            **_options(stages, widths),
            "output": "linear",
            "conditional": "embedding" if spec.classes else "none",
        },
        tensors,
    )


def _discriminator(part: Kept, spec: DataSpec) -> Network:
    tensors = {"input.weight": _weight(inner(part, "ExtractionLayer"))}
    stages = _stages(part)
    widths = []
    for number, (*blocks, transition) in enumerate(stages):
        widths.append(_add_blocks(tensors, f"stages.{number}", 0, blocks))
        if number == len(stages) - 1:
            tensors["basis.maps.weight"] = inner(transition, "Basis").tensors["weight"]
            tensors["basis.weigh.weight"] = inner(transition, "LinearLayer").tensors["weight"]
            continue
        _check_filter(transition)
        if "LinearLayer" in transition.modules:
            tensors[f"stages.{number}.{len(blocks) + 1}.weight"] = _weight(inner(transition, "LinearLayer"))
    if spec.classes:
        tensors["projection.classes.weight"] = inner(part, "EmbeddingLayer").tensors["weight"].t()
    options = _options([[last, *blocks] for *blocks, last in reversed(stages)], widths[::-1])
    return Network({"name": "r3gan", **options, "conditional": "projection" if spec.classes else "none"}, tensors)


def _stages(part: Kept) -> list[list[Kept]]:
    """The layers of each stage."""
    return [list(inner(stage, "Layers").modules.values()) for stage in inner(part, "MainLayers").modules.values()]


def _add_blocks(tensors: dict[str, Tensor], stage: str, at: int, blocks: list[Kept]) -> int:
    """Copy the tensors of a stage's residual blocks, which begin at index `at`; returns their channels.

    Raises:
        Unfit: the stage has no residual block, or one with other layers.
    """
    for place, block in enumerate(blocks, start=at):
        theirs = block.state_dict()
        if set(theirs) != set(WITHIN_BLOCK):
            raise Unfit(f"a residual block with {', '.join(theirs)}, so it was not made by the published code")
        tensors |= {f"{stage}.{place}.{ours}": theirs[name] for name, ours in WITHIN_BLOCK.items()}
    if not blocks:
        raise Unfit("a stage without residual blocks")
    return tensors[f"{stage}.{at}.layers.0.weight"].shape[1]


def _options(stages: list[list[Kept]], widths: list[int]) -> dict[str, Any]:
    """Options that both networks have, from stages in the generator's order: the transition first, then the blocks.

    Raises:
        Unfit: no options of `r3gan` give such stages.
    """
    blocks = {len(stage) - 1 for stage in stages}
    hidden = {stage[1].state_dict()["LinearLayer2.Layer.weight"].shape[:2] for stage in stages}
    group_widths = {group for _, group in hidden}
    expansions = {
        stage[1].state_dict()["LinearLayer1.Layer.weight"].shape[0] / width
        for stage, width in zip(stages, widths, strict=True)
    }
    if len(blocks) != 1 or len(group_widths) != 1 or len(expansions) != 1:
        raise Unfit("stages that differ in more than their width")
    full = 4 << (sum(width == widths[0] for width in widths) - 1)
    return {
        "width": widths[0],
        "full_width_to": full,
        "blocks": blocks.pop(),
        "expansion": int(expansions.pop()),
        "group_width": int(group_widths.pop()),
    }


def _weight(convolution: Kept) -> Tensor:
    return inner(convolution, "Layer").tensors["weight"]


def _check_filter(transition: Kept) -> None:
    kernel, usual = inner(transition, "Resampler").tensors.get("Kernel"), low_pass_kernel()
    if kernel is None or kernel.shape != usual.shape or not torch.allclose(kernel.float(), usual):
        raise Unfit("another low-pass filter than [1, 3, 3, 1]")
