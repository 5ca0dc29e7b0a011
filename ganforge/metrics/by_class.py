"""Metrics that look at each class by itself: what a distance of all samples together does not see."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.metrics.extractors import SmallClassifier, fit_classifier
from ganforge.metrics.frechet import FrechetDistance
from ganforge.metrics.metric import LabelledMetric
from ganforge.metrics.moments import Moments
from ganforge.registry import register

LISTED = 20
"""Classes up to which each has a figure of its own."""


def _classes_of(dataset: Dataset) -> tuple[str, ...]:
    if dataset.labels is None or dataset.spec.num_classes < 2:
        raise ValueError("looks at classes, and these samples have no labels")
    return dataset.spec.classes


@register.metric("fid_by_class")
class FrechetDistanceByClass(LabelledMetric):
    """The Fréchet distance of each class to the real samples of that class (as in Miyato and Koyama 2018, intra-FID).

    `fid_by_class` is their mean, `fid_worst_class` the largest; with up to 20 classes each has a figure of its own,
    `fid_class_N` for class number N. A generator that mixes up its classes, or gives up the variety within one, is seen
    here and hardly by `fid`. A class has few samples, so that all figures are large by chance: they compare runs of one
    protocol. A class with fewer than two samples has no figure and is left out of the mean.

    Args:
        dataset: labelled samples.
    """

    better: ClassVar[dict[str, Literal["lower", "higher"]]] = {"fid_by_class": "lower", "fid_worst_class": "lower"}

    def __init__(self, dataset: Dataset) -> None:
        self._num_classes = len(_classes_of(dataset))
        if self._num_classes <= LISTED:
            own = {f"fid_class_{number}": "lower" for number in range(self._num_classes)}
            self.better = {**type(self).better, **own}  # type: ignore[misc]  # as many as this dataset has

    def of_classes(self, fakes: Tensor, reals: Tensor, fake_labels: Tensor, real_labels: Tensor) -> dict[str, float]:
        found = dict(self._distances(fakes, reals, fake_labels, real_labels))
        distances = list(found.values())
        nothing = float("nan")
        figures = {f"fid_class_{number}": found.get(number, nothing) for number in range(self._num_classes)}
        return {
            "fid_by_class": sum(distances) / len(distances) if distances else nothing,
            "fid_worst_class": max(distances, default=nothing),
            **(figures if self._num_classes <= LISTED else {}),
        }

    def _distances(
        self, fakes: Tensor, reals: Tensor, fake_labels: Tensor, real_labels: Tensor
    ) -> Iterator[tuple[int, float]]:
        distance = FrechetDistance()
        for number in range(self._num_classes):
            of_fakes, of_reals = fakes[fake_labels == number], reals[real_labels == number]
            if min(len(of_fakes), len(of_reals)) >= 2:
                yield number, distance.of_moments(Moments.of(of_fakes), Moments.of(of_reals))["fid"]


@register.metric("cas")
class ClassificationAccuracyScore(LabelledMetric):
    """How well a classifier that learns from fakes alone classifies real samples (Ravuri and Vinyals 2019).

    A class whose fakes lack variety, or are of another class, costs accuracy. The classifier is the small network of
    the extractor `digits-cnn`, trained anew on the fakes at every evaluation, always from the same weights; the paper's
    is a ResNet-50 and its reals are ImageNet's validation set, so that figures do not compare with the paper's. `cas`
    is the accuracy on the real samples that are looked at: `ganforge evaluate RUN --metric cas --against HELD_OUT`
    takes others than the generator has learned from.

    Args:
        dataset: labelled pictures of up to 64x64.
        epochs: passes over the fakes.
    """

    looks_at = "samples"
    better: ClassVar = {"cas": "higher"}

    def __init__(self, dataset: Dataset, *, epochs: Annotated[int, Field(ge=1, le=1000)] = 6) -> None:
        self._num_classes = len(_classes_of(dataset))
        if not dataset.spec.is_image:
            raise ValueError(f"classifies pictures, and these samples are {dataset.spec}")
        self.epochs = epochs

    def check(self, num_fakes: int, num_reals: int) -> None:
        if num_fakes < 64:
            raise ValueError(f"a classifier learns from 64 fakes or more, and there are {num_fakes}")

    def of_classes(self, fakes: Tensor, reals: Tensor, fake_labels: Tensor, real_labels: Tensor) -> dict[str, float]:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            classifier = SmallClassifier(fakes.shape[1], self._num_classes).to(fakes.device)
            fit_classifier(classifier, fakes, fake_labels.to(fakes.device), self.epochs)
        with torch.no_grad():
            said = torch.cat([classifier(part).argmax(dim=1) for part in reals.split(512)])
        return {"cas": float((said == real_labels.to(said.device)).double().mean())}
