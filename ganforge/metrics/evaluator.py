"""Metrics of a generator, over all ranks: each makes and looks at its share of the samples."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from ganforge.data.dataset import Dataset
from ganforge.data.samples import real_samples
from ganforge.metrics.exchange import batches_of, gather_rows, on_main, sum_over_ranks
from ganforge.metrics.generated import Generated, SamplesByIndex
from ganforge.metrics.metric import Extractor, LabelledMetric, Looked, Metric, MomentsMetric, View
from ganforge.metrics.moments import Moments
from ganforge.metrics.protocol import Protocol
from ganforge.metrics.reference import ReferenceCache

Need = tuple[View, Literal["rows", "moments"]]
"""What a metric needs from a set of samples: a view of each sample, or only sums over the view."""


class Evaluator:
    """Computes metrics of generated samples against a dataset.

    Each rank looks at its share and the main process computes the figures, which all ranks get. What metrics need from
    the real samples is taken from the cache, or computed by all ranks together and cached.

    Args:
        metrics: what to compute.
        extractor: features for those metrics that look at features or logits.
        dataset: the real samples.
        accelerator: gives the device and reaches the other ranks.
        protocol: says how many fakes and reals, and goes with the figures.
        cache_dir: keeps what is computed of the reals.
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        extractor: Extractor | None,
        dataset: Dataset,
        accelerator: Accelerator,
        *,
        protocol: Protocol,
        cache_dir: Path,
    ) -> None:
        self.protocol = protocol
        self._metrics = metrics
        self._extractor = extractor
        self._dataset = dataset
        self._accelerator = accelerator
        self._cache = ReferenceCache(cache_dir)
        self._reals: dict[Need, Tensor | Moments] = {}
        self._warnings: list[str] = []
        self._told: set[str] = set()

    def __call__(self, sampler: SamplesByIndex) -> dict[str, float]:
        """Figures by name, the same on every rank, and the `seconds` that they took."""
        start = time.perf_counter()
        with full_precision(self._accelerator.device):
            needs = {need_of(metric) for metric in self._metrics}
            fakes = self._look(self.protocol.num_fakes, needs, sampler)
            self._prepare_reals({need_of(metric) for metric in self._metrics if metric.needs_reals})
        figures = on_main(self._accelerator, lambda: self._figures(fakes, self._labels(sampler)))
        return {**figures, "seconds": time.perf_counter() - start}

    def better(self) -> dict[str, str]:
        """Every figure's name and whether lower or higher is better, the main one first."""
        return {name: way for metric in self._metrics for name, way in metric.better.items()}

    def warnings(self) -> list[str]:
        """New warnings about the last figures; on the main process."""
        new = [line for line in dict.fromkeys(self._warnings) if line not in self._told]
        self._told.update(new)
        return new

    def _labels(self, sampler: SamplesByIndex) -> tuple[Tensor, Tensor] | None:
        """Labels of all fakes and reals; None if one of them has none, or nobody looks at them."""
        if not any(isinstance(metric, LabelledMetric) for metric in self._metrics):
            return None
        fakes = sampler.labels(self.protocol.num_fakes) if isinstance(sampler, Generated) else None
        if fakes is None or self._dataset.labels is None:
            return None
        ids = self._ids(range(self.protocol.num_reals))
        return fakes, torch.from_numpy(self._dataset.labels[ids])

    def _ids(self, indices: range) -> NDArray[np.int64]:
        """Reals evenly spaced in the dataset, as packed data may be sorted by class."""
        stride = len(self._dataset) / self.protocol.num_reals
        return np.floor(np.arange(indices.start, indices.stop) * stride).astype(np.int64)

    def _figures(
        self, fakes: dict[Need, Tensor | Moments], labels: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, float]:
        device = self._accelerator.device
        figures: dict[str, float] = {}
        self._warnings = []
        for metric in self._metrics:
            need = need_of(metric)
            fake, real = fakes[need], self._reals.get(need)
            self._warnings += self._look_closer(metric, fake, real)
            if not is_finite(fake) or (real is not None and not is_finite(real)):
                figures.update(dict.fromkeys(metric.better, math.nan))
            elif isinstance(metric, MomentsMetric):
                assert isinstance(fake, Moments)
                assert isinstance(real, Moments)
                figures.update(metric.of_moments(fake, real))
            else:
                assert isinstance(fake, Tensor)
                reals = real if isinstance(real, Tensor) else fake[:0]
                if isinstance(metric, LabelledMetric):
                    figures.update(self._of_classes(metric, fake.to(device), reals.to(device), labels))
                    continue
                figures.update(metric(fake.to(device), reals.to(device)))  # distances of all pairs are much work
        return figures

    def _of_classes(
        self, metric: LabelledMetric, fakes: Tensor, reals: Tensor, labels: tuple[Tensor, Tensor] | None
    ) -> dict[str, float]:
        if labels is None:
            named = ", ".join(metric.better)
            self._warnings.append(f"{named}: no figure, as nothing says of which class the fakes or the reals are")
            return metric(fakes, reals)
        return metric.of_classes(fakes, reals, *(each.to(fakes.device) for each in labels))

    def _look_closer(self, metric: Metric, fake: Tensor | Moments, real: Tensor | Moments | None) -> list[str]:
        """Warnings about what makes a metric's figures unreliable or missing."""
        found = [
            f"{', '.join(metric.better)}: no figure, as {what} hold values that are no finite numbers; {remedy}"
            for what, value, remedy in (
                ("fakes or their features", fake, "the generator has diverged, or the extractor's weights are damaged"),
                ("features of reals", real, "the extractor's weights are damaged"),
            )
            if value is not None and not is_finite(value)
        ]
        if real is not None:
            of_fakes = Looked(self.protocol.num_fakes, dimensions_of(fake))
            found += metric.warnings(of_fakes, Looked(self.protocol.num_reals, dimensions_of(real), len(self._dataset)))
        return found

    def _prepare_reals(self, needs: set[Need]) -> None:
        """Load the references into the main process, from the cache or computed by all ranks together."""
        missing = on_main(self._accelerator, lambda: self._not_cached(needs))
        if not missing:
            return

        def reals(indices: range) -> Tensor:
            return real_samples(self._dataset, self._ids(indices)).to(self._accelerator.device)

        found = self._look(self.protocol.num_reals, missing, reals)
        if self._accelerator.is_main_process:
            for need, value in found.items():
                self._reals[need] = value
                if need[0] != "samples" and is_finite(value):  # the dataset itself is the best cache of samples
                    self._cache.save(self._key(need), value)

    def _not_cached(self, needs: set[Need]) -> set[Need]:
        for need in needs - self._reals.keys():
            value = self._cache.load(self._key(need))
            if value is not None:
                self._reals[need] = value
        return needs - self._reals.keys()

    def _key(self, need: Need) -> dict[str, object]:
        return {**self.protocol.reference(need[0]), "form": need[1]}

    def _look(self, total: int, needs: set[Need], sampler: SamplesByIndex) -> dict[Need, Tensor | Moments]:
        """Every need of `total` samples; this rank looks at its share of them, and the rest comes from the others."""
        accelerator = self._accelerator
        batches = batches_of(total, accelerator.process_index, accelerator.num_processes)
        rows: dict[Need, list[Tensor]] = {need: [] for need in needs}
        sums: dict[Need, Moments] = {}
        for indices in batches or [range(1)]:  # a rank without a share still has to know the shapes
            views = self._views(sampler(indices).float(), {view for view, _ in needs})
            for need in needs:
                part = views[need[0]] if batches else views[need[0]][:0]
                if need[1] == "rows":
                    rows[need].append(part)
                else:
                    sums[need] = sums[need] + Moments.of(part) if need in sums else Moments.of(part)
        return {
            need: sum_over_ranks(sums[need], accelerator)
            if need[1] == "moments"
            else gather_rows(torch.cat(rows[need]), total, accelerator)
            for need in sorted(needs)  # all ranks send in the same order
        }

    def _views(self, samples: Tensor, views: set[View]) -> dict[View, Tensor]:
        found: dict[View, Tensor] = {"samples": samples}
        if wanted := views - {"samples"}:
            assert self._extractor is not None
            found.update(self._extractor.extract(samples, wanted))
            # Extractors round pictures to bytes, which cannot be NaN.
            is_sample = samples.flatten(1).isfinite().all(dim=1)
            for view in wanted:
                is_known = is_sample.view(-1, *(1 for _ in found[view].shape[1:]))
                found[view] = torch.where(is_known, found[view], math.nan)
        return {view: found[view].float() for view in views}


def is_finite(value: Tensor | Moments) -> bool:
    """Whether a value holds neither NaN nor infinity."""
    return value.is_finite if isinstance(value, Moments) else bool(value.isfinite().all())


def dimensions_of(value: Tensor | Moments) -> int:
    """Numbers of one sample."""
    return len(value.total) if isinstance(value, Moments) else value[:1].flatten(1).shape[1]


def need_of(metric: Metric) -> Need:
    return (metric.looks_at, "moments" if isinstance(metric, MomentsMetric) else "rows")


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Context for forwards in plain float32: no autocast, TF32 or cuDNN benchmarking, whatever training uses."""
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = False
    try:
        with (
            torch.no_grad(),
            torch.autocast(device.type, enabled=False),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            yield
    finally:
        matmul.allow_tf32 = before
