"""Samples of a trained generator, in files."""

from pathlib import Path

import torch
from torch import Tensor, nn

from ganforge.errors import CheckpointError, GanforgeError
from ganforge.generator_file import load_generator
from ganforge.grid import picture_of, single, to_uint8
from ganforge.training.checkpoint import Checkpoint, whole_checkpoints
from ganforge.training.latents import labels, latents

BATCH = 256


def write_samples(run: Path, *, num: int, out: Path, seed: int, averaged: bool) -> str:
    """Draw samples and write a grid (a file) or one PNG a sample (a folder; points: one `.npy`).

    Sample i depends on the seed and i alone, so a longer draw begins with the shorter one.

    Returns:
        what was written where, for the person who asked.

    Raises:
        CheckpointError: there is no such generator.
        GanforgeError: `out` cannot be written.
    """
    network = load_generator(run) if averaged else _raw_generator(run)
    if torch.accelerator.is_available():
        network.to(torch.accelerator.current_accelerator())
    samples = draw(network, num, seed)
    try:
        if out.suffix:
            out.parent.mkdir(parents=True, exist_ok=True)
            picture_of(samples).save(out)
            return f"{num} samples in {out}"
        return _write_folder(samples, out)
    except (OSError, ValueError) as error:
        raise GanforgeError(f"{out}: cannot be written: {error}") from error


@torch.no_grad()
def draw(network: nn.Module, num: int, seed: int) -> Tensor:
    """`num` samples `(num, *spec.shape)` on the CPU from a generator that `load_generator` returned."""
    device = next(network.parameters()).device
    config = network.config
    distribution = getattr(network, "latent_distribution", "normal")
    parts = []
    for start in range(0, num, BATCH):
        indices = range(start, min(start + BATCH, num))
        latent = latents(seed, "sample", 0, indices, network.latent_dim, distribution, device)  # type: ignore[arg-type]
        classes = labels(seed, "sample", 0, indices, config.spec.num_classes, device)  # type: ignore[union-attr]
        parts.append(network(latent, classes).float().cpu())
    return torch.cat(parts)


def _raw_generator(run: Path) -> nn.Module:
    """The weights of the newest checkpoint as they are trained, in the network of the run's saved generator."""
    checkpoints = whole_checkpoints(run / "checkpoints") if run.is_dir() else []
    if not checkpoints:
        raise CheckpointError(f"{run}: --no-ema needs a run folder with a checkpoint")
    network = load_generator(run)
    network.load_state_dict(Checkpoint(checkpoints[-1]).tensors("generator"))
    return network


def _write_folder(samples: Tensor, out: Path) -> str:
    import numpy as np

    out.mkdir(parents=True, exist_ok=True)
    if samples.dim() != 4:
        np.save(out / "samples.npy", samples.numpy())
        return f"{len(samples)} samples in {out / 'samples.npy'}"
    for index, pixels in enumerate(to_uint8(samples).numpy()):
        single(pixels).save(out / f"{index:06d}.png")
    return f"{len(samples)} pictures in {out}"
