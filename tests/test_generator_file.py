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
from ganforge.saved.generator_file import GeneratorConfig, build_generator, flat_state, read_config, save_generator
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
