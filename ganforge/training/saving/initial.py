"""How a new run takes over the weights that it begins with."""

from collections.abc import Mapping
from pathlib import Path

from ganforge.arguments import argument
from ganforge.errors import CheckpointError
from ganforge.importing.fit import Fit, fit_of, listed
from ganforge.importing.initial import Initial
from ganforge.training.run import Run


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
    return lines + [f"  the {name}: {fit.share} taken; left out: {listed(fit.rest)}" for name, fit in partial.items()]


def _refusal(path: Path, partial: Mapping[str, Fit], what_fits: bool) -> str:
    parts = [
        f"the {name} does not fit the recipe's: {fit.share} do; not: {listed(fit.rest, most=3)}"
        for name, fit in partial.items()
    ]
    fitting = f"{argument('init_what_fits', True)} takes what does and starts the rest fresh"
    remedy = "nothing of it fits" if what_fits else fitting
    return f"{path}: {'. '.join(parts)}. {remedy}"
