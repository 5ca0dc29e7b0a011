"""What people get wrong in a recipe, and the sentence that each mistake is answered with: where, what, remedy."""

import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from ganforge.errors import PluginError, Problem, RecipeError
from ganforge.recipe import load, override, resolve
from ganforge.registry import register

FINE = """\
name = "fine"

[data]
name = "ring"

[generator]
name = "mlp"

[discriminator]
name = "mlp"

[optimizer.generator]
name = "adam"

[training]
steps = 10
"""


def test_the_recipe_that_the_mistakes_are_made_in_is_fine() -> None:
    resolve(tomllib.loads(FINE))


def names(kind: str) -> str:
    """Stands for the kind's names at the time of the test, since other tests register theirs."""
    return f"<{kind}>"


def filled_in(message: str) -> str:
    return re.sub(r"<(\w+)>", lambda found: listed(register.kind(found[1]).names()), message)


def listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))


MLP = register.discriminator.get("mlp").options

# Each: what is changed in the recipe above, and the whole message.
MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "misspelt option": (
        ("generator.latent_dims=64",),
        "generator.latent_dims: unknown key (did you mean 'latent_dim'?)",
    ),
    "option of another component": (
        ("discriminator.latent_dim=64",),
        "discriminator.latent_dim: unknown key; known here: "
        + listed(["name", "packing", "sees_source", *MLP.model_fields]),
    ),
    "misspelt table": (
        ("penaltys=[]",),
        "penaltys: unknown key (did you mean 'penalties'?)",
    ),
    "misspelt key of the framework in a component's table": (
        ("data.preftch=3",),
        "data.preftch: unknown key (did you mean 'prefetch'?)",
    ),
    "misspelt name": (
        ("generator=dcgn",),
        f"generator.name: no generator is called 'dcgn' (did you mean 'dcgan'?); known: {names('generator')}",
    ),
    "a name of another kind": (
        ("objective=adam",),
        f"objective.name: no objective is called 'adam'; known: {names('objective')}",
    ),
    "no name": (
        ("objective={real_label=0.9}",),
        f"objective.name: is missing; objectives: {names('objective')}",
    ),
    "a number for a name": (
        ("generator.name=3",),
        f"generator.name: must be a string; generators: {names('generator')}",
    ),
    "a number for a component": (
        ("generator=3",),
        "generator: must be a table with a 'name', or the name of a generator",
    ),
    "a number in quotes": (
        ('optimizer.generator.lr="2e-4"',),
        'optimizer.generator.lr: must be a number, not the string "2e-4"',
    ),
    "a truth value for a number": (
        ("optimizer.generator.lr=true",),
        "optimizer.generator.lr: must be a number, not true",
    ),
    "a fraction for a count": (
        ("training.batch_size=64.0",),
        "training.batch_size: must be a whole number, not 64.0",
    ),
    "a count of nothing": (
        ("training.steps=0",),
        "training.steps: must be at least 1, not 0",
    ),
    "a value beyond its bounds": (
        ("objective=bce", "objective.real_label=1.5"),
        "objective.real_label: must be at most 1, not 1.5",
    ),
    "a bad member of a list": (
        ("optimizer.generator.betas=[0.5, 1]",),
        "optimizer.generator.betas.1: must be less than 1, not 1",
    ),
    "a list that is too short": (
        ("optimizer.generator.betas=[0.5]",),
        "optimizer.generator.betas.1: is missing; the list is too short",
    ),
    "a list that is too long": (
        ("optimizer.generator.betas=[0.5, 0.9, 0.9]",),
        "optimizer.generator.betas: must have at most 2 values, not 3",
    ),
    "a misspelt choice": (
        ("generator.norm=btach",),
        "generator.norm: must be one of 'batch', 'sync', 'none', 'spectral', not the string \"btach\" "
        "(did you mean 'batch'?)",
    ),
    "a choice that there is not": (
        ("training.precision=fp8",),
        "training.precision: must be one of 'auto', 'no', 'bf16', 'fp16', not the string \"fp8\"",
    ),
    "one penalty without its brackets": (
        ("penalties=r1",),
        'penalties: must be a list, not the string "r1"; write ["r1"]',
    ),
    "single brackets around a table of a list": (
        ('penalties={name="r1"}',),
        'penalties: must be a list, not a table {"name": "r1"}; write [[penalties]] in place of [penalties]',
    ),
    "a misspelt option of one of several": (
        ('penalties=["r1", {name="r1", gama=1}]',),
        "penalties.1.gama: unknown key (did you mean 'gamma'?)",
    ),
    "a metric that there is not": (
        ('evaluation.metrics=["fdi"]',),
        f"evaluation.metrics.0.name: no metric is called 'fdi' (did you mean 'fid'?); known: {names('metric')}",
    ),
    "one optimizer for both players": (
        ("optimizer=adam",),
        'optimizer: must be a table with the keys generator, discriminator, not the string "adam"',
    ),
    "a number for a table": (
        ("samples=100",),
        "samples: must be a table with the keys every, num, not 100",
    ),
    "a name that is not a folder": (
        ('name="my/run"',),
        "name: must be letters, digits, '.', '_' and '-', as it names the run folder, not the string \"my/run\"",
    ),
    "a number that is not finite": (
        ("training.ema=inf",),
        "training.ema: inf is not a finite number",
    ),
    "a date": (
        ("data.cache_dir=[2024-01-01]",),
        "data.cache_dir.0: a date has no place in a recipe; write it as a string",
    ),
    "micro-batches that do not divide": (
        ("training.batch_size=64", "training.discriminator_micro_batches=3"),
        "training.batch_size: 64 does not divide by 3 micro-batches; use 63 or 66",
    ),
    "graphs of fakes of two turns": (
        ("performance.cuda_graphs=true", "performance.reuse_fakes=true"),
        "performance.reuse_fakes: a CUDA graph is of one turn, and these fakes are of two; choose one",
    ),
    "shared fakes in pieces": (
        ("performance.reuse_fakes=true", "training.generator_micro_batches=2"),
        "performance.reuse_fakes: works on whole turns; "
        "set training.discriminator_micro_batches and generator_micro_batches to 1",
    ),
    "a best figure without metrics": (
        ("evaluation.best=fid",),
        "evaluation.best: names a figure, but evaluation.metrics is empty; list a metric",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_with_where_what_and_remedy(mistake: str) -> None:
    assignments, message = MISTAKES[mistake]
    with pytest.raises(RecipeError) as error:
        resolve(override(tomllib.loads(FINE), assignments), "r.toml")
    assert str(error.value) == f"r.toml: {filled_in(message)}"


def test_every_problem_of_a_file_is_reported_at_once() -> None:
    table = override(
        tomllib.loads(FINE),
        [
            "generator=dcgn",
            "discriminator.widht=3",
            "training.steps=0",
            "data.flip=1",
            "sampels={}",
            "objective=hinge2",
        ],
    )
    with pytest.raises(RecipeError) as error:
        resolve(table, "r.toml")
    assert sorted(problem.path for problem in error.value.problems) == [
        "data.flip",
        "discriminator.widht",
        "generator.name",
        "objective.name",
        "sampels",
        "training.steps",
    ]
    assert len(str(error.value).splitlines()) == 6
    assert all(line.startswith("r.toml: ") for line in str(error.value).splitlines())


def test_an_unknown_name_makes_no_noise_about_the_options_below_it() -> None:
    table = override(tomllib.loads(FINE), ['generator={name="dcgn", latent_dims=3, width="x"}'])
    with pytest.raises(RecipeError) as error:
        resolve(table)
    assert [problem.path for problem in error.value.problems] == ["generator.name"]


def test_an_empty_file_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    assert message_of(lambda: load(tmp_path / "empty.toml")).splitlines() == [
        f"{tmp_path}/empty.toml: name: is missing; give it a value",
        f"{tmp_path}/empty.toml: data: is missing; add a table [data]",
        f"{tmp_path}/empty.toml: generator: is missing; add a table [generator]",
        f"{tmp_path}/empty.toml: discriminator: is missing; add a table [discriminator]",
        f"{tmp_path}/empty.toml: training: is missing; add a table [training]",
    ]


def message_of(call: Callable[[], Any]) -> str:
    with pytest.raises(RecipeError) as error:
        call()
    return str(error.value)


# --- the file and the command line -----------------------------------------------------------


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert message_of(lambda: load(tmp_path / "no.toml")) == f"{tmp_path}/no.toml: there is no such file"


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    assert message_of(lambda: load(tmp_path)) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_file_that_is_not_toml_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text("name = 'a'\nsteps 3\n")
    assert message_of(lambda: load(file)).startswith(f"{file}: is not TOML: ")
    assert "line 2" in message_of(lambda: load(file))
    file.write_bytes(b"name = '\xff'\n")
    assert message_of(lambda: load(file)).startswith(f"{file}: is not TOML: 'utf-8' codec")


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["training.steps"], "`overrides=...`: 'training.steps' is not of the form path.to.key=value"),
        (["=3"], "`overrides=...`: '=3' is not of the form path.to.key=value"),
        (["a..b=3"], "`overrides=...`: 'a..b=3' is not of the form path.to.key=value"),
        (["training.steps.more=3"], "`overrides=...`: 'training.steps.more=3': training.steps is not a table"),
        (
            ['penalties=["r1"]', "penalties.1.gamma=3"],
            "`overrides=...`: 'penalties.1.gamma=3': penalties is a list of 1; '1' is not in it",
        ),
        (
            ['penalties=["r1"]', "penalties.r1.gamma=3"],
            "`overrides=...`: 'penalties.r1.gamma=3': penalties is a list of 1; 'r1' is not in it",
        ),
    ],
)
def test_an_override_that_goes_nowhere_is_named(assignments: list[str], message: str) -> None:
    assert message_of(lambda: override(tomllib.loads(FINE), assignments)) == message


def test_a_misspelt_override_is_answered_like_a_misspelt_key(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text(FINE)
    text = message_of(lambda: load(file, ["training.setps=5"]))
    assert text == f"{file}: training.setps: unknown key (did you mean 'steps'?)"


def test_a_plugin_that_is_not_there_names_file_and_module() -> None:
    with pytest.raises(PluginError) as error:
        resolve(override(tomllib.loads(FINE), ['plugins=["my_gans.nowhere"]']), "r.toml")
    assert str(error.value) == (
        "r.toml: plugins: 'my_gans.nowhere' cannot be imported: ModuleNotFoundError: No module named 'my_gans'; "
        "is it installed, or is its folder on PYTHONPATH?"
    )


def test_a_problem_without_a_path_is_the_sentence_alone() -> None:
    assert str(Problem("", "there is no such file")) == "there is no such file"
    assert str(Problem("a.b", "is missing")) == "a.b: is missing"
