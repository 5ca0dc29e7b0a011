"""A share of the fuzzers; by themselves they take thousands."""

from pathlib import Path

import pytest
from fuzz_recipes import PRETENDED, fuzz
from odd_run_folders import COMMANDS, attack, recipe_for, train

from ganforge.building import networks


def test_a_mutated_recipe_is_refused_in_words_or_can_be_trained(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(networks, "machine_memory", lambda: PRETENDED)
    monkeypatch.chdir(tmp_path)
    seen = fuzz(1, 150, tmp_path)
    assert seen["failed"] == 0
    assert min(seen["refused"], seen["trainable"]) >= 20, "most of them test nothing"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    recipe = recipe_for(tmp_path_factory.mktemp("base"), steps=20)
    assert train(recipe) == 0
    return recipe.folder


@pytest.mark.parametrize("command", COMMANDS)
def test_an_odd_run_folder_is_shown_or_refused_in_a_line(command: str, run_folder: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    seen = attack(command, 1, 12 if command == "resume" else 40, run_folder, tmp_path)
    assert seen["failed"] == 0
    assert seen["fine"] > 0, "nothing was shown at all"
