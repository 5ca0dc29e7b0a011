"""Whether weights are finite: checked before they are saved, and before a run goes back to them."""

from collections.abc import Collection, Mapping
from typing import cast

import torch
from torch import Tensor

from ganforge.errors import DamagedCheckpointError, DivergenceError
from ganforge.saved.checkpoint import Checkpoint, candidates
from ganforge.training.run import Run


def require_finite_weights(run: Run) -> None:
    """Before a checkpoint: an update can spoil weights whose loss was still finite, and no loss has shown it yet.

    All ranks together, with the same outcome.

    Raises:
        DivergenceError: naming the player.
    """
    with run.gathered():
        for name, network in run.saved_networks().items():
            if _on_any_rank(run, _is_spoilt(list(network.parameters()), list(network.buffers()))):
                player = "generator" if name == "averaged" else name
                raise DivergenceError(
                    f"step {run.step:,}: the {player}'s weights are no longer finite; {what_is_kept(run)}. "
                    f"A smaller optimizer.{player}.lr often helps"
                )


def why_unusable(run: Run, checkpoint: Checkpoint, names: Collection[str] | None = None) -> str:
    """Why a run cannot go back to a checkpoint; empty if it can.

    Args:
        run: whose networks say which tensors are weights.
        checkpoint: of this run.
        names: files that must be undamaged; all by default.
    """
    try:
        checkpoint.check(names)
        for name, network in run.saved_networks().items():
            tensors = checkpoint.tensors(name)
            weights = {key for key, _ in network.named_parameters()}
            parts = [tensor for key, tensor in tensors.items() if key in weights]
            others = [tensor for key, tensor in tensors.items() if key not in weights]
            if _is_spoilt(parts, others):
                return f"the {name}'s weights are not finite"
    except DamagedCheckpointError as error:
        return error.reason
    return ""


def what_is_kept(run: Run) -> str:
    """What a run that ends with an error can go back to, for the message."""
    reason = ""
    for path in reversed(candidates(run.files.checkpoints)):
        try:
            checkpoint = Checkpoint(path)
        except DamagedCheckpointError as error:
            found = error.reason
        else:
            if not (found := why_unusable(run, checkpoint)):
                return f"the checkpoint of step {checkpoint.state['step']:,} is intact"
        reason = reason or f"{path.name}: {found}"
    if reason:
        return f"no checkpoint can be used ({reason})"
    if not run.folder.is_dir():
        return "what was saved is gone with it"
    return "nothing has been saved yet (see checkpoint.every)"


def _is_spoilt(weights: Collection[Tensor], others: Collection[Tensor]) -> bool:
    """Whether a weight is not finite, or another tensor (a mask may be infinite) is NaN."""
    signs = [weight.isfinite().all().logical_not() for weight in weights if weight.is_floating_point()]
    signs += [other.isnan().any() for other in others if other.is_floating_point()]
    return bool(torch.stack([sign.cpu() for sign in signs]).any()) if signs else False


def _on_any_rank(run: Run, mine: bool) -> bool:
    if run.accelerator.num_processes == 1:
        return mine
    flag: Mapping[bool, float] = {True: 1.0, False: 0.0}
    count = torch.tensor(flag[mine], device=run.accelerator.device)
    return float(cast(Tensor, run.accelerator.reduce(count, reduction="sum"))) > 0
