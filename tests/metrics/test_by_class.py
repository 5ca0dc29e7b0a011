"""Figures of each class, where the answer is known."""

from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from ganforge.data.digits import digits
from ganforge.data.samples import real_samples
from ganforge.errors import RecipeError
from ganforge.metrics.by_class import ClassificationAccuracyScore, FrechetDistanceByClass
from ganforge.metrics.evaluator import Evaluator
from ganforge.metrics.extractors import DigitsCNN
from ganforge.metrics.frechet import FrechetDistance
from ganforge.metrics.generated import Generated
from ganforge.metrics.protocol import Protocol, describe_extractor, versions
from ganforge.training.run import Run


@pytest.fixture(autouse=True)
def fresh_accelerate():
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, torch.Tensor, torch.Tensor]:
    dataset = digits(tmp_path_factory.mktemp("digits"), size=16)
    assert dataset.labels is not None
    return dataset, real_samples(dataset, np.arange(len(dataset))), torch.from_numpy(dataset.labels)


def figures(data, tmp_path, labels: torch.Tensor | None) -> dict[str, float]:
    """Of the digits themselves as fakes, under these labels."""
    dataset, samples, _ = data
    extractor = DigitsCNN(dataset, tmp_path, epochs=2)
    protocol = Protocol(
        metrics=(),
        extractor=describe_extractor(extractor, {}),
        reals={"digest": dataset.digest},
        num_reals=len(samples),
        fakes={},
        num_fakes=len(samples),
        versions=versions(),
    )
    metrics = [FrechetDistance(), FrechetDistanceByClass(dataset), ClassificationAccuracyScore(dataset)]
    evaluator = Evaluator(metrics, extractor, dataset, Accelerator(), protocol=protocol, cache_dir=tmp_path)
    fakes = Generated(
        lambda indices: samples[indices.start : indices.stop],
        lambda indices: (samples[indices.start : indices.stop], None if labels is None else labels[: len(indices)]),
    )
    found = evaluator(fakes)
    return {**found, "warnings": len([line for line in evaluator.warnings() if "nothing says" in line])}


def test_the_data_itself_has_no_distance_in_any_class_and_teaches_its_classes(data, tmp_path):
    found = figures(data, tmp_path, data[2])
    assert abs(found["fid_worst_class"]) < 1e-4
    assert abs(found["fid_by_class"]) < 1e-4
    assert {f"fid_class_{number}" for number in range(10)} <= found.keys()
    assert found["cas"] > 0.9


def test_classes_that_are_mixed_up_are_seen_by_class_and_not_by_the_whole(data, tmp_path):
    swapped = torch.where(data[2] == 3, 8, torch.where(data[2] == 8, 3, data[2]))
    found = figures(data, tmp_path, swapped)
    assert abs(found["fid"]) < 1e-4
    assert found["fid_class_3"] > 50
    assert found["fid_worst_class"] == max(found["fid_class_3"], found["fid_class_8"])
    assert abs(found["fid_class_5"]) < 1e-4
    assert 0.7 < found["cas"] < 0.85


def test_without_labels_of_the_fakes_there_is_no_figure_and_a_warning(data, tmp_path):
    found = figures(data, tmp_path, None)
    assert np.isnan([found["fid_by_class"], found["cas"], found["fid_class_0"]]).all()
    assert found["warnings"] == 2


def test_it_is_the_distance_of_the_samples_of_that_class(data):
    dataset, _, labels = data
    torch.manual_seed(0)
    reals, fakes = torch.randn(len(labels), 4), 2 * torch.randn(300, 4) + 1
    fake_labels = torch.arange(300) % 9  # of class 9 there are none
    found = FrechetDistanceByClass(dataset).of_classes(fakes, reals, fake_labels, labels)
    alone = [FrechetDistance()(fakes[fake_labels == k], reals[labels == k])["fid"] for k in range(9)]
    torch.testing.assert_close(found["fid_class_4"], alone[4])
    torch.testing.assert_close(found["fid_by_class"], sum(alone) / 9)
    assert np.isnan(found["fid_class_9"])


def test_a_training_has_them_and_a_generator_without_classes_is_refused(tmp_path):
    from ganforge.recipe import resolve
    from ganforge.training.between_steps.evaluate import generated

    table: dict[str, Any] = {
        "name": "tiny",
        "output": str(tmp_path),
        "data": {"name": "digits", "size": 16, "limit": 200, "cache_dir": str(tmp_path)},
        "generator": {"name": "dcgan", "width": 4, "conditional": "embedding"},
        "discriminator": {"name": "dcgan", "width": 4},
        "training": {"steps": 1, "batch_size": 8},
        "evaluation": {
            "metrics": ["fid_by_class", {"name": "cas", "epochs": 1}],
            "extractor": {"name": "digits-cnn", "epochs": 1},
            "num_fakes": 100,
        },
    }
    run = Run.build(resolve(table))
    assert run.evaluator is not None
    with run.statistics.for_evaluation():
        found = run.evaluator(generated(run.game))
    assert np.isfinite([found["fid_by_class"], found["fid_worst_class"], found["cas"]]).all()
    table["generator"]["conditional"] = "none"
    with pytest.raises(RecipeError, match=r"'fid_by_class' looks at classes of fakes.*set generator\.conditional"):
        Run.build(resolve(table))
