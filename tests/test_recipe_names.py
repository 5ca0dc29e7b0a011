"""Recipes come along: by name, from any folder, and in the wheel."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganforge.errors import RecipeError
from ganforge.evaluation.reals import find_reals
from ganforge.recipe import load
from ganforge.recipe_names import find, recipes, summaries

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
BUILD = """
import sys
from hatchling.builders.wheel import WheelBuilder
print(*WheelBuilder(sys.argv[1]).build(directory=sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that holds no recipe."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_found_by_its_name_from_any_folder(path: Path) -> None:
    assert find(path.stem) == path
    assert load(path.stem) == load(path)


def test_the_wheel_holds_every_recipe_as_it_is_and_finds_it_there(elsewhere: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BUILD, ROOT, elsewhere], capture_output=True, text=True, check=True)
    with zipfile.ZipFile(done.stdout.strip()) as wheel:
        inside = [name for name in wheel.namelist() if name.startswith("ganforge/recipes/")]
        assert sorted(inside) == sorted(f"ganforge/recipes/{path.name}" for path in RECIPES)
        assert all(wheel.read(f"ganforge/recipes/{path.name}") == path.read_bytes() for path in RECIPES)
        assert "ganforge/py.typed" in wheel.namelist()
        wheel.extractall(elsewhere / "site")
    code = "import ganforge.recipe_names as names; print(names.find('ring2d'))"
    found = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(elsewhere / "site")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == str(elsewhere / "site" / "ganforge" / "recipes" / "ring2d.toml")


def test_train_by_name_leaves_its_run_in_the_working_directory_and_resumes_it(elsewhere: Path) -> None:
    (elsewhere / "ring2d").mkdir()  # a folder is not a recipe
    short = ["--set", "training.steps=2", "--set", "samples.num=4", "--set", "evaluation.num_fakes=50"]
    for how in ("never", "must"):
        subprocess.run(
            [sys.executable, "-m", "ganforge", "train", "ring2d", "--resume", how, *short],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True,
        )  # fmt: skip
    assert (elsewhere / "runs" / "ring2d" / "generator.last.safetensors").is_file()


def test_every_command_that_takes_a_recipe_takes_a_name(ganforge: Callable[..., Any], elsewhere: Path) -> None:
    assert ganforge("recipe", "check", "digits32", "celeba64").out == "digits32: fine\nceleba64: fine\n"
    assert 'name = "digits32"' in ganforge("recipe", "resolve", "digits32").out
    assert ganforge("train", "ring2d", "--dry-run").code == 0
    assert ganforge("slurm", "ring2d", "--gpus-per-node", "0", "--no-submit").code == 0
    submitted = elsewhere / "runs" / "ring2d" / "slurm" / "recipe.toml"
    assert submitted.read_text() == recipes()["ring2d"].read_text()
    assert "digits32: 1,797 samples" in ganforge("bench", "data", "digits32", "--seconds", "0.1").out
    assert find_reals("digits32") == load("digits32").to_dict()["data"]
    sweep = ganforge("sweep", "digitz32", "--grid", "seed=0,1")
    assert (sweep.code, "did you mean 'digits32'?" in sweep.err) == (2, True)


def test_an_unknown_name_brings_the_nearest_and_how_to_see_all(ganforge: Callable[..., Any]) -> None:
    done = ganforge("train", "digitz32")
    assert (done.code, done.err) == (
        2,
        "ganforge: digitz32: there is no such file, and no recipe of that name (did you mean 'digits32'?); "
        "`ganforge recipe list` names all\n",
    )


@pytest.mark.parametrize("path", ["celeba64.toml", "recipes/celeba64.toml"])
def test_a_file_that_is_not_here_but_came_along_is_told_by_its_name(path: str) -> None:
    with pytest.raises(RecipeError, match=r"there is no such file; the recipe that comes .* celeba64, without \.toml$"):
        load(path)


def test_a_file_of_exactly_that_name_is_what_is_meant(elsewhere: Path) -> None:
    (elsewhere / "ring2d").write_text(recipes()["digits32"].read_text())
    assert load("ring2d").name == "digits32"


def test_a_recipe_here_and_one_that_came_along_are_not_mixed_up(ganforge: Callable[..., Any], elsewhere: Path) -> None:
    (elsewhere / "ring2d.toml").write_text('plugins = ["planted"]\n')
    done = ganforge("train", "ring2d", "--dry-run")
    assert (done.code, done.err) == (
        2,
        "ganforge: ring2d: may be ring2d.toml of this folder or the recipe that comes with ganforge; "
        "write ring2d.toml, or rename it\n",
    )


def test_in_the_folder_of_the_recipes_a_name_means_the_file_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "recipes")
    assert load("ring2d").name == "ring2d"


@pytest.mark.parametrize("arguments", [("recipe", "list"), ("list", "recipe"), ("list", "recipe", "--markdown")])
def test_the_list_says_of_each_what_it_is(ganforge: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    lines = ganforge(*arguments).out.splitlines()
    for name, what in summaries().items():
        assert 12 < len(what) < 200
        assert any(name in line.replace("`", "").split() and what[:60] in line for line in lines), name


def test_the_list_of_everything_names_the_recipes(ganforge: Callable[..., Any]) -> None:
    assert all(name in ganforge("list").out.replace("\n", " ") for name in ("digits32", "ffhq256-stylegan2"))
