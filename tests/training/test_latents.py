import numpy as np
import pytest
import torch
from scipy import stats

from ganforge.game.latents import IndexedLatents, _bits, labels, latents
from ganforge.game.latents_ahead import NUMBERS, TURNS, LatentsAhead


def test_any_slice_of_a_batch_equals_that_slice_of_the_whole():
    whole = latents(3, "generator", 7, range(64), 10)
    for ranks in (2, 4, 8):
        share = 64 // ranks
        parts = [latents(3, "generator", 7, range(rank * share, (rank + 1) * share), 10) for rank in range(ranks)]
        assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize(
    "other",
    [(4, "generator", 7), (3, "discriminator", 7), (3, "generator", 8)],
    ids=["seed", "stream", "turn"],
)
def test_seed_stream_and_turn_each_give_other_latents(other: tuple[int, str, int]):
    mine = latents(3, "generator", 7, range(32), 10)
    assert not torch.isclose(mine, latents(*other, range(32), 10)).any()


@pytest.mark.parametrize("dim", [1, 2, 7, 100])
def test_no_two_rows_share_a_value(dim):
    values = latents(0, "generator", 0, range(500), dim)
    assert values.shape == (500, dim)
    assert values.double().flatten().unique().numel() > 0.999 * values.numel()


def test_normal_latents_are_normal_and_independent():
    values = latents(0, "generator", 0, range(5000), 8).double()
    assert stats.kstest(values.flatten().numpy(), "norm").pvalue > 1e-3
    correlation = torch.corrcoef(values.T) - torch.eye(8)
    assert correlation.abs().max() < 0.06


def test_uniform_latents_fill_their_interval():
    values = latents(0, "generator", 0, range(5000), 3, "uniform").double()
    assert stats.kstest(values.flatten().numpy(), "uniform", args=(-1, 2)).pvalue > 1e-3


def test_an_unknown_distribution_is_an_error():
    with pytest.raises(ValueError, match="'cauchy'"):
        latents(0, "generator", 0, range(4), 3, "cauchy")


def test_labels_cover_all_classes_evenly_and_are_none_without_classes():
    values = labels(0, "generator", 0, range(10_000), 10)
    assert values is not None
    assert values.dtype == torch.int64
    counts = torch.bincount(values, minlength=10)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3
    assert labels(0, "generator", 0, range(4), 0) is None


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("dim", [7, 8])
def test_latents_are_those_of_the_formulas_to_the_last_rounding(distribution, dim):
    indices = range(3, 70)
    uniform = _bits(5, "generator", range(2, 3), indices, 8)[0] * 2.0**-53
    if distribution == "uniform":
        expected = 2.0 * uniform[:, :dim] - 1.0
    else:  # Box-Muller
        radius, angle = np.sqrt(-2.0 * np.log(1.0 - uniform[:, :4])), 2.0 * np.pi * uniform[:, 4:]
        expected = np.concatenate((radius * np.cos(angle), radius * np.sin(angle)), axis=1)[:, :dim]
    mine = latents(5, "generator", 2, indices, dim, distribution)
    np.testing.assert_allclose(mine.numpy(), expected, rtol=2e-7, atol=1e-7)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize(("dim", "samples"), [(1, 1), (2, 9), (7, 5), (16, 128), (100, 2)])
def test_latents_drawn_ahead_are_those_of_each_turn_alone(distribution, dim, samples):
    draw, indices = IndexedLatents(3, dim, distribution, num_classes=4), range(samples, 2 * samples)
    ahead = LatentsAhead(draw, indices)
    for turn in [*range(TURNS + 3), 1000, 1002, 5, 5]:  # a schedule leaves turns out, a rollback goes back
        for stream in ("generator", "discriminator"):
            latent, classes = ahead(stream, turn)
            alone, classes_alone = draw(stream, turn, indices)
            assert torch.equal(latent, alone), turn
            assert classes is not None
            assert classes_alone is not None
            assert torch.equal(classes, classes_alone), turn
            assert latent.is_contiguous()
            assert latent.data_ptr() % 64 == 0, "where a tensor of its own begins, so that kernels round alike"


def test_a_latent_that_its_turn_wrote_to_is_drawn_again():
    draw, indices = IndexedLatents(3, 8), range(4)
    ahead = LatentsAhead(draw, indices)
    ahead("generator", 7)[0].zero_()
    assert torch.equal(ahead("generator", 7)[0], draw("generator", 7, indices)[0])


def test_what_is_drawn_ahead_stays_small(monkeypatch):
    asked = []
    of_turns = IndexedLatents.of_turns
    monkeypatch.setattr(
        IndexedLatents,
        "of_turns",
        lambda self, stream, turns, indices: (asked.append(len(turns)), of_turns(self, stream, turns, indices))[1],
    )
    for samples, dim in ((1, 1), (128, 100), (64, 4096)):
        LatentsAhead(IndexedLatents(0, dim), range(samples))("generator", 0)
    assert asked == [TURNS, NUMBERS // 12_800, 1]
