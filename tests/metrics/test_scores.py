import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from ganforge.metrics.neighbours import DensityCoverage
from ganforge.metrics.scores import InceptionScore, KernelDistance, PrecisionRecall


@pytest.fixture(scope="module")
def sets() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return 1.2 * torch.randn(220, 6, generator=random) + 0.3, torch.randn(180, 6, generator=random)


def mmd(fakes: np.ndarray, reals: np.ndarray) -> float:
    """Unbiased squared MMD with (x y / d + 1)^3, written from the definition (Gretton et al. 2012, lemma 6)."""

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def off_diagonal(k: np.ndarray) -> float:
        return (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))

    within = off_diagonal(kernel(fakes, fakes)) + off_diagonal(kernel(reals, reals))
    return within - 2 * kernel(fakes, reals).mean()


def test_kid_of_one_subset_of_everything_is_the_unbiased_mmd(sets):
    fakes, reals = (part[:150] for part in sets)
    value = KernelDistance(subsets=1, subset_size=150)(fakes, reals)["kid"]
    assert value == pytest.approx(mmd(fakes.double().numpy(), reals.double().numpy()), rel=1e-4)


def test_kid_is_the_figure_that_torch_fidelity_gives(sets):
    theirs = kid_features_to_metric(*sets, kid_subsets=7, kid_subset_size=100, verbose=False)
    ours = KernelDistance(subsets=7, subset_size=100)(*sets)
    assert ours == {
        "kid": theirs["kernel_inception_distance_mean"],
        "kid_std": theirs["kernel_inception_distance_std"],
    }


@pytest.mark.parametrize("classes", [2, 5])
def test_the_inception_score_runs_from_one_to_the_number_of_classes(classes):
    nothing_seen = InceptionScore(splits=1)(torch.zeros(100, classes), torch.empty(0, classes))
    assert nothing_seen["is"] == pytest.approx(1)
    certain = 50 * torch.nn.functional.one_hot(torch.arange(100) % classes).float()
    assert InceptionScore(splits=1)(certain, torch.empty(0, classes))["is"] == pytest.approx(classes, rel=1e-6)


def test_the_inception_score_is_the_mean_over_shuffled_splits():
    logits = torch.randn(100, 4, generator=torch.Generator().manual_seed(0)).double()
    order = np.random.RandomState(2020).permutation(100)
    p = logits[order].softmax(dim=1).view(10, 10, 4)
    scores = (p * (p / p.mean(dim=1, keepdim=True)).log()).sum(dim=2).mean(dim=1).exp()
    found = InceptionScore()(logits.float(), logits[:0])
    assert found["is"] == pytest.approx(float(scores.mean()), rel=1e-6)
    assert found["is_std"] == pytest.approx(float(scores.std(correction=0)), rel=1e-4)


def distances(x: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    return np.linalg.norm(x.double().numpy()[:, None] - y.double().numpy()[None], axis=2)


def test_precision_and_recall_count_balls_as_their_definition_says(sets):
    fakes, reals = sets
    real_radius = np.sort(distances(reals, reals), axis=1)[:, 3]
    fake_radius = np.sort(distances(fakes, fakes), axis=1)[:, 3]
    found = PrecisionRecall()(fakes, reals)
    assert found["precision"] == pytest.approx((distances(fakes, reals) <= real_radius).any(axis=1).mean(), abs=1e-6)
    assert found["recall"] == pytest.approx((distances(reals, fakes) <= fake_radius).any(axis=1).mean(), abs=1e-6)
    theirs = prc_features_to_metric(fakes, reals, verbose=False)
    assert found == {name: theirs[name] for name in ("precision", "recall", "f_score")}


def test_density_and_coverage_count_balls_as_their_definition_says(sets):
    fakes, reals = sets
    radius = np.sort(distances(reals, reals), axis=1)[:, 5]
    inside = distances(reals, fakes) < radius[:, None]
    found = DensityCoverage()(fakes, reals)
    assert found["density"] == pytest.approx(inside.sum() / (5 * len(fakes)), rel=1e-12)
    assert found["coverage"] == pytest.approx(inside.any(axis=1).mean(), rel=1e-12)


def test_density_is_about_one_for_equal_distributions_and_coverage_falls_with_lost_modes():
    random = torch.Generator().manual_seed(1)
    centers = torch.tensor([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0], [20.0, 20.0]])

    def draw(modes: int) -> torch.Tensor:
        return centers[torch.randint(modes, (1500,), generator=random)] + torch.randn(1500, 2, generator=random)

    reals = draw(4)
    equal, collapsed = DensityCoverage()(draw(4), reals), DensityCoverage()(draw(1), reals)
    assert equal["density"] == pytest.approx(1, abs=0.1)
    assert equal["coverage"] > 0.9
    assert collapsed["coverage"] == pytest.approx(0.25, abs=0.05)
    assert PrecisionRecall()(draw(1), reals)["recall"] < 0.4


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (KernelDistance(), "subsets of 1000 cannot be drawn from 99 fakes and 5 reals; set subset_size to 5 or less"),
        (InceptionScore(splits=100), "99 fakes cannot be split into 100 parts"),
        (PrecisionRecall(neighbours=5), "99 fakes and 5 reals do not all have 5 neighbours"),
        (DensityCoverage(), "5 reals do not have 5 neighbours"),
    ],
)
def test_too_few_samples_are_said_before_training(metric, message):
    with pytest.raises(ValueError, match=message):
        metric.check(99, 5)
