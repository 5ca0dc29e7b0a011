from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from ganforge.metrics.frechet import FrechetDistance
from ganforge.metrics.moments import Moments


def features(count: int = 300, dimensions: int = 16, seed: int = 1) -> list[torch.Tensor]:
    random = np.random.default_rng(seed)
    return [
        torch.tensor(
            random.standard_normal((count, dimensions)) @ random.standard_normal((dimensions, dimensions)) + shift
        )
        for shift in (0.0, 0.3)
    ]


def fid(fakes: torch.Tensor, reals: torch.Tensor) -> float:
    return FrechetDistance()(fakes, reals)["fid"]


def test_the_distance_of_two_gaussians_is_the_closed_form():
    random = np.random.default_rng(0)
    mean = np.array([1.0, -2.0, 0.5])
    scale = np.array([1.0, 2.0, 0.5])
    one = random.standard_normal((200_000, 3))
    other = mean + scale * random.standard_normal((200_000, 3))
    expected = (mean**2).sum() + ((1 - scale) ** 2).sum()
    assert fid(torch.tensor(one), torch.tensor(other)) == pytest.approx(expected, rel=0.02)


def test_the_closed_form_is_met_to_rounding_when_the_moments_are_given():
    mean, scale = torch.tensor([1.0, -2.0, 0.5]).double(), torch.tensor([1.0, 2.0, 0.5]).double()

    def gaussian(mean: torch.Tensor, scale: torch.Tensor, count: int = 1000) -> Moments:
        outer = (count - 1) * torch.diag(scale**2) + count * torch.outer(mean, mean)
        return Moments(torch.tensor(float(count)).double(), count * mean, outer)

    value = FrechetDistance().of_moments(gaussian(mean, scale), gaussian(0 * mean, 0 * scale + 1))["fid"]
    assert value == pytest.approx(float(mean.square().sum() + (scale - 1).square().sum()), rel=1e-12)


def test_the_distance_agrees_with_scipys_matrix_root_in_float64():
    one, other = features()
    (mean_a, cov_a), (mean_b, cov_b) = [
        (value.mean(0), np.cov(value, rowvar=False)) for value in (one.numpy(), other.numpy())
    ]
    root: Any = sqrtm(cov_a @ cov_b)
    expected = ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root.real)
    assert fid(one, other) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("count", [300, 40], ids=["full rank", "fewer samples than dimensions"])
def test_the_distance_agrees_with_torch_fidelity_on_the_same_features(count):
    fakes, reals = features(count, dimensions=64)
    theirs = fid_statistics_to_metric(*map(fid_features_to_statistics, (fakes, reals)), verbose=False)
    assert fid(fakes, reals) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)


def test_a_set_has_no_distance_to_itself():
    same = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    assert fid(same, same) == pytest.approx(0, abs=1e-9)


def test_features_that_are_not_finite_give_no_figure_and_no_crash():
    fakes, reals = features()
    fakes[3, 2] = float("nan")
    assert np.isnan(fid(fakes, reals))


def test_other_reals_are_not_compared_with_the_root_of_the_first():
    fakes, reals = map(Moments.of, features())
    metric = FrechetDistance()
    metric.of_moments(fakes, reals)
    assert metric.of_moments(reals, fakes)["fid"] == pytest.approx(FrechetDistance().of_moments(reals, fakes)["fid"])
    assert metric.of_moments(fakes, fakes)["fid"] == pytest.approx(0, abs=1e-9)


def test_moments_add_up_over_batches_and_survive_the_trip_between_ranks():
    whole = features(100)[0]
    parts = Moments.of(whole[:30]) + Moments.of(whole[30:])
    again = Moments.unpacked(parts.packed())
    assert float(again.count) == 100
    torch.testing.assert_close(again.mean, whole.mean(dim=0), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(again.covariance, torch.cov(whole.T), rtol=1e-10, atol=1e-12)
