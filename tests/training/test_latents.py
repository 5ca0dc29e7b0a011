import pytest
import torch
from scipy import stats

from ganforge.game.latents import _bits, labels, latents, shaped_on_device


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
def test_latents_shaped_on_a_gpu_are_those_of_the_host_to_the_last_rounding(distribution, dim):
    indices = range(3, 70)
    bits = torch.from_numpy(_bits(5, "generator", 2, indices, dim + dim % 2))
    mine = shaped_on_device(bits, dim, distribution)
    torch.testing.assert_close(mine, latents(5, "generator", 2, indices, dim, distribution), rtol=2e-7, atol=1e-7)
