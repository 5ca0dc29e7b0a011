"""Components by name without a recipe: `register.<kind>.make`, with a recipe's checks and a recipe's words."""

from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
from pydantic import Field
from torch import nn

from ganforge.component_tables import PenaltyTable
from ganforge.errors import RecipeError, RegistryError
from ganforge.kind import Kind
from ganforge.recipe import resolve
from ganforge.registry import register
from ganforge.spec import DataSpec

PICTURES = DataSpec((1, 16, 16))


def recipe_with(**generator: Any) -> dict[str, Any]:
    return {
        "name": "same",
        "data": {"name": "digits"},
        "generator": {"name": "dcgan", **generator},
        "discriminator": {"name": "dcgan"},
        "training": {"steps": 1},
    }


def test_a_generator_is_made_of_its_name_what_it_is_offered_and_its_options() -> None:
    generator = register.generator.make("dcgan", PICTURES, latent_dim=8, width=4)
    assert generator(torch.randn(2, 8)).shape == (2, 1, 16, 16)


@pytest.mark.parametrize(
    "wrong", [{"latent_dims": 8}, {"latent_dim": "many"}, {"latent_dim": 0}, {"width": 1.5}, {"latent_dim": None}]
)
def test_a_wrong_option_is_told_in_the_words_of_a_recipe(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as made:
        register.generator.make("dcgan", PICTURES, **wrong)
    with pytest.raises(RecipeError) as resolved:
        resolve(recipe_with(**wrong))
    words = [problem.message for problem in resolved.value.problems]
    assert [problem.message for problem in made.value.problems] == words
    assert str(made.value).startswith(f"generator 'dcgan': {next(iter(wrong))}: ")


def test_what_the_component_itself_refuses_is_one_line_with_its_name() -> None:
    with pytest.raises(RecipeError, match=r"^generator 'dcgan': dcgan makes pictures and these samples are points"):
        register.generator.make("dcgan", DataSpec((2,)))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(RegistryError, match=r"did you mean 'dcgan'\?"):
        register.generator.make("dcgn", PICTURES)


def test_what_is_offered_may_be_given_by_name_and_is_asked_for_if_it_is_missing() -> None:
    assert isinstance(register.discriminator.make("mlp", spec=PICTURES), nn.Module)
    with pytest.raises(RegistryError, match=r"^discriminator 'mlp': also needs spec"):
        register.discriminator.make("mlp")
    with pytest.raises(RegistryError, match="got 1 by position, but an objective takes nothing by position"):
        register.objective.make("bce", PICTURES)


def test_python_s_tuples_paths_and_none_stand_for_what_a_recipe_writes(tmp_path: Path) -> None:
    weights = nn.Linear(1, 1).parameters()
    optimizer = register.optimizer.make("adam", weights, betas=(0.0, 0.9))
    assert optimizer.defaults["betas"] == (0.0, 0.9)
    digits = register.dataset.make("digits", tmp_path, size=8, limit=None)
    assert len(digits) == 1797
    with pytest.raises(RecipeError, match=r"^penalty 'r1': gamma: must be a number, not the string"):
        register.penalty.make("r1", gamma=tmp_path)


def test_a_dataset_is_cached_in_the_user_s_folder_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    register.dataset.make("digits", size=8)
    register.dataset.make("digits", str(tmp_path / "named"), size=8)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["named", "user"]
    assert (tmp_path / "user" / "ganforge").is_dir()


def test_build_refuses_a_plain_dict_and_says_what_does_both() -> None:
    component = register.generator.get("dcgan")
    with pytest.raises(RegistryError) as error:
        component.build({"latent_dim": 8}, spec=PICTURES)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert str(error.value) == (
        "generator 'dcgan': build takes options from `check`, not a dict; "
        "register.generator.make('dcgan', ...) does both"
    )
    assert component.build(component.check({"latent_dim": 8}), spec=PICTURES).latent_dim == 8


def test_a_kind_s_own_keys_are_those_of_its_table() -> None:
    kind = Kind("thing", table=PenaltyTable)
    assert set(kind.reserved) == {"name", "weight", "interval"}

    def thing(*, interval: Annotated[int, Field(ge=1)] = 1) -> None: ...

    with pytest.raises(RegistryError, match="'interval' belongs to the framework"):
        kind("mine")(thing)
