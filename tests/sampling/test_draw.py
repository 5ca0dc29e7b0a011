import numpy as np
import pytest
import torch
from scipy import stats

from ganforge.errors import GanforgeError
from ganforge.sampling import Sampler, open_generator
from ganforge.sampling.draw import find_class, looks_at_labels
from ganforge.sampling.truncation import truncated


@pytest.mark.parametrize("bound", [0.1, 0.5, 2.0])
def test_truncated_latents_are_the_normal_distribution_within_the_bound(bound):
    latent = torch.from_numpy(np.random.default_rng(0).standard_normal((4000, 5)).astype(np.float32))
    moved = truncated(latent, bound)
    assert moved.abs().max() <= bound
    assert stats.kstest(moved.flatten().numpy(), stats.truncnorm(-bound, bound).cdf).pvalue > 0.01
    assert torch.equal(moved.argsort(dim=0), latent.argsort(dim=0)), "a latent must keep its place among the others"


def test_a_far_bound_leaves_latents_as_they_are():
    latent = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(truncated(latent, 9.0), latent)


def test_uniform_latents_are_truncated_by_scaling():
    latent = torch.tensor([[-1.0, 0.5]])
    assert truncated(latent, 0.5, "uniform").tolist() == [[-0.5, 0.25]]


def test_truncation_makes_samples_less_varied(make_generator):
    network = open_generator(make_generator(), device="cpu")
    spread = [Sampler(network, truncation=bound).many(200).std(dim=0).mean() for bound in (None, 1.0, 0.2)]
    assert spread[0] > spread[1] > spread[2]


@pytest.mark.parametrize(("bound", "distribution"), [(0.0, "normal"), (-1.0, "normal"), (1.5, "uniform")])
def test_a_bound_that_means_nothing_is_refused(make_generator, bound, distribution):
    network = open_generator(make_generator(latent_distribution=distribution), device="cpu")
    with pytest.raises(GanforgeError, match="`truncation="):
        Sampler(network, truncation=bound)


def test_one_class_by_name_or_number(make_generator):
    network = open_generator(make_generator(conditional="embedding"), device="cpu")
    assert [find_class(network, name) for name in ("dog", "1", "eel")] == [1, 1, 2]
    samples = Sampler(network, label=1).many(4)
    latent = Sampler(network).latents(range(4))
    assert torch.equal(samples, network(latent, torch.ones(4, dtype=torch.int64)))
    assert not torch.equal(samples, network(latent, torch.zeros(4, dtype=torch.int64)))


def test_a_class_that_does_not_exist_is_refused_in_words(make_generator):
    network = open_generator(make_generator(conditional="embedding"), device="cpu")
    with pytest.raises(
        GanforgeError, match=r"`class_name='doge'`: .* \(did you mean 'dog'\?\); there are: cat, dog, eel"
    ):
        find_class(network, "doge")


def test_an_unconditional_generator_has_no_classes_to_choose_from(make_generator):
    network = open_generator(make_generator(conditional="none"), device="cpu")
    with pytest.raises(GanforgeError, match=r"this generator .* is unconditional"):
        find_class(network, "dog")


def test_a_generator_without_an_option_for_it_is_asked_whether_it_looks_at_labels(make_generator):
    network = open_generator(make_generator(), device="cpu")
    network.forward = lambda latent, labels: latent * (1 + labels[:, None])
    assert looks_at_labels(network)
    network.forward = lambda latent, labels=None: latent + torch.randn(1)
    assert not looks_at_labels(network), "its own noise is not the label's doing"


def test_sampling_a_class_from_the_command_line(make_generator, ganforge, tmp_path):
    path = make_generator(conditional="embedding")
    done = ganforge("sample", path, "--class", "dog", "--n", "4", "--out", tmp_path / "dogs.png")
    assert (done.code, done.err) == (0, "")
    refused = ganforge("sample", path, "--class", "fox", "--out", tmp_path / "foxes.png")
    assert refused.code == 2
    assert refused.err == "ganforge: --class fox: no such class; there are: cat, dog, eel\n"
