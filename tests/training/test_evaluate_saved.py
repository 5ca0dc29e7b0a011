import json

import numpy as np
import pytest
import torch
from PIL import Image
from two_processes import launch_two

from ganforge.data.digits import digits
from ganforge.data.picture_folder import PictureFolder
from ganforge.data.samples import real_samples
from ganforge.evaluation.saved import evaluate_saved
from ganforge.game.latents import labels, latents
from ganforge.grid import single, to_uint8
from ganforge.metrics.metric import Extractor
from ganforge.recipe import resolve
from ganforge.registry import register
from ganforge.saved.generator_file import load_generator, save_generator
from ganforge.training.session import run_session

EXTRACTOR = {"name": "digits-cnn", "epochs": 1}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def run(tmp_path_factory, cache):
    """A small run on the digits, evaluated twice: its folder."""
    recipe = resolve(
        {
            "name": "digits",
            "output": str(tmp_path_factory.mktemp("runs")),
            "data": {"name": "digits", "size": 16, "cache_dir": str(cache)},
            "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
            "discriminator": {"name": "dcgan", "width": 4},
            "training": {"steps": 4, "batch_size": 8},
            "samples": {"every": 0, "num": 4},
            "checkpoint": {"every": 2, "keep_last": 5},
            "evaluation": {
                "metrics": ["fid", "density_coverage"],
                "extractor": EXTRACTOR,
                "num_fakes": 150,
                "num_reals": 300,
                "every": 2,
            },
        }
    )
    run_session(recipe)
    return recipe.folder


def logged(run) -> list[dict]:
    return [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def reals(tmp_path_factory, cache):
    """The first 120 digits as files."""
    folder = tmp_path_factory.mktemp("reals")
    for index, pixels in enumerate(to_uint8(real_samples(digits(cache, size=16), np.arange(120))).numpy()):
        single(pixels).save(folder / f"{index:04d}.png")
    return folder


def test_a_checkpoint_gets_the_very_figures_of_training_and_a_line_in_the_log(run, ganforge):
    of_step = {line["step"]: line for line in logged(run)}
    for step in (2, 4):
        outcome = ganforge("evaluate", run / "checkpoints" / f"step-{step:08d}", "--json")
        assert outcome.code == 0, outcome.err
        found = json.loads(outcome.out.splitlines()[-1])
        assert found["figures"] == pytest.approx(of_step[step]["figures"], rel=1e-9)
        kept = logged(run)[-1]
        assert (kept["by"], kept["step"], kept["figures"]) == ("ganforge evaluate", step, found["figures"])
        for part in ("extractor", "reals", "num_fakes", "num_reals", "versions"):
            assert kept["protocol"][part] == of_step[step]["protocol"][part]


def test_a_run_is_judged_by_its_best_generator(run, ganforge):
    best = min((line for line in logged(run) if "by" not in line), key=lambda line: line["figures"]["fid"])
    outcome = ganforge("evaluate", run)
    assert outcome.code == 0, outcome.err
    assert "generator.best.safetensors" in outcome.out
    assert f"{best['figures']['fid']:.6g}" in outcome.out
    assert "150 fakes, 300 reals (evenly spaced among 1797)" in outcome.out
    assert "digits-cnn" in outcome.out


def test_metrics_and_counts_can_be_chosen(run):
    found = evaluate_saved(run / "generator.last.safetensors", metrics=["is", "precision_recall"], num=70)
    assert found.figures.keys() == {"is", "is_std", "precision", "recall", "f_score"}
    assert found.protocol["num_fakes"] == 70


def test_a_folder_of_generated_pictures_gets_the_figure_of_the_generator(run, tmp_path):
    network = load_generator(run / "generator.last.safetensors")
    latent, classes = latents(0, "evaluation", 0, range(100), 8), labels(0, "evaluation", 0, range(100), 10)
    with torch.no_grad():
        pictures = to_uint8(network(latent, classes)).numpy()
    for index, pixels in enumerate(pictures):
        single(pixels).save(tmp_path / f"{index:04d}.png")
    extractor = [f"evaluation.extractor.{key}={value}" for key, value in EXTRACTOR.items() if key != "name"]
    common = {"metrics": ["fid"], "against": str(run / "recipe.resolved.toml"), "extractor": "digits-cnn"}
    saved = evaluate_saved(tmp_path, overrides=[*extractor, "evaluation.num_reals=300"], **common)
    made = evaluate_saved(run / "generator.last.safetensors", num=100, overrides=extractor, **common)
    assert saved.protocol["num_fakes"] == 100
    assert saved.figures["fid"] == pytest.approx(made.figures["fid"], rel=2e-3)  # rounding to 8 bits


def test_reals_may_be_a_folder_that_nobody_packed(run, reals):
    usual = evaluate_saved(run)
    found = evaluate_saved(run, against=str(reals), metrics=["density_coverage"], overrides=["evaluation.num_reals=0"])
    assert found.protocol["extractor"] == usual.protocol["extractor"]  # trained on what the run learned from
    assert found.protocol["num_reals"] == 120
    assert found.protocol["reals"]["digest"] == PictureFolder(reals).digest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{reals}"], "nothing says what to compare it with; name the real pictures with --against"),
        (["{reals}/absent"], "there is no such run, checkpoint, generator file or folder of pictures"),
        (["{reals}", "--against", "digits", "--num", "500"], "--num 500: {reals} holds 120 pictures"),
        (["{run}", "--metrics", "fdi"], "no metric is called 'fdi' (did you mean 'fid'?)"),
        (["{run}", "--weights", "x.pth"], "weights: unknown key"),
    ],
)
def test_mistakes_are_said_in_a_line(run, reals, ganforge, arguments, message):
    outcome = ganforge("evaluate", *(text.format(run=run, reals=reals) for text in arguments))
    assert outcome.code == 2
    assert message.format(reals=reals) in outcome.err
    assert len(outcome.err.strip().splitlines()) <= 2


def test_pictures_of_different_sizes_are_refused_by_name(reals, tmp_path):
    Image.new("L", (16, 16)).save(tmp_path / "a.png")
    Image.new("L", (20, 16)).save(tmp_path / "b.png")
    rows = np.empty((2, 16, 16, 1), dtype=np.uint8)
    failures = PictureFolder(tmp_path).read(np.arange(2), rows)
    assert "b.png: is 16x20, the first picture 16x16" in str(failures[1])


@pytest.fixture(scope="module")
def doubled(tmp_path_factory, reals):
    """The same digits at twice the size, in files."""
    folder = tmp_path_factory.mktemp("doubled")
    for path in reals.glob("*.png"):
        Image.open(path).resize((32, 32)).save(folder / path.name)
    return folder


@pytest.fixture
def pooling():
    """An extractor `test-pooling` that brings pictures of any size to its own, as Inception does."""

    class Pooling(Extractor):
        """Means over sixteenths."""

        name_of_weights = "pooling"

        def __call__(self, samples):
            return torch.nn.functional.adaptive_avg_pool2d(samples, 4).flatten(1)

    register.extractor.add("test-pooling", Pooling)
    yield
    register.extractor._components.pop("test-pooling")


def test_pictures_of_another_size_are_refused_by_an_extractor_that_learned_from_one(run, doubled, ganforge):
    outcome = ganforge("evaluate", doubled, "--against", run / "recipe.resolved.toml", "--extractor", "digits-cnn")
    assert outcome.code == 2
    assert "learned from pictures of 16x16 grey, these are of 32x32 grey; bring them to one size" in outcome.err
    assert len(outcome.err.strip().splitlines()) <= 2


def test_an_extractor_with_a_size_of_its_own_takes_both_and_the_figure_comes_with_a_warning(
    run, doubled, reals, pooling
):
    common = {"metrics": ["fid"], "against": str(run / "recipe.resolved.toml"), "extractor": "test-pooling"}
    same, other = (evaluate_saved(folder, **common) for folder in (reals, doubled))
    assert not any("size" in line for line in same.warnings)
    assert "fakes are of 32x32 grey, reals of 16x16 grey: the figures are about the size as well" in other.warnings[0]


def test_a_fid_of_few_samples_is_printed_with_a_warning(run, ganforge):
    outcome = ganforge("evaluate", run, "--metrics", "fid", "--json")
    assert outcome.code == 0
    assert (
        "warning: 150 fakes: below 2,048 fid is too large by chance; look at more (evaluation.num_fakes)" in outcome.err
    )
    assert "warning: 300 reals: below 2,048" in outcome.err
    assert len(json.loads(outcome.out.splitlines()[-1])["warnings"]) == 2
    enough = ganforge("evaluate", run, "--metrics", "fid", "--num", "2048", "--set", "evaluation.num_reals=0")
    assert (enough.code, enough.err) == (0, "")


def test_a_generator_that_makes_nan_has_no_figure_and_evaluate_says_so(run, tmp_path, ganforge):
    network = load_generator(run / "generator.last.safetensors")
    state = {**network.state_dict()}
    name = next(name for name in state if name.startswith("output"))
    save_generator(tmp_path / "generator.safetensors", {**state, name: state[name] * np.nan}, network.config)
    arguments = ["--metrics", "precision_recall", "--extractor", "digits-cnn"]
    outcome = ganforge(
        "evaluate", tmp_path / "generator.safetensors", "--against", run / "recipe.resolved.toml", *arguments
    )
    assert outcome.code == 0
    assert "precision    nan" in outcome.out
    assert "precision, recall, f_score: no figure" in outcome.err


def test_a_folder_with_one_coloured_picture_is_rgb_and_its_digest_is_of_the_content(tmp_path):
    Image.new("L", (8, 8), 7).save(tmp_path / "a.png")
    before = PictureFolder(tmp_path).digest
    Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "b.png")
    folder = PictureFolder(tmp_path)
    assert folder.spec.shape == (3, 8, 8)
    assert folder.digest != before
    rows = np.empty((2, 8, 8, 3), dtype=np.uint8)
    assert folder.read(np.arange(2), rows) == {}
    assert rows[0, 0, 0].tolist() == [7, 7, 7]


def evaluate_in_a_rank(run, results) -> None:
    found = evaluate_saved(run / "generator.last.safetensors")
    (results / f"{int(found.is_main)}.json").write_text(json.dumps(found.figures))


def test_two_processes_evaluate_like_one(run, tmp_path):
    before = len(logged(run))
    launch_two(evaluate_in_a_rank, (run, tmp_path))
    assert len(logged(run)) == before + 1  # the main process alone writes
    main, other = (json.loads((tmp_path / f"{number}.json").read_text()) for number in (1, 0))
    assert main == other
    assert main == pytest.approx(evaluate_saved(run / "generator.last.safetensors").figures, rel=1e-9)
