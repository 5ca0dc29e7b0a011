"""Weights that a new run begins with: of another run, of a checkpoint, or of a generator file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ganforge.arguments import argument
from ganforge.errors import CheckpointError
from ganforge.importing.folder import imported_ada_probability, imported_networks, is_import
from ganforge.run_files import CheckpointFolder, RunFolder, network_file
from ganforge.saved.checkpoint import candidates
from ganforge.saved.generator_file import find_generator, read_config
from ganforge.saved.newest import newest_checkpoint
from ganforge.training.run import Run

NETWORKS = ("discriminator", "generator", "averaged")
MOST_NAMED = 20


@dataclass(frozen=True)
class Initial:
    """Networks by their names in a checkpoint.

    Args:
        path: where they come from.
        networks: each network's tensors; what is not there starts fresh.
        ada_probability: the probability that ADA had reached in another program's training, if that is known.
    """

    path: Path
    networks: Mapping[str, Mapping[str, Tensor]]
    ada_probability: float | None = None


def read_initial(path: Path) -> Initial:
    """Read the weights that a new run starts from.

    Raises:
        CheckpointError: there are no weights, or they are damaged.
    """
    if path.suffix == ".pkl":
        raise CheckpointError(
            f"{path}: opening a pickle runs what is in it; `ganforge import {path}` makes a folder of it to start from"
        )
    if is_import(path):
        return Initial(path, imported_networks(path), imported_ada_probability(path))
    if CheckpointFolder(path).state.is_file() or candidates(RunFolder(path).checkpoints):
        names = [network_file(name) for name in NETWORKS]
        checkpoint = newest_checkpoint(path, names)
        return Initial(checkpoint.path, {name: checkpoint.tensors(name) for name in NETWORKS})
    file = find_generator(path)
    read_config(file)  # whether it is one of ours
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file}: cannot be read: {error}") from error
    return Initial(file, {"generator": tensors, "averaged": tensors})


@dataclass(frozen=True)
class Fit:
    """Which of a network's tensors fit.

    Args:
        fits: names that are on both sides in the same shape.
        rest: for each other name, why it does not fit.
    """

    fits: list[str]
    rest: dict[str, str]


def fit_of(network: nn.Module, tensors: Mapping[str, Tensor]) -> Fit:
    """Compare a network with what is offered to it, by names and shapes."""
    own = network.state_dict()
    rest: dict[str, str] = {}
    for name, tensor in own.items():
        if name not in tensors:
            rest[name] = "not there"
        elif tensors[name].shape != tensor.shape:
            rest[name] = f"{_shape(tensors[name])} there, {_shape(tensor)} here"
    rest |= {name: "only there" for name in tensors if name not in own}
    return Fit([name for name in own if name not in rest], rest)


def take_initial(run: Run, initial: Initial, what_fits: bool = False) -> list[str]:
    """Put the weights into a run's networks. All ranks together.

    Args:
        run: at its first step.
        initial: the weights.
        what_fits: take the tensors that fit and leave the others as they start.

    Returns:
        what was left out, a line a network, for people.

    Raises:
        CheckpointError: they do not fit, or nothing of them does.
    """
    with run.gathered(writes=True):
        networks = run.saved_networks()
        fits = {name: fit_of(networks[name], tensors) for name, tensors in initial.networks.items()}
        partial = {name: fit for name, fit in fits.items() if fit.rest}
        if partial and not (what_fits and any(fit.fits for fit in fits.values())):
            raise CheckpointError(_refusal(initial.path, partial, what_fits))
        for name, fit in fits.items():
            state = networks[name].state_dict()
            networks[name].load_state_dict({**state, **{key: initial.networks[name][key] for key in fit.fits}})
    lines = [f"  the {name} starts fresh: there is none there" for name in networks if name not in fits]
    return lines + [
        f"  the {name}: {len(fit.fits)} of {len(fit.fits) + _missing(fit)} tensors taken; left out: {_listed(fit.rest)}"
        for name, fit in partial.items()
    ]


def _refusal(path: Path, partial: Mapping[str, Fit], what_fits: bool) -> str:
    parts = [
        f"the {name} does not fit the recipe's: {len(fit.fits)} of {len(fit.fits) + _missing(fit)} tensors do; not: "
        f"{_listed(fit.rest, most=3)}"
        for name, fit in partial.items()
    ]
    fitting = f"{argument('init_what_fits', True)} takes what does and starts the rest fresh"
    remedy = "nothing of it fits" if what_fits else fitting
    return f"{path}: {'. '.join(parts)}. {remedy}"


def _missing(fit: Fit) -> int:
    return sum(reason != "only there" for reason in fit.rest.values())


def _listed(rest: Mapping[str, str], most: int = MOST_NAMED) -> str:
    named = [f"{name} ({reason})" for name, reason in list(rest.items())[:most]]
    more = len(rest) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "a number"
