"""Parse, merge, resolve, dump: a recipe says everything, and says it again the same way."""

import itertools
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ganforge.errors import RecipeError
from ganforge.loader_options import LoaderOptions
from ganforge.recipe import Recipe, difference, dump, dump_for_people, load, override, parse, resolve
from ganforge.registry import register

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.toml"))
SMALLEST: dict[str, Any] = {
    "name": "small",
    "data": "ring",
    "generator": "mlp",
    "discriminator": "mlp",
    "training": {"steps": 10},
}


def small(*overrides: str) -> Recipe:
    return resolve(override(SMALLEST, overrides))


# --- what comes back -------------------------------------------------------------------------


def test_there_are_recipes_to_test() -> None:
    assert {"digits32", "ring2d"} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_dumped_recipe_loads_as_the_same(path: Path, tmp_path: Path) -> None:
    recipe = load(path)
    (tmp_path / "again.toml").write_text(dump(recipe), encoding="utf-8")
    again = load(tmp_path / "again.toml")
    assert again == recipe
    assert dump(again) == dump(recipe)
    assert recipe.name == path.stem, "the run folder is found under the file's name"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_what_is_printed_for_people_loads_as_the_same(path: Path, tmp_path: Path) -> None:
    recipe = load(path)
    printed = tmp_path / "printed.toml"
    printed.write_text(dump_for_people(recipe))
    assert load(printed) == recipe
    assert "not set" not in dump(recipe), "what is stored and compared has no comments"


def test_an_unset_option_of_a_table_in_one_line_is_left_out() -> None:
    def tilt(*, angle: float | None = None) -> None: ...

    register.augment.add("tilt", tilt)
    try:
        recipe = small('augment=["tilt"]')
        text = dump_for_people(recipe)
        assert '    { name = "tilt" },' in text
        assert resolve(tomllib.loads(text)) == recipe
    finally:
        register.augment._components.pop("tilt")


def test_a_dumped_recipe_has_every_default_and_no_short_form() -> None:
    tables = tomllib.loads(dump(small()))
    assert tables["optimizer"]["generator"] == {
        "name": "adam",
        "lr": 2e-4,
        "betas": [0.5, 0.999],
        "eps": 1e-8,
        "weight_decay": 0.0,
        "amsgrad": False,
        "warmup": 0,
        "decay": "none",
        "constant": 0.0,
        "clip_norm": 0.0,
        "clip_value": 0.0,
        "clip_weights": 0.0,
    }
    assert tables["objective"] == {"name": "bce", "real_label": 1.0, "fake_label": 0.0, "flip": 0.0}
    not_unset = {name for name, field in LoaderOptions.model_fields.items() if field.default is not None}
    assert not_unset < set(tables["data"])
    assert set(tables["training"]) == set(type(small().training).model_fields)


def test_the_name_comes_first_in_every_dumped_table() -> None:
    tables = tomllib.loads(dump(small('penalties=["r1"]', 'evaluation.metrics=["modes"]')))
    places = (tables, tables["data"], tables["optimizer"]["generator"], *tables["penalties"], tables["objective"])
    assert [next(iter(table)) for table in places] == ["name"] * 5


def test_tables_that_switch_something_on_stay_on_and_absent_ones_off() -> None:
    on = small("tracking.wandb={}", "tracking.tensorboard={}")
    again = resolve(tomllib.loads(dump(on)))
    assert again.tracking.wandb is not None
    assert again.tracking.tensorboard is not None
    assert again == on != small()
    assert resolve(tomllib.loads(dump(small()))).tracking.wandb is None


def test_any_combination_of_settings_comes_back() -> None:
    """Two hundred recipes drawn from a fixed seed, each through TOML and back."""
    draw = random.Random(2014)
    choices: dict[str, list[str]] = {
        "seed": ["0", "7", str(2**53 + 1)],
        "output": ['"runs"', '"ä b/\\"c\\""', r'"C:\\runs"'],
        "data": ['"grid"', '{name="ring", sigma=1e-30, flip=true}', '{name="shards", path="a\\nb"}'],
        "generator": ['"mlp"', '{name="mlp", width=1}', '{name="dcgan", latent_dim=1, norm="none"}'],
        "penalties": ["[]", '["r1"]', '["r1", {name="r1", gamma=1, weight=-0.5, interval=16}]'],
        "augment": ["[]", '["instance_noise"]', '[{name="instance_noise", sigma=0}]'],
        "evaluation": ["{}", '{metrics=["modes", "fid"], extractor="digits-cnn", best="fid"}', '{metrics=["modes"]}'],
        "tracking": ["{}", '{wandb={tags=["a", "b"], group="g"}}', "{tensorboard={}}"],
        "training.ema": ["0", "1", "1e300", "0.1"],
        "optimizer.generator": ['"sgd"', '{name="adam", betas=[0, 0.9]}', '{name="rmsprop", lr=1, decay="cosine"}'],
    }
    for _ in range(200):
        chosen = [f"{key}={draw.choice(values)}" for key, values in choices.items() if draw.random() < 0.6]
        recipe = small(*chosen)
        assert resolve(tomllib.loads(dump(recipe))) == recipe, chosen


def test_recipes_compare_by_content() -> None:
    assert small() == small()
    assert small() != small("seed=1")
    assert small() != "small"


# --- defaults and short forms ----------------------------------------------------------------


def test_objective_and_optimizers_may_be_left_out() -> None:
    recipe = small()
    assert recipe.objective.name == "bce"
    assert recipe.optimizer.generator.name == recipe.optimizer.discriminator.name == "adam"


def test_naming_one_optimizer_leaves_the_other_at_its_default() -> None:
    recipe = small('optimizer.generator={name="sgd", lr=0.5}')
    assert (recipe.optimizer.generator.name, recipe.optimizer.discriminator.name) == ("sgd", "adam")


def test_a_name_stands_for_a_table_with_that_name_everywhere() -> None:
    short = small(
        "generator=dcgan", "objective=minimax", 'penalties=["r1"]', 'augment=["instance_noise"]',
        "optimizer.generator=sgd", 'evaluation.metrics=["fid"]', "evaluation.extractor=digits-cnn",
    )  # fmt: skip
    long = small(
        'generator={name="dcgan"}', 'objective={name="minimax"}', 'penalties=[{name="r1"}]',
        'augment=[{name="instance_noise"}]', 'optimizer.generator={name="sgd"}',
        'evaluation.metrics=[{name="fid"}]', 'evaluation.extractor={name="digits-cnn"}',
    )  # fmt: skip
    assert short == long


def test_resolving_leaves_the_tables_it_was_given_alone() -> None:
    tables = override(SMALLEST, ["optimizer.generator=sgd", 'evaluation.metrics=["modes"]'])
    before = repr((SMALLEST, tables))
    resolve(tables)
    small("generator.width=3", "training.steps=1")
    assert repr((SMALLEST, tables)) == before


def test_folders_follow_output_name_and_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert small("output=out").folder == Path("out/small")
    assert small().cache_dir == Path("/somewhere/ganforge")
    assert small("data.cache_dir=~/c").cache_dir == Path.home() / "c"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert small().cache_dir == Path.home() / ".cache" / "ganforge"


def test_loader_options_of_the_data_table_reach_the_loader() -> None:
    loader = small("data.flip=true", "data.prefetch=5").loader
    assert loader == LoaderOptions(flip=True, prefetch=5)


# --- --set -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("a.b.c=1", {"a": {"b": {"c": 1}}}),
        ("a = 1e-3 ", {"a": 1e-3}),
        ("a=[1, 2.5]", {"a": [1, 2.5]}),
        ("a=true", {"a": True}),
        ("a=True", {"a": "True"}),
        ("a={x=1}", {"a": {"x": 1}}),
        ('a="quoted = yes"', {"a": "quoted = yes"}),
        ("a=plain words", {"a": "plain words"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=", {"a": ""}),
        ("a=1\nb = 2", {"a": "1\nb = 2"}),
    ],
)
def test_a_value_of_set_is_toml_or_else_a_string(assignment: str, expected: dict[str, Any]) -> None:
    assert override({}, [assignment]) == expected


@pytest.mark.parametrize("text", ["nan", "inf", "2024-01-01", "12:30:00"])
def test_set_takes_for_a_string_what_no_option_can_be(text: str) -> None:
    assert small(f"output={text}").output == text


def test_a_number_where_a_string_belongs_is_told_how_to_be_quoted() -> None:
    with pytest.raises(RecipeError, match=r"""write "2024", or `overrides=\['name="2024"'\]`"""):
        small("name=2024")
    assert small('name="2024"').name == "2024"


def test_set_reaches_into_lists_and_short_forms() -> None:
    recipe = small("objective=bce", "objective.real_label=0.9", 'penalties=["r1", "r1"]', "penalties.1.gamma=3")
    assert recipe.objective.real_label == 0.9  # type: ignore[attr-defined]
    assert [penalty.gamma for penalty in recipe.penalties] == [10.0, 3.0]  # type: ignore[attr-defined]


def test_the_last_of_two_overrides_of_a_key_counts() -> None:
    assert small("seed=1", "seed=2").seed == 2


def test_an_override_changes_that_key_alone() -> None:
    for key, value in {"seed": "5", "generator.width": "5", "training.steps": "5", "data.sigma": "5.0"}.items():
        changed = difference(small().to_dict(), small(f"{key}={value}").to_dict())
        assert list(changed) == [key]


# --- difference ------------------------------------------------------------------------------


def test_difference_names_changed_added_and_removed_keys_by_path() -> None:
    old = small('penalties=[{name="r1", gamma=1}]', "evaluation.best=modes", 'evaluation.metrics=["modes"]')
    new = small('penalties=[{name="r1", gamma=2}]', 'evaluation.metrics=["modes"]', "data.cache_dir=x", "seed=3")
    assert difference(old.to_dict(), new.to_dict()) == {
        "penalties.0.gamma": (1.0, 2.0),
        "evaluation.best": ("modes", None),
        "data.cache_dir": (None, "x"),
        "seed": (0, 3),
    }


def test_difference_of_a_recipe_with_itself_is_empty() -> None:
    for path in RECIPES:
        assert difference(load(path).to_dict(), load(path).to_dict()) == {}


# --- what only several keys together can know ------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "pieces"), [pair for pair in itertools.product((1, 12, 64), (1, 2, 5, 64)) if pair[0] % pair[1]]
)
def test_micro_batches_that_do_not_divide_the_batch_are_refused(batch: int, pieces: int) -> None:
    with pytest.raises(RecipeError) as error:
        small(f"training.batch_size={batch}", f"training.generator_micro_batches={pieces}")
    assert str(error.value) == (
        f"recipe: training.batch_size: {batch} does not divide by {pieces} micro-batches; use "
        + (f"{batch // pieces * pieces} or {batch // pieces * pieces + pieces}" if batch > pieces else f"{pieces}")
    )


def test_resolving_makes_no_component(monkeypatch: pytest.MonkeyPatch) -> None:
    from ganforge.models.mlp import MLPGenerator

    def refuse(self: object, *args: object, **kwargs: object) -> None:
        raise AssertionError("built while resolving")

    monkeypatch.setattr(MLPGenerator, "__init__", refuse)
    assert small().generator.name == "mlp"


def test_parse_is_plain_toml(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('name = "ä"\n[a.b]\nc = 1\n', encoding="utf-8")
    assert parse(tmp_path / "r.toml") == {"name": "ä", "a": {"b": {"c": 1}}}


@pytest.mark.parametrize(
    ("ramp", "said"),
    [
        ({"option": "objective.real_labels"}, "did you mean 'objective.real_label'"),
        ({"option": "generator.name"}, "only numbers can move"),
        ({"option": "objective.real_label", "shape": "exponential"}, "start and end must be above 0"),
        ({"option": "objective.flip"}, "ramps.0.end: 'objective.flip' cannot be 1"),
        ({"option": "training.batch_size"}, "ramps.0.start: 'training.batch_size' cannot be 0"),
    ],
)
def test_a_ramp_of_nothing_that_can_move_is_refused_with_its_place(ramp, said) -> None:
    with pytest.raises(RecipeError, match=said):
        resolve({**SMALLEST, "ramps": [{"start": 0.0, "end": 1.0, "over": 100, **ramp}]})


def test_an_entry_of_a_list_can_move() -> None:
    ramp = {"option": "optimizer.generator.betas.1", "start": 0.9, "end": 0.99, "over": 100}
    assert resolve({**SMALLEST, "ramps": [ramp]}).ramps[0].option == "optimizer.generator.betas.1"


def test_two_ramps_of_one_option_are_refused() -> None:
    ramp = {"option": "objective.real_label", "start": 0.9, "end": 1.0, "over": 100}
    with pytest.raises(RecipeError, match=r"ramps.1.option: 'objective.real_label' has a ramp already"):
        resolve({**SMALLEST, "ramps": [ramp, ramp]})


def test_a_learning_rate_may_fall_to_nothing() -> None:
    ramp = {"option": "optimizer.generator.lr", "start": 1e-3, "end": 0.0, "over": 100}
    assert resolve({**SMALLEST, "ramps": [ramp]}).ramps
