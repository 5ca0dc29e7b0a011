import numpy as np
import pytest
import torch

from ganforge.data.synthetic import Ring
from ganforge.metrics.builtin import FrechetDistance, Modes
from ganforge.metrics.evaluator import share_of


def test_the_distance_of_two_gaussians_is_the_closed_form():
    random = np.random.default_rng(0)
    mean = np.array([1.0, -2.0, 0.5])
    scale = np.array([1.0, 2.0, 0.5])
    one = random.standard_normal((200_000, 3))
    other = mean + scale * random.standard_normal((200_000, 3))
    expected = (mean**2).sum() + ((1 - scale) ** 2).sum()
    assert FrechetDistance()(torch.tensor(one), torch.tensor(other))["fid"] == pytest.approx(expected, rel=0.02)


def test_the_distance_agrees_with_scipys_matrix_root_in_float64():
    from scipy.linalg import sqrtm

    random = np.random.default_rng(1)
    features = [random.standard_normal((300, 16)) @ random.standard_normal((16, 16)) + shift for shift in (0.0, 0.3)]
    (mean_a, cov_a), (mean_b, cov_b) = [(value.mean(0), np.cov(value, rowvar=False)) for value in features]
    root = sqrtm(cov_a @ cov_b).real
    expected = ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root)
    value = FrechetDistance()(*[torch.tensor(part) for part in features])["fid"]
    assert value == pytest.approx(expected, rel=1e-6)


def test_a_set_has_no_distance_to_itself():
    features = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    assert FrechetDistance()(features, features)["fid"] == pytest.approx(0, abs=1e-4)


def test_modes_counts_covered_modes_and_good_points():
    ring = Ring(samples=8000)
    real = torch.from_numpy(ring.rows)
    assert Modes(ring)(real, real) == pytest.approx({"modes": 8, "good_points": 0.989}, abs=0.01)
    of_three = real[np.isin(ring.labels, [0, 3, 5])]
    assert Modes(ring)(of_three, real)["modes"] == 3
    assert Modes(ring)(torch.zeros(100, 2), real) == {"modes": 0, "good_points": 0}
    centers = torch.from_numpy(ring.centers).float()
    few = torch.cat([centers[:1].repeat(991, 1), centers[1:2].repeat(9, 1)])  # 9 of 1000 is under a tenth of an eighth
    assert Modes(ring)(few, real)["modes"] == 1


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_shares_are_disjoint_and_whole(world_size):
    shares = [share_of(101, rank, world_size) for rank in range(world_size)]
    assert [index for share in shares for index in share] == list(range(101))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
