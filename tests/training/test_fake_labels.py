"""Classes of generated samples come as often as the data's, in training, in evaluation and out of a generator file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganforge.data.dataset import ArrayDataset
from ganforge.data.digits import digits
from ganforge.errors import CheckpointError
from ganforge.evaluation.saved import evaluate_saved
from ganforge.game.latents import labels
from ganforge.registry import register
from ganforge.sampling.draw import Sampler
from ganforge.saved.generator_file import load_generator, read_config, save_generator
from ganforge.training.run import Run

COUNTS = (170, 8, 8, 8, 8, 8, 8, 8, 8, 8)
"""Digits of each class: 70% are zeros."""


@pytest.fixture(scope="module")
def skewed(tmp_path_factory):
    whole = digits(tmp_path_factory.mktemp("digits"), size=16)
    assert whole.labels is not None
    ids = np.concatenate([np.flatnonzero(whole.labels == label)[:count] for label, count in enumerate(COUNTS)])
    ids = np.random.default_rng(0).permutation(ids)  # so that any part of it has the same shares
    rows = np.empty((len(ids), *whole.row_shape), dtype=np.uint8)
    whole.read(ids, rows)
    return ArrayDataset(rows, whole.spec, "5" * 64, whole.labels[ids])


class Perfect(nn.Module):
    """Shows, for a label, a real picture of that class that the latent chooses; `blind` to labels it is the control."""

    latent_dim = 2

    def __init__(self, dataset: ArrayDataset, blind: bool) -> None:
        super().__init__()
        assert dataset.labels is not None
        order = np.zeros(len(dataset), dtype=np.int64) if blind else dataset.labels
        pictures = torch.from_numpy(dataset.rows[np.argsort(order, kind="stable")]).permute(0, 3, 1, 2)
        counts = torch.tensor([len(dataset)] * len(COUNTS) if blind else dataset.class_counts)
        self.register_buffer("pictures", pictures.float() / 127.5 - 1)
        self.register_buffer("counts", counts)
        self.register_buffer("first", torch.zeros_like(counts) if blind else counts.cumsum(0) - counts)
        self.weight = nn.Parameter(torch.zeros(()))

    pictures: Tensor
    counts: Tensor
    first: Tensor

    def forward(self, latent: Tensor, labels: Tensor) -> Tensor:
        place = (torch.special.ndtr(latent[:, 0].double()) * self.counts[labels]).long()
        return self.pictures[self.first[labels] + place] + self.weight * 0


@pytest.fixture
def make_skewed_recipe(make_recipe, skewed):
    """A recipe of a perfect generator of the skewed digits."""

    class Generator(Perfect):
        """Perfect."""

        def __init__(self, spec, *, blind: bool = False) -> None:
            super().__init__(skewed, blind)

    def dataset():
        """Digits of which most are zeros."""
        return skewed

    register.generator.add("test-perfect", Generator)
    register.dataset.add("test-skewed", dataset)

    def make(fake_labels="data", blind=False, **training):
        return make_recipe(
            data={"name": "test-skewed"},
            generator={"name": "test-perfect", "blind": blind},
            discriminator={"name": "dcgan", "width": 4},
            training={"steps": 1, "batch_size": 64, "fake_labels": fake_labels, **training},
            evaluation={"metrics": ["fid"], "extractor": {"name": "digits-cnn", "epochs": 20}},
        )

    yield make
    register.generator._components.pop("test-perfect")
    register.dataset._components.pop("test-skewed")


def fid(recipe) -> float:
    run = Run.build(recipe)
    assert run.evaluator is not None
    return run.evaluator(lambda indices: run.game.sample("evaluation", indices))["fid"]


def test_where_most_samples_are_of_one_class_a_perfect_generator_has_the_fid_of_the_data_itself(make_skewed_recipe):
    control, perfect, uniform = (
        fid(make_skewed_recipe(blind=True)),
        fid(make_skewed_recipe()),
        fid(make_skewed_recipe("uniform")),
    )
    assert perfect < 2 * control
    assert uniform > 20 * control


def test_turns_of_both_players_see_the_datas_share_of_each_class(make_skewed_recipe):
    run = Run.build(make_skewed_recipe(batch_size=192))
    for player in (run.discriminator, run.generator):
        (turn,) = run.game.turns(player, run.step, 0)
        assert turn.fake_labels is not None
        assert (turn.fake_labels == 0).float().mean().item() == pytest.approx(0.70, abs=0.11)


def test_a_saved_generator_is_judged_and_sampled_with_the_labels_of_its_run(make_skewed_recipe, train_silently):
    recipe = make_skewed_recipe()
    train_silently(recipe)
    path = recipe.folder / "generator.last.safetensors"
    (line,) = (json.loads(line) for line in (recipe.folder / "evaluations.jsonl").read_text().splitlines())
    assert evaluate_saved(path).figures["fid"] == pytest.approx(line["figures"]["fid"], rel=1e-9)
    assert read_config(path).class_counts == COUNTS
    drawn = Sampler(load_generator(path)).labels(range(2000))
    assert drawn is not None
    assert (drawn == 0).float().mean().item() == pytest.approx(0.70, abs=0.05)


@pytest.mark.parametrize("counts", [(1, 2), (0,) * 10, (1,) * 9 + (-1,), (1,) * 9 + (2.5,), "ten"])
def test_a_generator_file_with_counts_that_nothing_can_be_drawn_by_is_refused(tmp_path: Path, skewed, counts):
    from ganforge.saved.generator_file import GeneratorConfig

    config = GeneratorConfig({"name": "mlp"}, skewed.spec, class_counts=COUNTS)
    path = tmp_path / "generator.safetensors"
    save_generator(path, {"weight": torch.zeros(1)}, config)
    assert read_config(path) == config
    save_generator(path, {"weight": torch.zeros(1)}, replace(config, class_counts=counts))
    with pytest.raises(CheckpointError, match="class_counts"):
        read_config(path)


def test_labels_come_as_often_as_counted_and_never_from_an_empty_class():
    counts = (0, 7, 0, 2, 1, 0)
    drawn = labels(0, "generator", 3, range(100_000), 6, counts=counts)
    assert drawn is not None
    shares = torch.bincount(drawn, minlength=6) / len(drawn)
    torch.testing.assert_close(shares, torch.tensor(counts) / 10, rtol=0, atol=0.006)
    assert shares[[0, 2, 5]].sum() == 0


@pytest.mark.parametrize(("num_classes", "each"), [(2, 1), (10, 178), (1000, 1300)])
def test_classes_of_equal_size_get_the_labels_of_no_counts(num_classes, each):
    plain = labels(5, "discriminator", 2, range(50_000), num_classes)
    counted = labels(5, "discriminator", 2, range(50_000), num_classes, counts=(each,) * num_classes)
    assert plain is not None
    assert counted is not None
    assert torch.equal(plain, counted)


def test_any_slice_of_a_batch_has_the_labels_of_the_whole():
    whole = labels(3, "generator", 7, range(64), 10, counts=COUNTS)
    assert whole is not None
    parts = [labels(3, "generator", 7, range(start, start + 16), 10, counts=COUNTS) for start in range(0, 64, 16)]
    assert torch.equal(torch.cat([part for part in parts if part is not None]), whole)
