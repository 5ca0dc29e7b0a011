import numpy as np
import pytest
import torch

from ganforge.data.dataset import ArrayDataset
from ganforge.data.samples import real_samples
from ganforge.errors import GanforgeError
from ganforge.sampling.neighbours import Reals
from ganforge.spec import DataSpec

COUNT = 400


@pytest.fixture(scope="module")
def dataset() -> ArrayDataset:
    """Pictures of 4x4 around four tones, so that neighbours mean something."""
    random = np.random.default_rng(0)
    rows = (random.integers(0, 4, (COUNT, 1, 1, 1)) * 60 + random.integers(0, 60, (COUNT, 4, 4, 1))).astype(np.uint8)
    return ArrayDataset(rows, DataSpec((1, 4, 4)), "digest")


def reals(dataset: ArrayDataset) -> torch.Tensor:
    return real_samples(dataset, np.arange(COUNT))


def test_neighbours_are_those_of_an_exhaustive_search(dataset):
    samples = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = Reals(dataset).neighbours(samples, 3)
    distance = torch.cdist(samples.flatten(1).double(), reals(dataset).flatten(1).double())
    expected, order = distance.sort(dim=1)
    assert torch.equal(found.nearest, order[:, :3])
    torch.testing.assert_close(found.distance, expected[:, :3].float())
    among = torch.cdist(reals(dataset).flatten(1).double(), reals(dataset).flatten(1).double())
    among.fill_diagonal_(torch.inf)
    torch.testing.assert_close(found.spacing, among.min(dim=1).values[order[:, 0]].float())


def test_blocks_of_the_data_make_no_difference(dataset, monkeypatch):
    samples = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(1)) * 2 - 1
    whole = Reals(dataset).neighbours(samples, 3)
    monkeypatch.setattr("ganforge.sampling.neighbours.BLOCK", 37)
    pieces = Reals(dataset).neighbours(samples, 3)
    assert torch.equal(whole.nearest, pieces.nearest)
    torch.testing.assert_close(whole.spacing, pieces.spacing)


def test_copies_are_found_even_when_slightly_changed(dataset):
    copies = reals(dataset)[:100] + 0.001
    found = Reals(dataset).neighbours(copies, 1)
    assert found.authenticity == 0
    assert found.ratio.max() < 0.05
    assert torch.equal(found.nearest[:, 0], torch.arange(100))


def test_new_draws_look_like_reals_that_are_left_out(dataset):
    half = ArrayDataset(dataset.rows[::2], dataset.spec, "half")
    found = Reals(half).neighbours(reals(dataset)[1::2], 1)
    usual = Reals(half).left_out(200)
    assert found.ratio.median() == pytest.approx(float(usual.ratio.median()), abs=0.05)
    assert found.authenticity == pytest.approx(usual.authenticity, abs=0.1)


def test_a_real_that_is_left_out_is_not_its_own_neighbour(dataset):
    usual = Reals(dataset).left_out(COUNT)
    assert not (usual.nearest[:, 0] == torch.arange(COUNT)).any()
    assert usual.distance.min() > 0
    pair = usual.nearest[:, 0]
    mutual = pair[pair] == torch.arange(COUNT)
    assert mutual.any()
    farther = usual.spacing[mutual] > usual.distance[mutual, 0]  # but for a few that are exactly as far
    assert farther.double().mean() > 0.95, "the left-out one still spaces its neighbour"


def test_fewer_reals_can_be_looked_at(dataset):
    found = Reals(dataset, limit=40).neighbours(reals(dataset)[:5], 2)
    assert set(found.nearest.flatten().tolist()) <= set(np.linspace(0, COUNT - 1, 40).round().astype(int).tolist())
    with pytest.raises(GanforgeError, match="too few"):
        Reals(dataset, limit=4).neighbours(reals(dataset)[:5], 3)
