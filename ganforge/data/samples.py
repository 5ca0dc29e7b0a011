"""Real samples as networks see them, without the loader: for metrics and classifiers."""

import numpy as np
import torch
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.data.depth import as_rows, scaled
from ganforge.errors import DataError


def real_samples(dataset: Dataset, ids: np.ndarray | None = None) -> Tensor:
    """Samples by number: pictures `(len(ids), channels, height, width)` in [-1, 1], points unchanged; float32, CPU.

    Args:
        dataset: whose.
        ids: their numbers; None for all.

    Raises:
        DataError: one of them cannot be read.
    """
    samples = _stored(dataset, ids)
    return samples if dataset.source is None else samples[:, : dataset.spec.channels].contiguous()


def source_samples(dataset: Dataset, ids: np.ndarray | None = None) -> Tensor:
    """The other halves of the samples of `real_samples`, `(len(ids), *dataset.source.shape)` in [-1, 1].

    Raises:
        DataError: one of them cannot be read.
    """
    assert dataset.source is not None
    return _stored(dataset, ids)[:, dataset.spec.channels :].contiguous()


def _stored(dataset: Dataset, ids: np.ndarray | None) -> Tensor:
    """Samples with all the channels that are stored."""
    ids = np.arange(len(dataset)) if ids is None else ids
    rows = np.empty((len(ids), *dataset.row_shape), dtype=dataset.dtype)
    failures = dataset.read(ids, rows)
    if failures:
        raise DataError(f"{next(iter(failures.values()))}; metrics need every sample, run `ganforge data verify`")
    samples = as_rows(rows)
    if dataset.spec.is_image:
        if (dataset.spec.dtype, dataset.spec.limits) != ("uint8", (0, 255)):
            return scaled(samples, torch.contiguous_format, dataset.spec)
        samples = samples.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0).contiguous()
    return samples
