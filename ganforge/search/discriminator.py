"""The discriminator of a run, used to score how real a picture looks."""

from pathlib import Path

import torch
from torch import nn

from ganforge.arguments import argument
from ganforge.building.parts import build_component
from ganforge.errors import CheckpointError, GanforgeError
from ganforge.recipe import load_saved
from ganforge.registry import register
from ganforge.run_files import RunFolder, network_file
from ganforge.saved.newest import newest_checkpoint
from ganforge.spec import DataSpec


def load_discriminator(run: Path, spec: DataSpec, device: torch.device) -> nn.Module:
    """The discriminator of a checkpoint, in evaluation mode and without gradients of its own.

    Args:
        run: a checkpoint's folder, or a run folder, of which the newest checkpoint is taken.
        spec: what samples look like.
        device: where to put it.

    Raises:
        CheckpointError: the run has no checkpoint, or it does not fit the recipe.
        GanforgeError: the discriminator judges several samples together.
    """
    recipe = load_saved(RunFolder(run).recipe)
    if recipe.discriminator.packing > 1:
        raise GanforgeError(
            f"{run}: its discriminator judges {recipe.discriminator.packing} samples together (packing) and cannot say "
            f"how real one looks; leave the prior out with {argument('prior', 0)}"
        )
    checkpoint = newest_checkpoint(run, [network_file("discriminator")])
    network: nn.Module = build_component(
        recipe, register.discriminator, recipe.discriminator, "discriminator", spec=spec
    )
    try:
        network.load_state_dict(checkpoint.tensors("discriminator"))
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise CheckpointError(f"{checkpoint.path}: the discriminator does not fit the recipe's: {reason}") from error
    return network.to(device).eval().requires_grad_(False)
