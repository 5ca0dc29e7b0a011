"""A feature extractor that needs no download: it trains itself on the dataset's own labels."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from filelock import FileLock
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from ganforge.data.dataset import Dataset
from ganforge.data.samples import real_samples
from ganforge.errors import DataError
from ganforge.files import replaced
from ganforge.metrics.metric import Extractor, View
from ganforge.metrics.weights import sha256_of
from ganforge.registry import register
from ganforge.spec import DataSpec

FEATURES = 64
BATCH = 64
"""Pictures in a step of its training; an epoch drops the last incomplete batch."""


class SmallClassifier(nn.Module):
    """Three strided convolutions, one hidden layer; small enough to train in seconds on a CPU."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(64 * 16, FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, num_classes)

    def forward(self, samples: Tensor) -> Tensor:
        return self.head(self.features(samples))


@register.extractor("digits-cnn")
class DigitsCNN(Extractor):
    """The last hidden layer of a small classifier that trains itself on the dataset's own labels, in seconds.

    Made for the digits, where it needs no download; any labelled pictures of up to 64x64 will do. Training is
    deterministic on one machine, and the weights are kept in the cache folder under the dataset's digest. Features are
    `(batch, 64)`, logits `(batch, classes)`. It was trained on the very pictures that it judges
    with, so its figures compare runs on the same dataset and are no absolute measure.

    Args:
        dataset: labelled pictures, 64 or more; those that are judged must be of their size and channels.
        cache_dir: folder that keeps the trained weights.
        epochs: passes over the dataset.
    """

    has_logits: ClassVar = True

    def __init__(self, dataset: Dataset, cache_dir: Path, *, epochs: Annotated[int, Field(ge=1, le=1000)] = 6) -> None:
        spec = dataset.spec
        if dataset.labels is None or spec.num_classes < 2 or not spec.is_image:
            raise DataError("extractor 'digits-cnn' trains on labelled pictures; this dataset has none")
        if len(dataset) < BATCH:
            raise DataError(
                f"extractor 'digits-cnn' trains on {BATCH} labelled pictures or more, and there are {len(dataset)}; "
                "set evaluation.extractor to a trained one, such as inception-v3-compat"
            )
        self._shape = spec.shape
        with torch.random.fork_rng(devices=[]):  # the extractor must not advance a run's random states
            torch.manual_seed(0)
            self._network = SmallClassifier(spec.channels, spec.num_classes)
        path = cache_dir / "extractors" / f"digits-cnn-{epochs}-{dataset.digest[:16]}.safetensors"
        if not path.exists():  # what is there needs no lock, which another user's cache may not give
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                if not path.exists():
                    _learn(self._network, dataset, epochs)
                    with replaced(path) as temporary:
                        save_file(self._network.state_dict(), temporary)
        self._network.load_state_dict(load_file(path))
        self._network.eval().requires_grad_(False)
        self.name_of_weights = path.stem
        self.sha256 = sha256_of(path)

    def __call__(self, samples: Tensor) -> Tensor:
        return self.extract(samples, {"features"})["features"]

    def extract(self, samples: Tensor, views: Collection[View]) -> dict[View, Tensor]:
        if samples.shape[1:] != self._shape:
            raise DataError(
                f"extractor 'digits-cnn' learned from pictures of {DataSpec(self._shape)}, these are of "
                f"{DataSpec(tuple(samples.shape[1:]))}; bring them to one size with `ganforge data pack --size`, or "
                "take an extractor that does, such as inception-v3-compat"
            )
        self._network.to(samples.device)
        features = self._network.features(samples)
        return {"features": features, **({"logits": self._network.head(features)} if "logits" in views else {})}


def _learn(network: SmallClassifier, dataset: Dataset, epochs: int) -> None:
    assert dataset.labels is not None
    fit_classifier(network, real_samples(dataset), torch.from_numpy(dataset.labels), epochs)


def fit_classifier(network: SmallClassifier, samples: Tensor, labels: Tensor, epochs: int) -> None:
    """Adam, a falling learning rate and shifts of up to two pixels; leaves the global random states as they were.

    Args:
        network: the classifier, which is changed.
        samples: `(num, channels, height, width)`, 64 or more.
        labels: `(num,)` int64, on the same device.
        epochs: passes over the samples.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
        total = epochs * (len(samples) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=max(total, 2))
        for _ in range(epochs):
            order = torch.randperm(len(samples)).to(samples.device)
            for chosen in order.split(BATCH):
                if len(chosen) < BATCH:
                    continue
                shift = torch.randint(-2, 3, (2,)).tolist()
                pictures = torch.roll(samples[chosen], shift, dims=(2, 3))
                loss = functional.cross_entropy(network(pictures), labels[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
