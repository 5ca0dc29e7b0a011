"""ganforge from Python: training and evaluation as one call each, in a process that is somebody else's."""

import json
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor

import ganforge
from ganforge.data.digits import digits
from ganforge.data.picture_folder import PictureFolder
from ganforge.data.samples import real_samples
from ganforge.data.shards.dataset import ShardDataset
from ganforge.errors import GanforgeError, RecipeError
from ganforge.grid import single, to_uint8
from ganforge.library import Trained
from ganforge.metrics.metric import Extractor
from ganforge.recipe import load
from ganforge.registry import register

EXTRACTOR = {"name": "digits-cnn", "epochs": 1}
METRICS = ["fid", {"name": "kid", "subset_size": 50}]


def tables(output: Path, **more: Any) -> dict[str, Any]:
    """A small run, with what Python writes where TOML would have lists and strings."""
    return {
        "name": "library",
        "output": output,
        "data": {"name": "digits", "size": 16},
        "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
        "discriminator": {"name": "dcgan", "width": 4},
        "optimizer": {"generator": {"name": "adam", "betas": (0.0, 0.9)}},
        "training": {"steps": 4, "batch_size": 8},
        "samples": {"every": 0, "num": 4},
        "evaluation": {"metrics": ("fid",), "extractor": EXTRACTOR, "num_fakes": 100, "num_reals": 200},
        **more,
    }


def noise(count: int) -> Tensor:
    return torch.rand(count, 1, 16, 16) * 2 - 1


@pytest.fixture(scope="module", autouse=True)
def nobodys_accelerator() -> None:
    """What tests of other files have left behind is not what is looked at here."""
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def dataset(cache_home: Path) -> ShardDataset:
    return digits(cache_home / "ganforge", size=16)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return ganforge.train(tables(tmp_path_factory.mktemp("runs")))


def test_training_says_where_the_run_is_and_what_came_of_it(trained: Trained) -> None:
    assert trained.exit_code == 0
    assert trained.step == 4
    assert trained.best is not None
    assert trained.best.name == "fid"
    assert trained.generator()(torch.randn(2, 8)).shape == (2, 1, 16, 16)
    assert trained.generator().config.step == 4


def test_the_same_call_goes_on_and_takes_a_file_a_resolved_recipe_and_overrides(trained: Trained) -> None:
    file = trained.folder / "recipe.resolved.toml"
    assert ganforge.train(file, ["training.steps=5"]).step == 5
    assert ganforge.train(load(file), ["training.steps=6"]).step == 6


def test_a_mistake_in_a_dict_is_told_like_one_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"^recipe: generator.latent_dims: unknown key \(did you mean 'latent_dim'"):
        ganforge.train(tables(tmp_path, generator={"name": "dcgan", "latent_dims": 8}))


def test_one_call_decides_no_precision_for_the_next(tmp_path: Path) -> None:
    without = {"evaluation": {"metrics": ()}}
    for precision in ("bf16", "no"):
        more = {"name": precision, "training": {"steps": 1, "batch_size": 8, "precision": precision}}
        assert ganforge.train(tables(tmp_path, **more, **without)).step == 1
    assert not AcceleratorState._shared_state


def test_training_runs_in_another_thread_as_a_notebook_or_a_server_may_have_it(tmp_path: Path) -> None:
    found: list[Trained] = []
    recipe = tables(tmp_path, evaluation={"metrics": ()})
    thread = threading.Thread(target=lambda: found.append(ganforge.train(recipe)))
    thread.start()
    thread.join(timeout=120)
    assert [one.exit_code for one in found] == [0]


def test_a_module_is_judged_as_its_run_judged_it(trained: Trained, dataset: ShardDataset) -> None:
    generator = ganforge.load_generator(trained.folder / "generator.best.safetensors")
    found = ganforge.evaluate(generator, dataset, "fid", num=100, num_reals=200, extractor=EXTRACTOR)
    assert found.figures["fid"] == pytest.approx(generator.config.metrics["fid"], rel=1e-6)
    same = ("metrics", "extractor", "num_fakes", "num_reals", "versions")
    assert {key: found.protocol[key] for key in same} == {key: generator.config.protocol[key] for key in same}


def test_a_sampler_of_counts_and_one_of_indices_give_the_figure_of_their_samples(dataset: ShardDataset) -> None:
    reals = real_samples(dataset)
    taken = iter(range(10**6))

    def by_count(count: int) -> Tensor:
        return reals[[next(taken) for _ in range(count)]]

    def by_index(indices: range) -> np.ndarray:
        return reals[indices.start : indices.stop].numpy()

    options: dict[str, Any] = {"num": 150, "num_reals": 150, "extractor": EXTRACTOR}
    first = ganforge.evaluate(by_count, dataset, METRICS, **options)
    second = ganforge.evaluate(by_index, dataset, METRICS, by_index=True, **options)
    assert first.figures == second.figures
    assert {*first.figures} >= {"fid", "kid"}


def test_real_samples_are_named_in_every_way(dataset: ShardDataset, tmp_path: Path) -> None:
    pictures = to_uint8(real_samples(dataset, np.arange(70))).numpy()
    for number, picture in enumerate(pictures):
        single(picture).save(tmp_path / f"{number:03}.png")

    def by_index(indices: range) -> Tensor:
        generator = torch.Generator().manual_seed(indices.start)
        return torch.rand((len(indices), 1, 16, 16), generator=generator) * 2 - 1

    def protocol(reals: Any) -> Any:
        options: dict[str, Any] = {"num": 70, "num_reals": 70, "by_index": True}
        return ganforge.evaluate(by_index, reals, "density_coverage", extractor=PIXELS, **options).protocol

    digests = [protocol(reals)["reals"]["digest"] for reals in (dataset, dataset.store.where)]
    assert digests == [dataset.digest] * 2
    assert protocol(tmp_path)["reals"]["dataset"] == "pictures"
    assert protocol(PictureFolder(tmp_path))["reals"] == protocol(str(tmp_path))["reals"]


PIXELS = "test-pixels"


@pytest.fixture(autouse=True)
def pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extractor that needs nothing."""

    class Pixels(Extractor):
        name_of_weights = "none"

        def __call__(self, samples: Tensor) -> Tensor:
            return samples.flatten(1)

    register.extractor.names()
    monkeypatch.setattr(register.extractor, "_components", dict(register.extractor._components))
    register.extractor(PIXELS)(Pixels)


def test_a_name_is_a_dataset_of_default_options() -> None:
    found = ganforge.evaluate(lambda count: torch.randn(count, 2), "ring", ["modes"], num=200)
    assert found.protocol["reals"]["dataset"]["name"] == "ring"
    assert 0 <= found.figures["modes"] <= 8


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda count: torch.zeros(count, 16, 16), r"shape \(64, 16, 16\), real ones are \(64, 1, 16, 16\)"),
        (lambda count: torch.zeros(1, 1, 16, 16), r"shape \(1, 1, 16, 16\), real ones are \(64, 1, 16, 16\)"),
        (lambda count: torch.zeros(count, 1, 16, 16, dtype=torch.uint8), r"gave torch.uint8; give floats in \[-1, 1\]"),
        (lambda count: torch.full((count, 1, 16, 16), 255.0), r"values up to 255; pictures are in \[-1, 1\] here"),
    ],
    ids=["without channels", "one for all", "bytes", "0 to 255"],
)
def test_samples_of_another_form_are_refused_in_words(dataset: ShardDataset, made: Any, said: str) -> None:
    with pytest.raises(GanforgeError, match=said):
        ganforge.evaluate(made, dataset, num=100, extractor=PIXELS)


def test_samples_between_0_and_1_are_warned_of_and_those_that_are_right_are_not(dataset: ShardDataset) -> None:
    options: dict[str, Any] = {"num": 80, "num_reals": 80, "extractor": PIXELS}
    with pytest.warns(UserWarning, match="no sample has a value below 0"):
        ganforge.evaluate(lambda count: torch.rand(count, 1, 16, 16), dataset, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ganforge.evaluate(noise, dataset, **options)


def test_a_wrong_metric_is_told_as_in_a_recipe(dataset: ShardDataset) -> None:
    with pytest.raises(RecipeError, match=r"ganforge.evaluate: evaluation.metrics.0.name: no metric is called 'fidd'"):
        ganforge.evaluate(lambda count: torch.zeros(count, 1, 16, 16), dataset, ["fidd"])


def test_somebody_s_own_accelerator_is_left_as_it_was(dataset: ShardDataset) -> None:
    own = Accelerator(cpu=True, mixed_precision="bf16")
    try:
        ganforge.evaluate(noise, dataset, num=80, num_reals=80, extractor=PIXELS)
        assert own.mixed_precision == "bf16"
        assert own.num_processes == 1
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def test_the_protocol_is_plain_json(dataset: ShardDataset) -> None:
    found = ganforge.evaluate(noise, dataset, num=80, num_reals=80, extractor=PIXELS)
    assert json.loads(json.dumps(found.protocol)) == found.protocol
    assert found.is_main
    assert found.seconds > 0
