"""The judge must see known sets for what they are, or its word on generated ones is worth nothing."""

import itertools

import numpy as np
import pytest
import torch
from judge import Judge, frechet_distance, manifold_share
from torch import Tensor


def upsampled_digits() -> tuple[Tensor, Tensor]:
    """The digits at 32x32 by way of torch: the judge's own tests need no dataset of ours."""
    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    small = torch.from_numpy(pictures).float().view(-1, 1, 8, 8) / 8 - 1
    large = torch.nn.functional.interpolate(small, size=(32, 32), mode="bicubic", antialias=True)
    return large.clamp(-1, 1), torch.from_numpy(labels).long()


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(*upsampled_digits())


def filled(pictures: Tensor, judge: Judge) -> Tensor:
    """As many as the judge wants, by repetition."""
    return pictures[torch.arange(len(judge.held_out)) % len(pictures)]


def test_classifier_knows_digits_that_it_has_not_seen(judge: Judge) -> None:
    assert judge.accuracy >= 0.95


def test_judge_is_the_same_whatever_was_drawn_before(judge: Judge) -> None:
    torch.rand(1)
    state = torch.random.get_rng_state()
    again = Judge(*upsampled_digits())
    assert again.control == judge.control
    assert torch.equal(torch.random.get_rng_state(), state)


def test_controls_are_far_apart_and_in_order(judge: Judge) -> None:
    distances = judge.controls()
    order = ("half against half", "nine of ten classes", "class means", "five of ten classes", "one class", "noise")
    values = [distances[name] for name in order]
    assert all(better * 1.5 < worse for better, worse in itertools.pairwise(values)), distances
    assert distances["seen half"] < 2 * distances["half against half"]


def test_losing_any_single_class_is_worse_than_the_accepted_distance(judge: Judge) -> None:
    for lost in range(10):
        rest = judge.only_classes([label for label in range(10) if label != lost])
        verdict = judge.judge(filled(rest, judge))
        assert verdict.classes_covered == 9, lost
        assert verdict.shares[lost] < 0.01


def test_real_digits_pass(judge: Judge) -> None:
    verdict = judge.judge(filled(judge.seen, judge))
    assert verdict.ratio < 2
    assert verdict.classes_covered == 10
    assert verdict.precision > 0.8
    assert verdict.recall > 0.8


def test_copies_of_reals_are_seen_as_copies_even_under_noise(judge: Judge) -> None:
    copies = filled(judge.seen, judge)
    assert judge.nearest_ratio(copies) == 0
    noise = torch.randn(copies.shape, generator=torch.Generator().manual_seed(0))
    assert judge.nearest_ratio((copies + 0.2 * noise).clamp(-1, 1)) < 0.5


def test_noise_is_far_from_everything(judge: Judge) -> None:
    noise = torch.rand(judge.held_out.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    verdict = judge.judge(noise)
    assert verdict.ratio > 50
    assert verdict.precision < 0.05
    assert verdict.recall < 0.05
    assert verdict.nearest_ratio > 1.5


def test_class_means_have_every_class_and_no_recall(judge: Judge) -> None:
    means = torch.stack([judge.seen[judge.seen_labels == label].mean(0) for label in range(10)])
    verdict = judge.judge(filled(means, judge))
    assert verdict.classes_covered == 10
    assert verdict.recall < 0.3
    assert verdict.ratio > 4.5


def test_one_class_covers_one_class(judge: Judge) -> None:
    verdict = judge.judge(filled(judge.only_classes([0]), judge))
    assert verdict.classes_covered == 1
    assert verdict.precision > 0.8  # each sample is a good digit: precision alone would not see it
    assert verdict.recall < 0.3


def test_too_few_samples_are_refused(judge: Judge) -> None:
    with pytest.raises(AssertionError, match="samples are needed"):
        judge.judge(judge.seen[:10])


def test_frechet_distance_is_the_closed_form_of_two_normals() -> None:
    random = np.random.default_rng(0)
    first = random.normal(size=(200_000, 2)) * [1.0, 2.0]
    second = random.normal(size=(200_000, 2)) * [3.0, 2.5] + [1.0, -2.0]
    exact = (1 + 4) + (1 - 3) ** 2 + (2 - 2.5) ** 2
    assert frechet_distance(first, second) == pytest.approx(exact, rel=0.02)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_manifold_share_of_points_in_and_out() -> None:
    manifold = np.random.default_rng(0).normal(size=(500, 2))
    inside, outside = np.zeros((10, 2)), np.full((10, 2), 50.0)
    assert manifold_share(inside, manifold) == 1
    assert manifold_share(outside, manifold) == 0
    assert manifold_share(np.concatenate([inside, outside]), manifold) == 0.5
