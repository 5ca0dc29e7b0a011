import json
from pathlib import Path

import pytest
import torch
import yaml
from fakehub import TOKEN, FakeHub, fake_hub
from PIL import Image

import ganforge as package
from ganforge.errors import CheckpointError
from ganforge.export.published import published_recipe, without_places
from ganforge.registry import register
from ganforge.saved.generator_file import GeneratorConfig, build_generator, flat_state, read_config, save_generator
from ganforge.saved.hub import hub_name
from ganforge.spec import DataSpec

RECIPE = """
name = "tiny"
output = "/home/somebody/runs"
[data]
name = "shards"
path = "/home/somebody/private/cats"
cache_dir = "/home/somebody/.cache"
[training]
steps = 7
[tracking.wandb]
entity = "somebody"
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder as training leaves it."""
    folder = tmp_path / "runs" / "tiny"
    folder.mkdir(parents=True)
    config = GeneratorConfig(
        {"name": "dcgan", "width": 4, "latent_dim": 8, "conditional": "embedding"},
        DataSpec((1, 16, 16), ("cat", "dog")),
        run="tiny",
        step=7,
        images=448,
        metrics={"fid": 12.3456},
        protocol={"num_fakes": 50, "reals": {"path": "/home/somebody/private/cats"}},
    )
    torch.manual_seed(0)
    save_generator(folder / "generator.best.safetensors", flat_state(build_generator(config)), config)
    (folder / "recipe.resolved.toml").write_text(RECIPE)
    return folder


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with fake_hub() as server:
        resolve = f"{server.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.endpoint)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", resolve)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def test_the_folder_says_what_the_generator_is(run, ganforge, tmp_path):
    out = tmp_path / "hub"
    done = ganforge("export", run, "--to", "hub", "--out", out, "--license", "apache-2.0")
    assert done.code == 0, done.err
    names = ["README.md", "generator.json", "generator.safetensors", "recipe.toml", "samples.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    _, front, body = (out / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front) == {
        "library_name": "ganforge",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["gan", "ganforge", "dcgan"],
        "license": "apache-2.0",
    }
    for part in (
        "# tiny",
        "| fid | 12.35 |",
        '"num_fakes": 50',
        "steps = 7",
        "| steps | 7 |",
        "![Samples](samples.png)",
    ):
        assert part in body
    assert Image.open(out / "samples.png").size[0] > 100
    latent, labels = torch.randn(2, 8), torch.tensor([0, 1])
    assert torch.equal(package.load_generator(out)(latent, labels), package.load_generator(run)(latent, labels))


def test_the_card_of_a_plugins_generator_says_what_loading_needs(run, ganforge, tmp_path, monkeypatch):
    for origin, is_told in (("ganforge.models.dcgan", False), ("orbits.models", True)):
        monkeypatch.setattr(register.generator.get("dcgan").factory, "__module__", origin)
        ganforge("export", run, "--to", "hub", "--out", tmp_path / origin)
        card = (tmp_path / origin / "README.md").read_text()
        assert ("needs the plugin `orbits.models` (not an installed package), installed" in card) == is_told


def test_nothing_published_tells_of_this_machine_or_its_user(run, ganforge, tmp_path):
    ganforge("export", run, "--to", "hub", "--out", tmp_path / "hub")
    for path in (tmp_path / "hub").iterdir():
        assert b"somebody" not in path.read_bytes(), path.name
    assert 'path = "cats"' in (tmp_path / "hub" / "recipe.toml").read_text()


def test_places_are_cut_down_and_nothing_else():
    table = {"a": "/x/y.tar", "b": ["~/z", "C:\\data\\w", 3, "https://host/a"], "c": {"d": "bce", "e": "a/b"}}
    assert without_places(table) == {"a": "y.tar", "b": ["z", "w", 3, "https://host/a"], "c": {"d": "bce", "e": "a/b"}}
    assert published_recipe({"output": "runs", "data": {"name": "ring", "cache_dir": "x"}}) == {
        "data": {"name": "ring"}
    }


def test_the_code_on_the_card_runs(run, ganforge, tmp_path):
    ganforge("export", run, "--to", "hub", "--out", tmp_path / "hub")
    card = (tmp_path / "hub" / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0]
    assert 'load_generator("OWNER/tiny")' in code
    scope: dict = {}
    exec(code.replace("OWNER/tiny", str(tmp_path / "hub")), scope)
    assert scope["samples"].shape == (16, 1, 16, 16)


def test_a_folder_of_something_else_stays_and_an_older_export_goes(run, ganforge, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("precious")
    (other / "generator.safetensors").write_text("as `export --to safetensors` leaves it")
    done = ganforge("export", run, "--to", "hub", "--out", other)
    assert (done.code, (other / "thesis.tex").read_text()) == (2, "precious")
    assert "holds something else" in done.err
    assert [ganforge("export", run, "--to", "hub", "--out", tmp_path / "hub").code for _ in range(2)] == [0, 0]


def test_what_is_pushed_can_be_loaded_by_its_name(run, ganforge, tmp_path, hub: FakeHub):
    """Through the real client library against a server of our own; the real hub cannot be asked in a test."""
    done = ganforge("export", run, "--to", "hub", "--out", tmp_path / "hub", "--push", "somebody/tiny-cats")
    assert done.code == 0, done.err
    assert done.out.endswith(f"{hub.endpoint}/somebody/tiny-cats\n")
    uploaded = hub.repositories["somebody/tiny-cats"]
    for path in (tmp_path / "hub").iterdir():
        assert uploaded[path.name] == path.read_bytes()
    assert b'load_generator("somebody/tiny-cats")' in uploaded["README.md"]
    latent, labels = torch.randn(2, 8), torch.tensor([0, 1])
    expected = package.load_generator(run)(latent, labels)
    for name in ("hf://somebody/tiny-cats", "somebody/tiny-cats", "somebody/tiny-cats@main"):
        assert torch.equal(package.load_generator(name)(latent, labels), expected)
    assert json.loads(read_config("somebody/tiny-cats").to_json())["step"] == 7
    drawn = ganforge("sample", "somebody/tiny-cats", "--n", 4, "--out", tmp_path / "grid.png")
    assert (drawn.code, drawn.err) == (0, "")


def test_a_push_without_a_login_says_what_to_do(run, ganforge, tmp_path, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "wrong")
    done = ganforge("export", run, "--to", "hub", "--out", tmp_path / "hub", "--push", "somebody/tiny")
    assert done.code == 2
    assert "Log in with `hf auth login`" in done.err
    assert (tmp_path / "hub" / "README.md").is_file()


def test_push_wants_a_folder_and_a_name(run, ganforge, tmp_path):
    done = ganforge("export", run, "--to", "onnx", "--push", "a/b")
    assert done.err == "ganforge: --push uploads the folder that --to hub makes, not onnx\n"
    done = ganforge("export", run, "--to", "hub", "--out", tmp_path / "hub", "--push", "nobody")
    assert done.err.startswith("ganforge: --push nobody: give owner/name")


def test_a_name_that_nobody_has_is_refused_in_words(hub):
    with pytest.raises(CheckpointError, match="no such run folder or generator file here, and none could be fetched"):
        package.load_generator("nobody/nothing")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://owner/name", ("owner/name", None)),
        ("owner/na.me-1", ("owner/na.me-1", None)),
        ("hf://owner/name@v1.0", ("owner/name", "v1.0")),
        ("owner/name@refs/pr/1", ("owner/name", "refs/pr/1")),
        ("name", None),
        ("/absolute/name", None),
        ("a/b/c", None),
        ("./a/b", None),
        ("../a", None),
        ("present/missing", None),
    ],
)
def test_what_is_a_name_on_the_hub_and_what_a_path(text, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "present").mkdir()
    assert hub_name(text) == expected


def test_a_broken_hub_name_is_refused():
    with pytest.raises(CheckpointError, match="is hf://owner/name"):
        hub_name("hf://name")
