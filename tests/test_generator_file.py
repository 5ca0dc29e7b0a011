import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

import ganforge as package
from ganforge.cli.main import app
from ganforge.errors import CheckpointError
from ganforge.sampling import draw
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import build_generator, flat_state, read_config, save_generator
from ganforge.spec import DataSpec


@pytest.fixture
def run_folder(tmp_path):
    config = GeneratorConfig(
        generator={"name": "dcgan", "width": 4, "latent_dim": 8},
        spec=DataSpec((1, 16, 16), ("a", "b")),
        run="small",
        step=3,
        metrics={"fid": 1.5},
    )
    torch.manual_seed(0)
    network = build_generator(config)
    network.to(memory_format=torch.channels_last)
    save_generator(tmp_path / "generator.last.safetensors", flat_state(network), config)
    return tmp_path, network.eval(), config


def test_a_saved_generator_comes_back_with_its_config(run_folder):
    folder, network, config = run_folder
    loaded = package.load_generator(folder)
    latent = torch.randn(4, 8)
    network.to(memory_format=torch.contiguous_format)  # as files are; another layout rounds in another order
    assert torch.equal(loaded(latent), network(latent))
    assert loaded.config == config
    assert not loaded.training
    assert json.loads((folder / "generator.last.json").read_text())["metrics"] == {"fid": 1.5}


def test_the_best_goes_before_the_last(run_folder):
    folder, network, config = run_folder
    save_generator(
        folder / "generator.best.safetensors",
        flat_state(network),
        GeneratorConfig(config.generator, config.spec, step=2),
    )
    assert read_config(folder).step == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"junk", "cannot be read as safetensors"),
        (pickle.dumps([1]), "cannot be read as safetensors"),
        (None, "no such"),
    ],
)
def test_what_is_no_generator_file_is_refused_in_words(tmp_path, content, message):
    path = tmp_path / "generator.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        package.load_generator(path)


def test_safetensors_of_somebody_else_are_refused_in_words(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="holds no ganforge config"):
        package.load_generator(tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="the first checkpoint writes one"):
        package.load_generator(tmp_path)


def test_weights_that_do_not_fit_are_refused_in_words(run_folder):
    folder, network, config = run_folder
    other = GeneratorConfig({**config.generator, "width": 8}, config.spec)
    save_generator(folder / "generator.last.safetensors", flat_state(network), other)
    with pytest.raises(CheckpointError, match="weights do not fit generator 'dcgan'"):
        package.load_generator(folder)


def test_a_longer_draw_begins_with_the_shorter_one(run_folder):
    network = package.load_generator(run_folder[0])
    torch.testing.assert_close(draw(network, 300, seed=1)[:5], draw(network, 5, seed=1))
    assert not torch.allclose(draw(network, 5, seed=1), draw(network, 5, seed=2))


def test_sample_writes_a_grid_or_a_folder(run_folder, tmp_path):
    from PIL import Image

    folder = run_folder[0]
    grid, out = tmp_path / "grid.png", tmp_path / "pictures"
    for arguments in (["--out", str(grid), "--n", "9"], ["--out", str(out), "--n", "3", "--seed", "4"]):
        result = CliRunner().invoke(app, ["sample", str(folder), *arguments])
        assert result.exit_code == 0, result.output
    scale = round(480 / (3 * 18 + 2))
    assert Image.open(grid).size == ((3 * 18 + 2) * scale,) * 2
    pictures = sorted(out.glob("*.png"))
    assert [path.name for path in pictures] == ["000000.png", "000001.png", "000002.png"]
    assert Image.open(pictures[0]).size == (16, 16)


def test_a_draw_is_not_mixed_with_an_older_one(run_folder, tmp_path, ganforge):
    out = tmp_path / "pictures"
    assert ganforge("sample", run_folder[0], "--n", 3, "--out", out, "--seed", 5).code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    done = ganforge("sample", run_folder[0], "--n", 2, "--out", out, "--seed", 9)
    assert (done.code, done.err) == (2, f"ganforge: {out}: is not empty; give a new folder\n")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of six steps with checkpoints at 3 and 6."""
    output = tmp_path_factory.mktemp("runs")
    path = output / "tiny.toml"
    path.write_text(
        f'name = "tiny"\noutput = "{output}"\ngenerator = "mlp"\ndiscriminator = "mlp"\n'
        '[data]\nname = "ring"\nsamples = 500\n[training]\nsteps = 6\nbatch_size = 16\n'
        "[checkpoint]\nevery = 3\nkeep_last = 2\n"
    )
    assert CliRunner().invoke(app, ["train", str(path)]).exit_code == 0
    return output / "tiny"


def points(run, out, *flags) -> bytes:
    result = CliRunner().invoke(app, ["sample", str(run), *flags, "--out", str(out)])
    assert result.exit_code == 0, result.output
    return (out / "samples.npy").read_bytes()


def test_sampling_raw_weights_takes_the_newest_checkpoint(trained, tmp_path):
    raw = points(trained, tmp_path / "raw", "--no-ema")
    assert raw != points(trained, tmp_path / "averaged")
    assert raw == points(trained / "checkpoints" / "step-00000006", tmp_path / "last", "--no-ema")


def test_a_checkpoint_is_its_averaged_generator(trained, tmp_path):
    first, last = sorted((trained / "checkpoints").glob("step-*"))
    assert points(last, tmp_path / "last") == points(trained, tmp_path / "run")
    assert points(first, tmp_path / "first") != points(trained, tmp_path / "again")
    config = package.load_generator(first).config
    assert (config.step, config.images, config.metrics, config.run) == (3, 48, {}, "tiny")


def test_a_checkpoint_without_its_run_says_what_is_missing(trained, tmp_path):
    alone = tmp_path / "checkpoints" / "step-00000003"
    shutil.copytree(trained / "checkpoints" / "step-00000003", alone)
    with pytest.raises(CheckpointError, match=r"only its run's saved generator says what its network is\. .*has no"):
        package.load_generator(alone)


CONFIG = {
    "generator": {"name": "mlp", "width": 4, "latent_dim": 2}, "spec": {"shape": [2], "classes": []}, "plugins": [],
    "run": "small", "step": 3, "images": 9, "seed": 0, "averaged": True, "metrics": {"fid": 1.5}, "protocol": {},
    "format": 1, "ganforge": "0.1.0",
}  # fmt: skip
HOSTILE = {
    "generator": [
        None,
        3,
        "mlp",
        [],
        {},
        {"name": 3},
        {"name": None},
        {"name": "nobody's"},
        {"name": "mlp", "wdth": 4},
    ],
    "generator.width": [None, -1, 0, 1.5, "4", 2**31, 2**63, 10**400, [4], {}, True, 60_000],
    "generator.depth": [0, 2**31, 1e30],
    "generator.name": ["", "x" * 5000, "mlp\0", "../mlp"],
    "spec": [None, [], {}, "2", {"shape": None}, {"shape": [2], "more": 1}],
    "spec.shape": [[], [0], [-2], [2.5], ["2"], [2**40], [2**20, 2**20, 2**20], [1, 2], [1, 2, 3, 4], "22", {"0": 2}],
    "spec.classes": [None, "ab", [1], {"a": 1}, [None]],
    "plugins": [None, "os", [1], {"a": 1}],
    "step": [None, "3", -1, 1.5, True, 10**400, 2**63],
    "images": [None, [], "9"],
    "seed": ["0", 1e30],
    "averaged": [1, "yes", None],
    "metrics": [None, [], 3, [["fid", 1]]],
    "protocol": [None, "x", []],
    "run": [None, 3, ["a"]],
    "format": [None, 2, 99, "1", [], 1.5],
    "unknown": [1],
}
TEXTS = ["", "null", "[]", "3", "{", '"config"', "[" * 100_000, '{"format": ' + "9" * 5000 + "}", "\ufeff{}"]


def hostile_texts():
    for place, values in HOSTILE.items():
        for value in values:
            table = json.loads(json.dumps(CONFIG))
            *parents, last = place.split(".")
            inner = table
            for key in parents:
                inner = inner[key]
            inner[last] = value
            yield f"{place} = {str(value)[:30]}", json.dumps(table)
    for place in CONFIG:
        if place in ("generator", "spec", "format"):
            yield f"no {place}", json.dumps({key: value for key, value in CONFIG.items() if key != place})
    yield from ((f"text {text[:20]}", text) for text in TEXTS)


def test_the_config_that_the_hostile_ones_are_made_of_is_fine(tmp_path):
    assert read_hostile(tmp_path, json.dumps(CONFIG)).config.run == "small"


def read_hostile(folder, text):
    network = build_generator(GeneratorConfig({"name": "mlp", "width": 4, "latent_dim": 2}, DataSpec((2,))))
    save_file(flat_state(network), folder / "generator.safetensors", metadata={"ganforge": text})
    return package.load_generator(folder / "generator.safetensors")


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in hostile_texts()])
def test_hostile_metadata_is_refused_in_a_line(tmp_path, text):
    with pytest.raises(CheckpointError) as caught:
        read_hostile(tmp_path, text)
    said = str(caught.value)
    assert str(tmp_path) in said
    assert len(said.splitlines()) == 1
    assert len(said) < 1000


def test_a_small_file_does_not_make_a_large_network(tmp_path):
    table = {**CONFIG, "generator": {"name": "mlp", "width": 40_000, "latent_dim": 2}}
    with pytest.raises(
        CheckpointError, match=r"is too large: it takes 6\.4 GB or more; 268 MB is all that its file can hold"
    ):
        read_hostile(tmp_path, json.dumps(table))


@pytest.mark.parametrize("state", ["[]", "{}", '{"step": "1", "images": 2}', '{"step": 1}', "[" * 100_000, ""])
def test_an_odd_checkpoint_of_a_generator_is_refused_in_a_line(run_folder, state):
    folder = run_folder[0] / "checkpoints" / "step-00000003"
    folder.mkdir(parents=True)
    save_file({"weight": torch.zeros(2)}, folder / "averaged.safetensors")
    (folder / "checkpoint.json").write_text(state)
    with pytest.raises(CheckpointError, match="is damaged"):
        read_config(folder)
