"""A judge of generated digits that knows nothing of ganforge's training: it is what acceptance tests believe.

A small classifier is trained on one half of the real digits. In its features the judge measures the Fréchet distance of
samples to the other half (which the classifier has never seen; the features of what it was trained on are sharper than
those of any other picture), precision and recall, and with its verdict on each sample how many of the ten classes are
there at all: a distance alone hardly sees a lost class. In pixels it measures whether samples are copies of any real,
since a recipe trains on all of them. `Judge.controls` says what the distance is for real digits, for digits with
classes missing, for blurs and for noise, so that a figure can be read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

Floats = NDArray[np.float64]


class Classifier(nn.Module):
    """Two strided convolutions and a hidden layer whose 64 features are the judge's eyes."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 8 * 8, 64),
            nn.ReLU(),
        )
        self.logits = nn.Linear(64, num_classes)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.logits(self.features(pictures))


@dataclass(frozen=True)
class Verdict:
    """What the judge found about a set of samples.

    Args:
        distance: Fréchet distance to the held-out reals in the classifier's features.
        control: that distance of one half of the reals to the other: what sampling alone costs.
        shares: share of each class among the samples, as the classifier sees them.
        precision: share of samples inside the reals' manifold (Kynkäänniemi et al. 2019, k = 3).
        recall: share of held-out reals inside the samples' manifold.
        nearest_ratio: median distance from a sample to the nearest real, over that from a real to the nearest other
            one; near 0 for copies, near 1 for new pictures of the same kind, above it for worse ones.
    """

    distance: float
    control: float
    shares: tuple[float, ...]
    precision: float
    recall: float
    nearest_ratio: float

    @property
    def ratio(self) -> float:
        return self.distance / self.control

    @property
    def classes_covered(self) -> int:
        """How many classes have more than one sample in a hundred."""
        return sum(share > 0.01 for share in self.shares)

    def __str__(self) -> str:
        return (
            f"distance {self.distance:.1f} ({self.ratio:.2f} x control {self.control:.1f}), "
            f"{self.classes_covered} classes (least {min(self.shares):.1%}), precision {self.precision:.2f}, "
            f"recall {self.recall:.2f}, nearest ratio {self.nearest_ratio:.2f}"
        )


class Judge:
    """Trains its classifier when made (about three CPU-seconds), then judges.

    Args:
        pictures: all real pictures, `(count, 1, 32, 32)`, float32 in [-1, 1].
        labels: their classes, `(count,)` int64.
        seed: of the split in two halves and of the classifier.
    """

    def __init__(self, pictures: Tensor, labels: Tensor, *, seed: int = 0) -> None:
        order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))
        seen, held_out = order[: len(order) // 2], order[len(order) // 2 :]
        self.seen, self.seen_labels = pictures[seen], labels[seen]
        self.held_out, self.held_out_labels = pictures[held_out], labels[held_out]
        self.num_classes = int(labels.max()) + 1
        self.classifier = train_classifier(self.seen, self.seen_labels, self.num_classes, seed)
        self.accuracy = (self.classify(self.held_out) == self.held_out_labels.numpy()).mean().item()
        self.reference = self.features(self.held_out)
        self.control = halves_distance(self.features(pictures), seed)
        self._all_pictures = pictures

    @torch.inference_mode()
    def features(self, pictures: Tensor) -> Floats:
        """`(count, 64)` float64."""
        return torch.cat([self.classifier.features(part) for part in pictures.split(512)]).double().numpy()

    @torch.inference_mode()
    def classify(self, pictures: Tensor) -> NDArray[np.int64]:
        return torch.cat([self.classifier(part).argmax(1) for part in pictures.split(512)]).numpy()

    def judge(self, samples: Tensor) -> Verdict:
        """Judges as many samples as there are held-out reals: a Fréchet distance depends on how many are compared.

        Args:
            samples: at least `len(judge.held_out)` pictures, `(count, 1, 32, 32)` in [-1, 1]; the first so many count.
        """
        assert len(samples) >= len(self.held_out), f"{len(self.held_out)} samples are needed, these are {len(samples)}"
        samples = samples[: len(self.held_out)].float()
        features = self.features(samples)
        counts = np.bincount(self.classify(samples), minlength=self.num_classes)
        return Verdict(
            distance=frechet_distance(self.reference, features),
            control=self.control,
            shares=tuple((counts / counts.sum()).tolist()),
            precision=manifold_share(features, self.reference),
            recall=manifold_share(self.reference, features),
            nearest_ratio=self.nearest_ratio(samples),
        )

    def nearest_ratio(self, samples: Tensor) -> float:
        """Median distance of samples to the nearest of all reals, over that of a real to the nearest other real.

        All reals, because a run trains on all. Measured on pictures averaged over 4x4 pixels, the digits' own
        resolution, so that fine noise on a copy does not make it look new.
        """
        reals = functional.avg_pool2d(self._all_pictures, 4).flatten(1)
        fakes = functional.avg_pool2d(samples, 4).flatten(1)
        to_others = torch.cdist(reals, reals).fill_diagonal_(torch.inf)
        nearest_real = to_others.min(1).values.median()
        return (torch.cdist(fakes, reals).min(1).values.median() / nearest_real).item()

    def controls(self) -> dict[str, float]:
        """The distance to the held-out reals of sets whose quality is known, the best first."""
        means = torch.stack([self.seen[self.seen_labels == label].mean(0) for label in range(self.num_classes)])
        noise = torch.rand(self.held_out.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
        sets = {
            "seen half": self.seen,
            "nine of ten classes": self.only_classes(range(1, self.num_classes)),
            "class means": means[self.seen_labels],
            "five of ten classes": self.only_classes(range(5)),
            "one class": self.only_classes([0]),
            "noise": noise,
        }
        distances = {name: frechet_distance(self.reference, self.features(part)) for name, part in sets.items()}
        return {"half against half": self.control, **distances}

    def only_classes(self, classes: Sequence[int]) -> Tensor:
        """The pictures of these classes in the half that the classifier has seen."""
        return self.seen[torch.isin(self.seen_labels, torch.tensor(list(classes)))]


def train_classifier(pictures: Tensor, labels: Tensor, num_classes: int, seed: int, steps: int = 300) -> Classifier:
    """The same classifier for the same seed, whatever the caller has drawn from torch's random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = Classifier(num_classes)
        optimizer = torch.optim.AdamW(classifier.parameters(), lr=1e-3, weight_decay=0.01)
        for _ in range(steps):
            index = torch.randint(len(pictures), (64,))
            loss = functional.cross_entropy(classifier(pictures[index]), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return classifier.eval().requires_grad_(False)


def halves_distance(features: Floats, seed: int, num_splits: int = 10) -> float:
    """Mean distance of one random half to the other: a single split of 1,797 digits is often off by a quarter of it."""
    random = np.random.default_rng(seed)
    halves = [np.array_split(features[random.permutation(len(features))], 2) for _ in range(num_splits)]
    return float(np.mean([frechet_distance(first, second) for first, second in halves]))


def frechet_distance(first: Floats, second: Floats) -> float:
    """Squared Fréchet distance of the normal distributions fitted to two sets of features `(count, dimensions)`."""
    covariance_first, covariance_second = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    # tr sqrt(AB) by way of the symmetric sqrt(A) B sqrt(A), which has AB's eigenvalues and none that is complex.
    values, vectors = np.linalg.eigh(covariance_first)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariance_second @ root).clip(0)).sum()
    means = np.square(first.mean(0) - second.mean(0)).sum()
    return float(means + np.trace(covariance_first) + np.trace(covariance_second) - 2 * cross)


def manifold_share(points: Floats, manifold: Floats, k: int = 3) -> float:
    """Share of points that lie in the manifold: no farther from one of its points than that one's k-th neighbour."""
    own, reference = torch.from_numpy(points), torch.from_numpy(manifold)
    radii = torch.cdist(reference, reference).kthvalue(k + 1, dim=1).values
    return (torch.cdist(own, reference) <= radii).any(1).double().mean().item()
