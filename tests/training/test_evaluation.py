import json
import math

import pytest
import torch
from accelerate import Accelerator

from ganforge.building.evaluator import build_evaluator
from ganforge.data.synthetic import Ring
from ganforge.errors import GanforgeError, RecipeError
from ganforge.metrics import inception
from ganforge.metrics.best import goodness
from ganforge.metrics.metric import Extractor, Metric
from ganforge.metrics.weights import Published
from ganforge.registry import register
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.saved.generator_file import read_config
from ganforge.training.run import Run

MODES = {"metrics": ["modes"], "num_fakes": 50, "every": 2}


@pytest.fixture(autouse=True)
def identity():
    """An extractor `test-identity` for points."""

    class Identity(Extractor):
        """Gives back the points."""

        name_of_weights = "identity"

        def __call__(self, samples):
            return samples

    register.extractor.add("test-identity", Identity)
    yield
    register.extractor._components.pop("test-identity")


@pytest.fixture
def scripted():
    """A metric `scripted` whose figures are given by the test, one an evaluation."""
    values: list[float] = []

    class Scripted(Metric):
        """Gives what it is told."""

        looks_at = "samples"
        needs_reals = False
        better = {"scripted": "lower"}  # noqa: RUF012

        def __call__(self, fakes, reals):
            return {"scripted": values.pop(0)}

    register.metric.add("scripted", Scripted)
    yield values
    register.metric._components.pop("scripted")


def evaluations(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]


def checkpoint_steps(folder) -> list[int]:
    return [int(path.name.removeprefix("step-")) for path in whole_checkpoints(folder / "checkpoints")]


def test_every_figure_is_kept_with_its_protocol_and_its_cost(make_recipe, train_silently):
    recipe = make_recipe(evaluation=MODES)
    train_silently(recipe)
    lines = evaluations(recipe.folder)
    assert [line["step"] for line in lines] == [2, 4, 6]
    protocol = lines[-1]["protocol"]
    assert protocol["metrics"] == [{"name": "modes"}]
    assert protocol["num_fakes"] == 50
    assert protocol["reals"]["dataset"]["name"] == "ring"
    assert protocol["reals"]["split"] == "all"
    assert len(protocol["reals"]["digest"]) == 64
    assert protocol["fakes"] == {"generator": "averaged", "seed": 0}
    assert lines[-1]["figures"].keys() == {"modes", "good_points"}
    logged = [json.loads(line) for line in (recipe.folder / "metrics.jsonl").read_text().splitlines()]
    cost = [line for line in logged if "evaluation/seconds" in line][-1]
    assert 0 < cost["evaluation/share"] < 1
    config = read_config(recipe.folder / "generator.last.safetensors")
    assert config.metrics == lines[-1]["figures"]
    assert config.protocol == protocol


def test_any_registered_extractor_will_do(make_recipe, train_silently):
    recipe = make_recipe(evaluation={"metrics": ["fid", "is"], "extractor": "test-identity", "num_fakes": 50})
    with pytest.raises(RecipeError, match="'is' looks at class logits, which the extractor does not give"):
        train_silently(recipe)
    recipe = make_recipe(evaluation={"metrics": ["fid"], "extractor": "test-identity", "num_fakes": 50})
    train_silently(recipe)
    line = evaluations(recipe.folder)[-1]
    assert line["figures"]["fid"] > 0
    assert line["protocol"]["extractor"]["weights"] == "identity"


def test_a_resumed_run_drops_the_evaluations_after_its_checkpoint(make_recipe, train_silently):
    recipe = make_recipe(evaluation=MODES, checkpoint={"every": 4, "keep_last": 3})
    train_silently(recipe)
    before = evaluations(recipe.folder)
    (recipe.folder / "checkpoints" / "step-00000006" / "checkpoint.json").unlink()
    train_silently(recipe)
    after = evaluations(recipe.folder)
    assert [line["step"] for line in after] == [2, 4, 6]
    assert [line["figures"] for line in after] == [line["figures"] for line in before]


def test_the_run_ends_when_patience_does_and_stays_ended(make_recipe, train_silently, scripted, capsys):
    scripted += [5.0, 3.0, 4.0, 3.0, 1.0]
    recipe = make_recipe(
        training={"steps": 20},
        evaluation={"metrics": ["scripted"], "num_fakes": 8, "every": 2, "patience": 2},
        checkpoint={"every": 100},
    )
    assert train_silently(recipe) == 0
    said = capsys.readouterr().out
    assert "no better scripted in 2 evaluations since step 4" in " ".join(said.split())
    assert checkpoint_steps(recipe.folder) == [8]
    assert (recipe.folder / "samples" / "step-00000008.png").is_file()
    assert Checkpoint(recipe.folder / "checkpoints" / "step-00000008").state["best"] == {
        "name": "scripted",
        "value": 3.0,
        "step": 4,
        "figures": {"scripted": 3.0},
        "stale": 2,
    }
    assert train_silently(recipe) == 0
    assert scripted == [1.0]  # nothing was evaluated, because nothing was trained


def test_where_the_first_figure_is_the_same_the_next_decides():
    better = {"modes": "higher", "good_points": "higher", "fid": "lower"}

    def of(modes, good_points, fid=1.0, first="modes"):
        return goodness({"modes": modes, "good_points": good_points, "fid": fid}, better, first)

    assert of(8, 0.7) > of(8, 0.3) > of(7, 0.9)
    assert of(8, 0.7, fid=1.0) > of(8, 0.7, fid=2.0) > of(8, math.nan, fid=0.5)
    assert of(7, 0.9, first="good_points") > of(8, 0.7, first="good_points")
    assert not of(8, 0.7) > of(8, 0.7), "the first of equals stays"


def test_patience_is_remembered_by_a_resumed_run(make_recipe, train_silently, scripted):
    scripted += [1.0, 2.0, 3.0, 4.0]

    def recipe(steps: int, patience: int):
        return make_recipe(
            training={"steps": steps},
            evaluation={"metrics": ["scripted"], "num_fakes": 8, "every": 2, "patience": patience, "at_end": False},
        )

    train_silently(recipe(5, 2))  # evaluated at 2 and at 4, once without improvement
    assert train_silently(recipe(20, 2)) == 0
    assert checkpoint_steps(recipe(20, 2).folder)[-1] == 6
    assert scripted == [4.0]


def test_the_best_checkpoint_is_written_when_asked_and_outlives_pruning(make_recipe, train_silently, scripted):
    scripted += [5.0, 3.0, 4.0, 6.0, 7.0, 8.0]
    recipe = make_recipe(
        training={"steps": 12},
        evaluation={"metrics": ["scripted"], "num_fakes": 8, "every": 2},
        checkpoint={"every": 3, "keep_last": 1, "keep_best": True},
    )
    train_silently(recipe)
    assert checkpoint_steps(recipe.folder) == [4, 12]
    best = Checkpoint(recipe.folder / "checkpoints" / "step-00000004").tensors("averaged")
    from safetensors.torch import load_file

    saved = load_file(recipe.folder / "generator.best.safetensors")
    assert all(torch.equal(saved[name], tensor) for name, tensor in best.items())


def test_a_best_that_fell_on_a_checkpoint_is_not_pruned_away(make_recipe, train_silently, scripted):
    scripted += [1.0, 2.0, 3.0, 4.0]
    recipe = make_recipe(
        training={"steps": 12},
        evaluation={"metrics": ["scripted"], "num_fakes": 8, "every": 3},
        checkpoint={"every": 3, "keep_last": 1},
    )
    train_silently(recipe)
    assert checkpoint_steps(recipe.folder) == [3, 12]


def test_a_figure_that_is_no_number_is_never_the_best(make_recipe, train_silently, scripted):
    scripted += [float("nan"), 2.0, float("nan")]
    recipe = make_recipe(evaluation={"metrics": ["scripted"], "num_fakes": 8, "every": 2})
    train_silently(recipe)
    assert [line["figures"]["scripted"] for line in evaluations(recipe.folder)] == [None, 2.0, None]
    assert read_config(recipe.folder / "generator.best.safetensors").step == 4


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        ({"metrics": ["fid"]}, "'fid' looks at features; add evaluation.extractor"),
        ({"metrics": ["fid"], "extractor": "inception-v3-compat"}, "looks at grey or RGB pictures"),
        ({"metrics": ["modes", "modes"]}, "'modes' gives 'modes', and so does 'modes'"),
        ({"metrics": ["modes"], "best": "fid"}, "no metric gives 'fid'; there are: modes, good_points"),
    ],
)
def test_metrics_that_cannot_be_computed_are_refused_before_training(make_recipe, evaluation, message):
    with pytest.raises(RecipeError, match=message):
        Run.build(make_recipe(evaluation=evaluation))


def test_patience_without_evaluations_in_training_is_refused(make_recipe):
    with pytest.raises(RecipeError, match=r"evaluation\.patience: counts evaluations in training"):
        make_recipe(evaluation={"metrics": ["modes"], "patience": 3})


def test_a_stream_is_refused_by_metrics_that_compare(make_recipe):
    recipe = make_recipe(evaluation={"metrics": ["fid"], "extractor": "test-identity"})
    stream = Ring(samples=10)
    stream.shard_sizes = ()
    with pytest.raises(RecipeError, match="'fid' looks at real samples by number, which a stream does not have"):
        build_evaluator(recipe, stream, Accelerator(cpu=True))


def test_too_few_samples_are_refused_before_training(make_recipe):
    data = {"name": "digits", "size": 16}
    networks = {name: {"name": "dcgan", "width": 4} for name in ("generator", "discriminator")}
    evaluation = {"metrics": ["kid"], "extractor": {"name": "digits-cnn", "epochs": 1}, "num_fakes": 100}
    with pytest.raises(RecipeError, match="subsets of 1000 cannot be drawn from 100 fakes"):
        Run.build(make_recipe(data=data, **networks, evaluation=evaluation))


def test_pictures_are_judged_by_inception_unless_the_recipe_says_otherwise(make_recipe, monkeypatch):
    monkeypatch.setattr(inception, "ORIGINAL", Published("w.pth", "http://127.0.0.1:9/w.pth", "0" * 64))
    networks = {name: {"name": "dcgan", "width": 4} for name in ("generator", "discriminator")}
    with pytest.raises(GanforgeError, match=r"put http://127\.0\.0\.1:9/w\.pth at"):
        Run.build(make_recipe(data={"name": "digits", "size": 16}, **networks, evaluation={"metrics": ["fid"]}))
