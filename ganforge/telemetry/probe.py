"""Figures for the doctor, taken from a step that training has just computed, and only where that step is logged.

What training has computed anyway costs nothing to read: gradients that are about to be used, the samples and
logits of D's turn. Added to it are distances within one small batch and a few forwards of D without a graph. Nothing
here draws a random number that training would miss, or leaves a trace in the networks.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ganforge.building.parts import build_component, dataset_offers
from ganforge.building.source import class_counts
from ganforge.data.dataset import Dataset
from ganforge.data.samples import real_samples
from ganforge.errors import Problem, RecipeError
from ganforge.game.averaged import AveragedGenerator
from ganforge.game.effective import effective_parameters
from ganforge.game.player import Player
from ganforge.game.turn import Turn
from ganforge.recipe import Recipe
from ganforge.registry import register
from ganforge.telemetry.likeness import class_shares, likeness, rows_of

MOST = 64
"""Samples of each kind that are compared: 64 by 64 distances cost next to nothing."""


class Probe:
    """Takes the doctor's figures; each method belongs to one place of the step.

    Args:
        class_shares: of the samples that the generator should make, by class; empty without labels.
        held_out: real samples that training never sees, or None.
        accelerator: for the device and the other ranks.
    """

    def __init__(self, class_shares: Sequence[float], held_out: Dataset | None, accelerator: Accelerator) -> None:
        self._class_shares = class_shares
        self._accelerator = accelerator
        self._ranks = accelerator.num_processes
        device = accelerator.device
        self._held_out: tuple[Tensor, Tensor | None] | None = None
        if held_out is not None:
            ids = np.linspace(0, len(held_out) - 1, num=min(MOST, len(held_out))).astype(np.int64)
            labels = None if held_out.labels is None else torch.from_numpy(held_out.labels[ids]).to(device)
            self._held_out = (real_samples(held_out, ids).to(device), labels)

    def look(self, moving: Player, turn: Turn) -> dict[str, Tensor]:
        """All figures of a player's turn, after its last backward and before its optimizer's step.

        Args:
            moving: whose turn it is.
            turn: its last micro-batch.
        """
        return self.gradients(moving) | (self.game(moving, turn) if moving.role == "discriminator" else {})

    def gradients(self, moving: Player) -> dict[str, Tensor]:
        """The norm of a player's gradient, before it is clipped."""
        gradients = [parameter.grad for parameter in moving.network.parameters() if parameter.grad is not None]
        if not gradients:
            return {}  # sharded, under ZeRO 1 and 2
        scaler = moving.engine.scaler
        scale = 1.0 if scaler is None else scaler.get_scale()
        return {f"gradient_{moving.role}": norm_of(gradients) / scale}

    @torch.no_grad()
    def game(self, moving: Player, turn: Turn) -> dict[str, Tensor]:
        """How fakes differ from reals, to the eye and to D, in the last micro-batch of a turn of D, over all ranks.

        - `separation`: how often D finds a real sample more real than a fake one; 0.5 is chance. Unlike an accuracy
          it does not take 0 for the border, so it means the same for every objective.
        - `spread`, `duplicates`, `coverage`: see `likeness`; `spread_features` is `spread` in D's last hidden layer.
        - `class_K`: share of the fakes that look like class K, over its share of the data, so that all classes have the
          same figure where fakes are as reals; of classes that are large enough to be seen.
        - `overfitting`: see `overfitting`; only with held-out samples.
        - `change`: of translations, in place of all but `separation`; see `_translation`.
        """
        figures: dict[str, Tensor] = {}
        real_logits, fake_logits, fakes = (turn.computed(name) for name in ("real_logits", "fake_logits", "fake"))
        count = min(-(-MOST // self._ranks), len(turn.real))
        count -= count % turn.packing
        if real_logits is not None and fake_logits is not None and count:
            packs = count // turn.packing
            figures["separation"] = separation(self._gather(real_logits[:packs]), self._gather(fake_logits[:packs]))
        if fakes is None or count * self._ranks < 4:
            return figures
        if turn.source.dim() == 4:  # variety is the sources', not the game's
            return figures | self._translation(turn, fakes[:count], count)
        real_rows, fake_rows = self._gather(rows_of(turn.real[:count])), self._gather(rows_of(fakes[:count]))
        figures |= likeness(real_rows, fake_rows)
        if turn.real_labels is not None:
            figures |= class_figures(real_rows, self._gather(turn.real_labels[:count]), fake_rows, self._class_shares)
        return figures | self._in_features(turn.discriminator_module, turn, fakes, count)

    @torch.no_grad()
    def distance_of_average(self, averaged: AveragedGenerator, generator: nn.Module) -> dict[str, Tensor]:
        """How far the averaged generator's weights are from the generator's, as a share of their length; as used."""
        mine, theirs = (
            [tensor.detach() for _, tensor in effective_parameters(network)]
            for network in (averaged.network, generator)
        )
        apart = torch._foreach_sub(mine, theirs)  # pyright: ignore[reportPrivateImportUsage]
        lengths = [norm_of(apart), norm_of(theirs)]
        return {"average_distance": lengths[0] / lengths[1].clamp_min(1e-12)}

    def _translation(self, turn: Turn, fakes: Tensor, count: int) -> dict[str, Tensor]:
        """`change`: how far translations are from their sources, as a share of how far real samples are from them.

        About 0 where the generator copies. Where sources and samples differ in shape nothing can be copied.
        """
        sources, reals = turn.source[:count], turn.real[:count]
        if sources.shape != fakes.shape:
            return {}
        apart = torch.stack([(samples.float() - sources.float()).abs().mean() for samples in (fakes, reals)])
        mine, theirs = self._gather(apart[None]).mean(dim=0)
        return {"change": mine / theirs.clamp_min(1e-6)}

    def _in_features(self, network: nn.Module, turn: Turn, fakes: Tensor, count: int) -> dict[str, Tensor]:
        """The spread in D's own features, and held-out reals if there are any; D as it is in evaluation."""
        figures: dict[str, Tensor] = {}
        with _as_in_evaluation(network):
            real_logits, real_features = _features(network, turn.real[:count], _first(turn.real_labels, count))
            fake_logits, fake_features = _features(network, fakes[:count], _first(turn.fake_labels, count))
            if real_features is not None and fake_features is not None:
                spread = likeness(self._gather(real_features), self._gather(fake_features))["spread"]
                figures["spread_features"] = spread
            if self._held_out is not None:
                samples, labels = self._held_out
                whole = len(samples) - len(samples) % turn.packing
                seen_labels = _first(labels, whole) if turn.real_labels is not None else None
                unseen, _ = _features(network, samples[:whole], seen_labels)
                figures["overfitting"] = overfitting(self._gather(real_logits), unseen, self._gather(fake_logits))
        return figures

    def _gather(self, rows: Tensor) -> Tensor:
        """The rows of all ranks, in their order, on each of them."""
        return rows if self._ranks == 1 else cast(Tensor, self._accelerator.gather(rows.detach().contiguous()))


def build_probe(recipe: Recipe, dataset: Dataset, accelerator: Accelerator) -> Probe | None:
    """The probe of a recipe; None if the recipe switches the doctor off.

    Raises:
        RecipeError: held-out samples are not of the kind that training sees.
    """
    table = recipe.health
    if not table.watch:
        return None
    held_out: Dataset | None = None
    if table.held_out is not None:
        offers = dataset_offers(recipe)
        held_out = build_component(recipe, register.dataset, table.held_out, "health.held_out", **offers)
        assert held_out is not None
        if held_out.spec.shape != dataset.spec.shape or held_out.spec.num_classes != dataset.spec.num_classes:
            text = f"holds samples of {held_out.spec}, training sees {dataset.spec}; name one of the same kind"
            raise RecipeError(recipe.name, [Problem("health.held_out", text)])
    counts = class_counts(recipe, dataset) or (1,) * dataset.spec.num_classes
    return Probe([count / sum(counts) for count in counts], held_out, accelerator)


def class_figures(reals: Tensor, labels: Tensor, fakes: Tensor, wanted: Sequence[float]) -> dict[str, Tensor]:
    """`class_K` of each class of which three or more samples are to be expected here; none says nothing of others.

    Args:
        reals: `(samples, numbers)`.
        labels: `(samples,)`, theirs.
        fakes: `(samples, numbers)`.
        wanted: the share of each class that is right.
    """
    seen = [number for number, share in enumerate(wanted) if share * len(reals) >= 3]
    if len(seen) < 2:
        return {}
    shares = class_shares(reals, labels, fakes, len(wanted))
    return {f"class_{number}": shares[number] / (len(seen) * wanted[number]) for number in seen}


def separation(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """P(a real sample's logit is above a fake one's), ties counted half: the area under the ROC curve."""
    difference = real_logits.float()[:, None] - fake_logits.float()[None, :]
    return (0.5 * (difference.sign() + 1.0)).mean()


def overfitting(training: Tensor, unseen: Tensor, fake: Tensor) -> Tensor:
    """`(E[D_train] - E[D_unseen]) / (E[D_train] - E[D_fake])` (Karras et al. 2020, "ADA", equation 1).

    0 when D takes reals that it never saw for what it saw, 1 when it takes them for fakes. Where D does not tell
    training from fake samples by a quarter of a logit there is nothing to overfit, and it is 0.
    """
    gap = training.float().mean() - fake.float().mean()
    ratio = (training.float().mean() - unseen.float().mean()) / gap.clamp_min(1e-6)
    return torch.where(gap > 0.25, ratio, torch.zeros_like(ratio))


def norm_of(tensors: Sequence[Tensor]) -> Tensor:
    """The length of all tensors as one vector, float32, on their device."""
    if not tensors:
        return torch.zeros(())
    norms = torch._foreach_norm(list(tensors))  # pyright: ignore[reportPrivateImportUsage]
    return torch.linalg.vector_norm(torch.stack([norm.float() for norm in norms]))


def _first(labels: Tensor | None, count: int) -> Tensor | None:
    return None if labels is None else labels[:count]


@contextmanager
def _as_in_evaluation(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, so that no running statistic moves; the random state is put back even if a layer draws."""
    modes: Mapping[nn.Module, bool] = {module: module.training for module in network.modules()}
    devices = {parameter.device for parameter in network.parameters() if parameter.device.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(devices, key=str)):
        network.eval()
        try:
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode


def _features(network: nn.Module, samples: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Logits, and what goes into the last convolution or linear layer, `(batch, features)`; None if there is none."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[:] = inputs[:1]

    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.modules.conv._ConvNd)]
    handles = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        # With its hooks, but not as it may be compiled for training.
        logits = cast(Tensor, network._call_impl(samples, labels))
    finally:
        for handle in handles:
            handle.remove()
    features = seen[0].detach().float().flatten(1) if seen else None
    return logits.detach(), features if features is not None and len(features) == len(samples) else None
