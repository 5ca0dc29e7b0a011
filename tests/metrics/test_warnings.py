"""Figures that would say less than they seem to are none, or come with a warning: NaN, few samples, damaged weights."""

import math
import re

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from ganforge.data.dataset import ArrayDataset
from ganforge.metrics.evaluator import Evaluator
from ganforge.metrics.frechet import FrechetDistance
from ganforge.metrics.metric import Extractor, Looked
from ganforge.metrics.neighbours import DensityCoverage
from ganforge.metrics.protocol import Protocol, describe_extractor, versions
from ganforge.metrics.scores import InceptionScore, KernelDistance, PrecisionRecall
from ganforge.spec import DataSpec

METRICS = {
    "fid": FrechetDistance,
    "kid": lambda: KernelDistance(subset_size=50, subsets=2),
    "precision_recall": PrecisionRecall,
    "density_coverage": DensityCoverage,
    "is": InceptionScore,
}


@pytest.fixture(autouse=True)
def fresh_accelerate():
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


class Bytes(Extractor):
    """Rounds samples to bytes first, as Inception does: not one byte is NaN. Damaged, it gives NaN for some reals."""

    has_logits = True
    name_of_weights = "bytes"

    def __init__(self, damaged_above: float = math.inf) -> None:
        self.damaged_above = damaged_above

    def __call__(self, samples):
        rounded = (samples.nan_to_num() * 127.5 + 127.5).clamp(0, 255).to(torch.uint8).float()
        return torch.where(samples[:, :1] > self.damaged_above, math.nan, rounded)

    def extract(self, samples, views):
        return {view: self(samples) for view in views}


def evaluate(cache, metric, fakes: torch.Tensor, extractor: Extractor, num_reals: int = 300):
    rows = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32) / 3
    data = ArrayDataset(rows, DataSpec((8,)), "d" * 64)
    protocol = Protocol(
        metrics=({"name": "any"},),
        extractor=describe_extractor(extractor, {"name": "bytes"}),
        reals={"digest": data.digest, "split": "all"},
        num_reals=num_reals,
        fakes={"seed": 0},
        num_fakes=len(fakes),
        versions=versions(),
    )
    evaluator = Evaluator([metric], extractor, data, Accelerator(cpu=True), protocol=protocol, cache_dir=cache)
    figures = evaluator(lambda indices: fakes[indices.start : indices.stop])
    figures.pop("seconds")
    return figures, evaluator


def some_fakes(count: int = 300) -> torch.Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(1)) / 3


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_one_sample_that_is_no_number_leaves_no_figure_and_a_word_about_it(tmp_path, name, value):
    fakes = some_fakes()
    sound, evaluator = evaluate(tmp_path, METRICS[name](), fakes, Bytes())
    assert all(math.isfinite(figure) for figure in sound.values())
    assert not any("finite" in line for line in evaluator.warnings())
    fakes[70, 3] = value
    figures, evaluator = evaluate(tmp_path, METRICS[name](), fakes, Bytes())
    assert figures
    assert all(math.isnan(figure) for figure in figures.values())
    (line,) = (line for line in evaluator.warnings() if "finite" in line)
    assert "fakes or their features hold values that are no finite numbers" in line


@pytest.mark.parametrize("name", ["fid", "precision_recall", "density_coverage"])
def test_features_of_reals_that_are_no_numbers_leave_no_figure_and_are_not_kept(tmp_path, name):
    figures, evaluator = evaluate(tmp_path, METRICS[name](), some_fakes().clamp(max=0.5), Bytes(damaged_above=0.5))
    assert all(math.isnan(figure) for figure in figures.values())
    assert any("features of reals" in line for line in evaluator.warnings())
    assert not [*tmp_path.rglob("*.safetensors")]


@pytest.mark.parametrize(
    ("fakes", "reals", "lines"),
    [
        (Looked(2048, 2048), Looked(50_000, 2048, 50_000), []),
        (Looked(2047, 2048), Looked(50_000, 2048, 50_000), ["2,047 fakes: below 2,048"]),
        (Looked(50_000, 2048), Looked(50_000, 2048, 50_000), []),
        (Looked(2000, 64), Looked(1797, 64, 1797), ["2,000 fakes: below 2,048 .*evaluation.num_fakes"]),
        (Looked(2048, 64), Looked(1797, 64, 1797), []),
        (Looked(2048, 64), Looked(1000, 64, 1797), ["1,000 reals: below 2,048 .*evaluation.num_reals"]),
        (Looked(2049, 2048), Looked(100, 2048, 100), [r"100 reals: fewer than dimensions \(2,048\)"]),
        (Looked(3000, 4096), Looked(9000, 4096, 9000), ["3,000 fakes: below 4,096"]),
    ],
)
def test_a_fid_of_few_samples_is_warned_of_where_more_would_help_or_nothing_would(fakes, reals, lines):
    found = FrechetDistance().warnings(fakes, reals)
    assert len(found) == len(lines)
    for line, expected in zip(found, lines, strict=True):
        assert re.search(expected, line), line


def test_the_reason_for_the_warning_few_samples_of_one_distribution_have_a_large_fid():
    """64 dimensions, where 0 would be right: 23 of 100 and 100 samples, 0.6 of 4,000 and 4,000."""
    random = torch.Generator().manual_seed(0)
    of = {
        count: FrechetDistance()(*(torch.randn(count, 64, generator=random, dtype=torch.float64) for _ in range(2)))[
            "fid"
        ]
        for count in (100, 4000)
    }
    assert of[100] > 20 * of[4000]


def test_a_warning_is_told_once(tmp_path):
    _, evaluator = evaluate(tmp_path, FrechetDistance(), some_fakes(100), Bytes())
    assert len(evaluator.warnings()) == 1
    evaluator(lambda indices: some_fakes(100)[indices.start : indices.stop])
    assert evaluator.warnings() == []
