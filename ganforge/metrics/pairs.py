"""How near each translation is to its target, and whether it is of the target's class. Of games that have targets."""

from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ganforge.data.dataset import Dataset
from ganforge.metrics.metric import Metric
from ganforge.registry import register

Border = Annotated[int, Field(ge=0, le=1024)]

BATCH = 64
"""Pictures whose windows are looked at at once."""


class PairMetric(Metric):
    """Compares the i-th fake with the i-th real sample."""

    pairs = True

    def check(self, num_fakes: int, num_reals: int) -> None:
        if num_fakes != num_reals:
            raise ValueError(
                f"compares the i-th sample with the i-th target, and there are {num_fakes} and {num_reals}; set "
                f"evaluation.num_fakes = {num_reals}, or evaluation.num_reals = {num_fakes}"
            )


@register.metric("psnr")
class PSNR(PairMetric):
    """Peak signal-to-noise ratio of each picture to its target, in decibels; the mean over pictures.

    The peak is the range of pictures, 2. It is highest for the mean of all that a target may be, so that a game looks
    worse by it than none: ESRGAN loses 2.4 to 2.7 dB to the same network without a discriminator (Wang et al. 2018).
    It cannot decide by itself which generator is the best.

    Args:
        border: pixels along each border that are left out; papers of super-resolution leave out as many as the factor.
    """

    looks_at = "samples"
    decides = False
    better: ClassVar[dict[str, Literal["lower", "higher"]]] = {"psnr": "higher"}

    def __init__(self, *, border: Border = 0) -> None:
        self.border = border

    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        fakes, reals = _inside(as_shown(fakes), self.border), _inside(reals, self.border)
        error = (fakes - reals).double().square().flatten(1).mean(dim=1).clamp_min(1e-10)
        return {"psnr": float((10 * (4.0 / error).log10()).mean())}


@register.metric("ssim")
class SSIM(PairMetric):
    """Structural similarity of each picture to its target (Wang et al. 2004); 1 for the same. The mean over pictures.

    A Gaussian window of 11x11 with sigma 1.5, K 0.01 and 0.03, the mean over channels, nothing added at the borders.

    Raises:
        ValueError: the pictures are smaller than the window.
    """

    looks_at = "samples"
    better: ClassVar[dict[str, Literal["lower", "higher"]]] = {"ssim": "higher"}

    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        if min(fakes.shape[2:]) < 11:
            raise ValueError(f"looks at windows of 11x11, and the pictures are {fakes.shape[2]}x{fakes.shape[3]}")
        parts = zip(as_shown(fakes).split(BATCH), reals.split(BATCH), strict=True)
        return {"ssim": float(torch.cat([similarity(*part) for part in parts]).mean())}


def similarity(one: Tensor, other: Tensor) -> Tensor:
    """SSIM of pictures `(batch, channels, height, width)` in [-1, 1], `(batch,)` float64."""
    place = torch.arange(11, dtype=torch.float64, device=one.device) - 5
    weights = torch.exp(-(place**2) / (2 * 1.5**2))
    weights = weights / weights.sum()

    def mean(maps: Tensor) -> Tensor:
        rows = maps.double().reshape(-1, 1, *maps.shape[2:])
        rows = functional.conv2d(rows, weights.view(1, 1, -1, 1))
        return functional.conv2d(rows, weights.view(1, 1, 1, -1))

    one, other = one.double(), other.double()
    mean_one, mean_other = mean(one), mean(other)
    variance = mean(one * one) - mean_one**2 + mean(other * other) - mean_other**2
    covariance = mean(one * other) - mean_one * mean_other
    first, second = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    luminance = (2 * mean_one * mean_other + first) / (mean_one**2 + mean_other**2 + first)
    found = luminance * (2 * covariance + second) / (variance + second)
    return found.reshape(len(one), -1).mean(dim=1)


@register.metric("class_accuracy")
class ClassAccuracy(PairMetric):
    """Share of translations that the extractor's classifier takes for their target's class.

    With a classifier of the pixels' classes this is the score by which pix2pix and CycleGAN judge labels to photos
    (Isola et al. 2017, section 4.1). The extractor must give logits of the data's own classes.

    Args:
        dataset: the targets, with labels.

    Raises:
        ValueError: the targets have no labels, or the classifier knows other classes.
    """

    looks_at = "logits"
    better: ClassVar[dict[str, Literal["lower", "higher"]]] = {"class_accuracy": "higher"}

    def __init__(self, dataset: Dataset) -> None:
        if dataset.labels is None or not dataset.spec.classes:
            raise ValueError("compares classes, and the targets have no labels")
        self._labels = dataset.labels
        self._num_classes = dataset.spec.num_classes

    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        if fakes.shape[1] != self._num_classes:
            raise ValueError(f"the extractor gives {fakes.shape[1]} logits, and there are {self._num_classes} classes")
        ids = np.floor(np.arange(len(reals)) * (len(self._labels) / len(reals))).astype(np.int64)
        labels = torch.from_numpy(self._labels[ids]).to(fakes.device)
        return {"class_accuracy": float((fakes.argmax(dim=1) == labels).float().mean())}


def as_shown(pictures: Tensor) -> Tensor:
    """Pictures as they would be saved: in the range, and rounded to bytes."""
    return pictures.clamp(-1, 1).add(1).mul(127.5).round().div(127.5).sub(1)


def _inside(pictures: Tensor, border: int) -> Tensor:
    return pictures[:, :, border : pictures.shape[2] - border, border : pictures.shape[3] - border]
