"""The probe's figures on samples of which one knows what they are."""

from typing import Any

import pytest
import torch
from torch import nn

from ganforge.training.telemetry.likeness import class_shares, likeness, rows_of
from ganforge.training.telemetry.probe import (
    _as_in_evaluation,
    _features,
    class_figures,
    norm_of,
    overfitting,
    separation,
)

REALS = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
OTHERS = torch.randn(64, 8, generator=torch.Generator().manual_seed(1))


def test_samples_of_one_distribution_are_alike():
    figures = likeness(REALS, OTHERS)
    assert figures["spread"] == pytest.approx(1.0, abs=0.1)
    assert figures["duplicates"] == 0.0
    assert figures["coverage"] > 0.7


def test_one_sample_again_and_again_has_no_spread_is_all_duplicates_and_covers_little():
    figures = likeness(REALS, OTHERS[:1].expand(64, 8) + 1e-4 * OTHERS)
    assert figures["spread"] < 0.01
    assert figures["duplicates"] == 1.0
    assert figures["coverage"] < 0.2


def test_reals_that_repeat_themselves_do_not_make_fakes_duplicates():
    twice = torch.cat([REALS[:32], REALS[:32]])
    assert likeness(twice, torch.cat([OTHERS[:32], OTHERS[:32]]))["duplicates"] == 0.0


def test_samples_far_away_cover_nothing():
    assert likeness(REALS, OTHERS + 100)["coverage"] == 0.0


def test_large_pictures_are_compared_small_and_points_as_they_are():
    assert rows_of(torch.zeros(4, 3, 256, 256)).shape == (4, 3 * 32 * 32)
    assert rows_of(torch.zeros(4, 1, 28, 28)).shape == (4, 784)
    assert rows_of(REALS).shape == (64, 8)


def test_a_fake_counts_for_the_class_of_its_nearest_real():
    reals = torch.tensor([[0.0], [10.0], [20.0]])
    shares = class_shares(reals, torch.tensor([2, 0, 1]), torch.tensor([[1.0], [-1.0], [9.0], [2.0]]), 3)
    assert shares.tolist() == [0.25, 0.0, 0.75]


def test_classes_of_any_size_have_one_figure_where_fakes_are_as_reals():
    """A class of one in twenty was called missing, though fakes had it as often as reals."""
    labels = torch.tensor([0] * 38 + [1] * 19 + [2] * 7)
    rows = labels.float()[:, None]
    figures = class_figures(rows, labels, rows, [38 / 64, 19 / 64, 7 / 64])
    assert {name: float(value) for name, value in figures.items()} == pytest.approx(
        {f"class_{number}": 1 / 3 for number in range(3)}
    )
    without = class_figures(rows, labels, rows.clamp(max=1), [38 / 64, 19 / 64, 7 / 64])
    assert without["class_2"] == 0


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ([0.1] * 10, [f"class_{number}" for number in range(10)]),
        ([1 / 22] * 22, []),
        ([0.6, 0.01, 0.3, 0.09], ["class_0", "class_2", "class_3"]),
        ([0.99, 0.01], []),
        ([], []),
    ],
)
def test_only_classes_are_judged_of_which_some_samples_are_to_be_expected(wanted, names):
    labels = torch.arange(64) % max(1, len(wanted))
    assert list(class_figures(REALS, labels, OTHERS, wanted)) == names


@pytest.mark.parametrize(("shift", "wanted"), [(0.0, 0.5), (100.0, 1.0), (-100.0, 0.0)])
def test_separation_is_a_probability_that_no_offset_moves(shift, wanted):
    logits = torch.linspace(-1, 1, 32)
    for offset in (0.0, 1000.0):
        assert separation(logits + shift + offset, logits + offset) == pytest.approx(wanted)


def test_overfitting_is_one_where_unseen_reals_look_fake_and_none_where_they_look_seen():
    seen, fake = torch.full((8,), 3.0), torch.full((8,), -1.0)
    assert overfitting(seen, fake, fake) == pytest.approx(1.0)
    assert overfitting(seen, seen, fake) == pytest.approx(0.0)
    assert overfitting(fake, seen, fake) == 0.0  # D tells nothing from nothing


def test_the_norm_of_many_tensors_is_that_of_their_concatenation():
    tensors = [REALS, OTHERS.double()]
    assert norm_of(tensors) == pytest.approx(torch.cat([tensor.double() for tensor in tensors]).norm().item())
    assert norm_of([]) == 0.0


def test_looking_in_evaluation_leaves_modes_statistics_and_chance_as_they_were():
    network: Any = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    network[1].eval()  # as somebody meant it
    before = (network[1].running_mean.clone(), torch.get_rng_state())
    with _as_in_evaluation(network):
        torch.rand(3)
        network(REALS)
    assert [module.training for module in network.modules()] == [True, True, False, True, True]
    assert torch.equal(network[1].running_mean, before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def test_features_are_what_the_last_layer_is_given():
    class Judge(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 1)
            self.body = nn.Linear(8, 4)

        def forward(self, samples, labels=None):
            return self.head(self.body(samples).relu()).squeeze(1)

    judge = Judge()
    logits, features = _features(judge, REALS, None)
    assert features is not None
    assert torch.equal(features, judge.body(REALS).relu())
    assert torch.equal(logits, judge(REALS))
    assert not any(layer._forward_pre_hooks for layer in judge.modules())
