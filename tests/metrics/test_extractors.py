import numpy as np
import pytest
import torch

from ganforge.data.dataset import ArrayDataset
from ganforge.data.digits import digits
from ganforge.data.samples import real_samples
from ganforge.data.synthetic import Ring
from ganforge.errors import DataError
from ganforge.metrics.extractors import DigitsCNN
from ganforge.metrics.frechet import FrechetDistance


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return digits(tmp_path_factory.mktemp("digits"), size=32)


@pytest.fixture(scope="module")
def extractor(dataset, tmp_path_factory):
    return DigitsCNN(dataset, tmp_path_factory.mktemp("extractor"))


def test_the_classifier_knows_the_digits(dataset, extractor):
    samples = real_samples(dataset, np.arange(len(dataset)))
    guesses = extractor._network(samples).argmax(dim=1).numpy()
    assert (guesses == dataset.labels).mean() > 0.97


def test_its_distance_tells_halves_blurs_lost_classes_and_noise_apart(dataset, extractor):
    samples = real_samples(dataset, np.arange(len(dataset)))
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))
    one, other = samples[order[::2]], samples[order[1::2]]
    labels = torch.from_numpy(dataset.labels)[order[::2]]

    def distance(fakes: torch.Tensor) -> float:
        return FrechetDistance()(extractor(fakes), extractor(other))["fid"]

    half, lost = distance(one), distance(one[labels < 5])
    noise = distance(torch.rand(one.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    assert half < lost / 5
    assert lost < noise


def test_training_is_deterministic_cached_and_leaves_random_states_alone(dataset, extractor, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = DigitsCNN(dataset, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    samples = real_samples(dataset, np.arange(20))
    assert torch.equal(again(samples), extractor(samples))
    (weights,) = (tmp_path / "extractors").glob("*.safetensors")
    changed = weights.stat().st_mtime_ns
    DigitsCNN(dataset, tmp_path)
    assert weights.stat().st_mtime_ns == changed


def test_without_labelled_pictures_it_says_so(tmp_path):
    with pytest.raises(DataError, match="trains on labelled pictures"):
        DigitsCNN(Ring(samples=100), tmp_path)


def part_of(dataset, count: int) -> ArrayDataset:
    rows = np.empty((count, *dataset.row_shape), dtype=np.uint8)
    dataset.read(np.arange(count), rows)
    return ArrayDataset(rows, dataset.spec, f"{count:064d}", dataset.labels[:count])


def test_fewer_pictures_than_a_step_of_its_training_are_refused_with_the_number(dataset, tmp_path):
    """They ended in torch's words: "Tried to step 3 times"."""
    with pytest.raises(DataError, match=r"trains on 64 labelled pictures or more, and there are 63; set evaluation"):
        DigitsCNN(part_of(dataset, 63), tmp_path)
    DigitsCNN(part_of(dataset, 64), tmp_path)
    DigitsCNN(part_of(dataset, 65), tmp_path, epochs=1)


@pytest.mark.parametrize("shape", [(1, 64, 64), (1, 16, 16), (3, 32, 32)])
def test_pictures_of_another_shape_than_it_learned_from_are_refused(extractor, shape):
    with pytest.raises(DataError, match=f"learned from pictures of 32x32 grey, these are of {shape[1]}x{shape[2]} "):
        extractor(torch.zeros(2, *shape))
