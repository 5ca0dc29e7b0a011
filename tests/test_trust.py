"""Files that somebody else may have made run nothing until they are trusted; credentials go nowhere."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

import ganforge as package
from ganforge.errors import DataError, GanforgeError, TrustError
from ganforge.export.card import model_card
from ganforge.recipe import load_saved
from ganforge.redaction import HIDDEN, without_credentials
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import build_generator, flat_state, save_generator
from ganforge.spec import DataSpec
from ganforge.trust import check_commands, trusting

PLUGIN = """
from pathlib import Path
from ganforge import register
from ganforge.models.mlp import MLPGenerator

Path({mark!r}).write_text("this module was run")
register.generator("{name}")(type("Theirs", (MLPGenerator,), {{"__doc__": MLPGenerator.__doc__}}))
"""

RECIPE = """
name = "theirs"
plugins = ["{name}"]
generator = "{name}"
discriminator = "mlp"
data = {{ name = "ring" }}
training = {{ steps = 2 }}
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    """A working directory with a module of its own name for each test, and the mark that it leaves when it is run."""
    name = re.sub(r"\W", "_", f"theirs_{request.node.name}")
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "mark"
    (tmp_path / f"{name}.py").write_text(PLUGIN.format(mark=str(mark), name=name))
    (tmp_path / "recipe.toml").write_text(RECIPE.format(name=name))
    return name, mark


def generator_of_theirs(name: str, path: Path) -> None:
    """A file whose generator only the plugin knows; its weights do not matter here."""
    own = GeneratorConfig({"name": "mlp"}, DataSpec((2,)))
    config = GeneratorConfig({"name": name}, own.spec, plugins=(name,), run="theirs")
    save_generator(path, flat_state(build_generator(own)), config)


@pytest.mark.parametrize("command", ["check", "resolve"])
def test_looking_at_a_recipe_imports_no_plugin_of_it(ganforge, theirs, command) -> None:
    _, mark = theirs
    refused = ganforge("recipe", command, "recipe.toml")
    assert (refused.code, mark.exists()) == (2, False)
    assert refused.err.count("\n") == 1
    assert "--trust" in refused.err
    assert ganforge("recipe", command, "recipe.toml", "--trust").code == 0
    assert mark.exists()


def test_a_recipe_that_is_named_to_train_is_the_users_own(ganforge, theirs) -> None:
    _, mark = theirs
    assert ganforge("train", "recipe.toml").code == 0
    assert mark.exists()


def test_a_lone_generator_file_imports_no_module_of_the_working_directory(ganforge, theirs) -> None:
    name, mark = theirs
    generator_of_theirs(name, Path("generator.safetensors"))
    with pytest.raises(
        TrustError, match=rf"generator\.safetensors: its plugins would be imported.*{name}.*`trust=True`"
    ):
        package.load_generator("generator.safetensors")
    for command in (("sample",), ("export", "--to", "onnx"), ("interpolate",), ("evaluate",)):
        refused = ganforge(command[0], "generator.safetensors", *command[1:])
        assert (refused.code, refused.err.count("\n"), mark.exists()) == (2, 1, False), command
    package.load_generator("generator.safetensors", trust=True)
    assert mark.exists()


def test_a_run_of_others_imports_and_runs_nothing_when_it_is_evaluated_or_submitted(ganforge, theirs) -> None:
    _, mark = theirs
    Path("run").mkdir()
    save_generator(
        Path("run/generator.last.safetensors"),
        flat_state(build_generator(GeneratorConfig({"name": "mlp"}, DataSpec((2,))))),
        GeneratorConfig({"name": "mlp"}, DataSpec((2,)), run="theirs"),
    )
    shutil.copy("recipe.toml", "run/recipe.resolved.toml")
    for command in (("evaluate", "run"), ("slurm", "run/recipe.resolved.toml", "--dry-run")):
        refused = ganforge(*command)
        assert (refused.code, mark.exists()) == (2, False), command
        assert "--trust" in refused.err
    touch = f"pipe:touch {mark}"
    Path("run/recipe.resolved.toml").write_text(
        'name = "theirs"\ngenerator = "mlp"\ndiscriminator = "mlp"\ntraining = { steps = 2 }\n'
        f'data = {{ name = "shards", path = "{touch}" }}\n'
    )
    refused = ganforge("evaluate", "run", "--metrics", "fid")
    assert (refused.code, mark.exists()) == (2, False)
    assert "would run a command" in refused.err


def test_a_dry_run_runs_no_command(ganforge, theirs) -> None:
    _, mark = theirs
    recipe = Path("piped.toml")
    recipe.write_text(
        f'name = "piped"\ngenerator = "dcgan"\ndiscriminator = "dcgan"\ntraining = {{ steps = 2 }}\n'
        f'data = {{ name = "shards", path = "pipe:touch {mark}" }}\n'
    )
    refused = ganforge("train", recipe, "--dry-run")
    assert (refused.code, mark.exists()) == (2, False)
    assert "would run a command" in refused.err


def test_trust_ends_with_its_block_and_finds_commands_anywhere() -> None:
    table = {"data": {"path": "a.tar::pipe:rm -rf x"}}
    with trusting():
        check_commands(table, "theirs")
    with trusting(False), pytest.raises(TrustError, match="rm -rf"):
        check_commands([table], "theirs")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ann:s3cret@host/x.tar", f"https://{HIDDEN}@host/x.tar"),
        ("s3 url s3://KEY:SECRET@bucket/a: gone", f"s3 url s3://{HIDDEN}@bucket/a: gone"),
        ("http://h/x.tar?X-Amz-Signature=abc123&part=2", f"http://h/x.tar?X-Amz-Signature={HIDDEN}&part=2"),
        ("az://h/x?sv=2&sig=a%2Fb", f"az://h/x?sv=2&sig={HIDDEN}"),
        ("pipe:curl -H 'Authorization: Bearer abc.def' http://h", f"pipe:curl -H 'Authorization: {HIDDEN}' http://h"),
        ("pipe:HF_TOKEN=hf_abc run x", f"pipe:HF_TOKEN={HIDDEN} run x"),
        ("pipe:curl -u ann:pw http://h", f"pipe:curl -u {HIDDEN} http://h"),
        ("pipe:wget --password=pw http://h", f"pipe:wget --password={HIDDEN} http://h"),
        ("generator.width: must be at least 1, not 0", "generator.width: must be at least 1, not 0"),
        ("data.image_key = 'png', author = ann", "data.image_key = 'png', author = ann"),
    ],
)
def test_credentials_are_cut_out_of_texts(text, shown) -> None:
    assert without_credentials(text) == shown
    assert str(DataError(text)) == shown, "no message shows them either"


def test_a_saved_recipe_and_a_card_hold_no_value_of_a_variable(ganforge, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN_OF_MINE", "hf_verysecret")
    monkeypatch.setenv("RUNS", str(tmp_path / "hf_verysecret"))
    Path("own.toml").write_text(
        'name = "own"\ngenerator = "mlp"\ndiscriminator = "mlp"\noutput = "$RUNS"\ntraining = { steps = 2 }\n'
        'data = { name = "ring", cache_dir = "cache-$TOKEN_OF_MINE" }\n'
    )
    assert ganforge("train", "own.toml").code == 0
    run = tmp_path / "hf_verysecret" / "own"
    written = [path for path in run.rglob("*") if path.suffix in (".toml", ".json", ".jsonl")]
    assert [str(path) for path in written if "hf_verysecret" in path.read_text()] == []
    assert str(load_saved(run / "recipe.resolved.toml").data.cache_dir) == "cache-hf_verysecret"
    monkeypatch.delenv("TOKEN_OF_MINE")
    assert load_saved(run / "recipe.resolved.toml").data.cache_dir is None
    assert ganforge("evaluate", run, "--metrics", "modes").code == 0
    assert ganforge("export", run, "--to", "hub", "--out", "hub").code == 0
    assert [path.name for path in Path("hub").iterdir() if b"hf_verysecret" in path.read_bytes()] == []


def test_nothing_of_a_generator_file_or_of_the_command_line_breaks_out_of_its_place_in_the_card() -> None:
    evil = "x`\n---\nlicense: mit\n---\n<script>alert(1)</script> | [a](http://b)"
    config = GeneratorConfig(
        {"name": "mlp"}, DataSpec((2,)), run=evil, metrics={evil: 1.0}, protocol={"a": "```\n# heading"}
    )
    given = {"repo": evil, "recipe": "a = '''\n```\n# out\n'''", "data": {"name": evil}, "parameters": 3}
    text = model_card(config, license_name="apache-2.0", **given)
    front = yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))
    assert front["license"] == "apache-2.0"
    assert front["tags"] == ["gan", "ganforge", "mlp"]
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    outside = re.sub(r"(`+).+?\1", "", outside)
    assert "<script>" not in outside.replace("\\<script", "")
    assert "\n# out" not in outside
    assert "\n# heading" not in outside
    with pytest.raises(GanforgeError, match="not the identifier of a license"):
        model_card(config, license_name="mit\ntags: [x]", **given)


def test_an_option_of_sbatch_is_one_line(ganforge, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text(
        'name = "own"\ngenerator = "mlp"\ndiscriminator = "mlp"\ndata = { name = "ring" }\ntraining = { steps = 2 }\n'
    )
    refused = ganforge("slurm", "own.toml", "--dry-run", "--sbatch=--mem=0\ntouch mark")
    assert refused.code == 2
    assert "leave out line ends" in refused.err
    assert refused.out == ""
