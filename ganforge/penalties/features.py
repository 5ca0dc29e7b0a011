"""Feature matching: the generator's samples should look like real ones to D's inner layers, on average."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ganforge.errors import GanforgeError
from ganforge.game.penalty import Penalty, Strength
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.ranks import mean_over_ranks
from ganforge.registry import register

USUAL = ("features", "blocks", "stages", "hidden")
"""Names that discriminators give the part before their last layer; the first one found is used."""


@register.penalty("feature_matching")
class FeatureMatching(Penalty):
    """Distance of the mean features of fake and real pictures (Salimans et al. 2016, section 3.1).

    `strength * |E[f(x)] - E[f(G(z))]|^2`, squared and summed over all features, where f(x) is what inner layers of D
    give; G minimises it. The means are those of the global batch (one exchange between ranks), so large batches match
    more than chance; micro-batches have means of their own. This is the paper's formula; the authors' code takes the
    mean over features in place of the sum, and on CIFAR-10 and SVHN that of absolute differences. In the paper it takes
    the place of G's objective, which a large `strength` or a small learning rate comes near. Costs two forwards of D in
    G's turn, and D is not compiled.

    Args:
        layers: dotted names of modules of D as `named_modules` gives them, each with an output `(batch, ...)`; none for
            the usual last hidden one: `features`, `blocks`, `stages` or `hidden`.
        strength: multiplies the distance; 1 in the paper.
    """

    player = "generator"
    hooks_discriminator = True

    def __init__(self, *, layers: tuple[str, ...] = (), strength: Strength = 1.0) -> None:
        self.layers = layers
        self.strength = strength

    def __call__(self, turn: Turn) -> Tensor:
        modules = find_layers(turn.discriminator_module, self.layers)
        with torch.no_grad(), recorded(modules) as seen:
            turn.discriminate(turn.real, turn.real_labels)
        real = _mean_features(seen)
        with recorded(modules) as seen:
            turn.discriminate(turn.fake, turn.fake_labels)
        return self.strength * (mean_over_ranks(_mean_features(seen) - real)).square().sum()


def find_layers(discriminator: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """The modules with those names, or the usual one.

    Raises:
        GanforgeError: D has no module of that name; the message lists the existing ones.
    """
    modules = {name: module for name, module in discriminator.named_modules() if name}
    if not names:
        # A wrapper, such as the one for packing, puts a name of its own before the network's.
        usual = (name for wanted in USUAL for name in modules if name.rsplit(".", 1)[-1] == wanted)
        names = list(usual)[:1]
    missing = [name for name in names if name not in modules]
    if missing or not names:
        what = f"has no layer '{missing[0]}'" if missing else f"has no layer called {', '.join(USUAL)}; set `layers`"
        raise GanforgeError(f"penalty 'feature_matching': the discriminator {what}; its layers: {', '.join(modules)}")
    return [modules[name] for name in names]


@contextmanager
def recorded(modules: Sequence[nn.Module]) -> Iterator[dict[int, Tensor]]:
    """Context in which the last output of each module is recorded, by the module's place in the list."""
    seen: dict[int, Tensor] = {}

    def hook(place: int) -> "torch.utils.hooks.RemovableHandle":
        def record(module: nn.Module, inputs: object, output: Tensor) -> None:
            seen[place] = output

        return modules[place].register_forward_hook(record)

    handles = [hook(place) for place in range(len(modules))]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _mean_features(seen: dict[int, Tensor]) -> Tensor:
    """Means over the batch of all recorded layers, one after the other, `(features,)`."""
    return torch.cat([at_least_float32(seen[place]).flatten(1).mean(dim=0) for place in sorted(seen)])
