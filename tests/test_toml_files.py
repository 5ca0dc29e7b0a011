"""Recipes as editors, other systems and damage leave them."""

from pathlib import Path

import pytest

from ganforge.errors import RecipeError
from ganforge.recipe import load, load_saved, override

FINE = 'name = "fine"\ndata = "ring"\ngenerator = "mlp"\ndiscriminator = "mlp"\n[training]\nsteps = 10\n# é\n'


def message(path: Path, overrides: tuple[str, ...] = ()) -> str:
    with pytest.raises(RecipeError) as caught:
        load(path, overrides)
    said = str(caught.value)
    assert len(said.splitlines()) == 1, said
    assert len(said) < 1500
    return said.removeprefix(f"{path}: ")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(FINE, encoding="utf-8-sig")
    assert load(path).name == "fine"


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-16", "is written in UTF-16; save it as UTF-8"),
        ("utf-16-le", "is written in UTF-16 or UTF-32, or is not text; save it as UTF-8"),
        ("utf-16-be", "is written in UTF-16 or UTF-32, or is not text; save it as UTF-8"),
        ("utf-32", "is written in UTF-32; save it as UTF-8"),
        ("latin-1", "can't decode byte 0xe9 in position 92: invalid continuation byte (line 7; it may be Windows-1252"),
        ("cp1252", "save it as UTF-8"),
    ],
)
def test_another_encoding_is_named_with_the_remedy(tmp_path: Path, encoding: str, said: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(FINE, encoding=encoding)
    assert said in message(path)


ODD = {
    "nested": (
        'generator = { name = "mlp", width = ' + "[" * 500 + "]" * 500 + " }",
        "has more than 32 tables or lists",
    ),
    "nested a little less": ("a = " + "[" * 40 + "]" * 40, "has more than 32 tables or lists"),
    "tables of tables": ("[" + ".".join("a" * 500) + "]", "has more than 32 tables or lists"),
    "digits": (f"seed = {'9' * 5000}", "a number has more digits than 64 bits hold"),
    "more than 64 bits": (f"seed = {2**63}", "seed: is a number that 64 bits do not hold"),
    "no whole number": ("seed = 1e30", "seed: must be a whole number, not 1e+30"),
    "zero in a path": (r'output = "a\u0000b"', "output: holds a character of code 0"),
    "a name too long": (f'name = "{"x" * 300}"', "name: must be at most 200 characters, not 300"),
    "a key too long": (f"{'x' * 5000} = 1", " ... "),
    "a ramp on a ramp": (
        'ramps = [{ option = "ramps.0.start", start = 1.0, end = 2.0, over = 9 }]',
        "ramps.0.option: 'ramps.0.start' is of a ramp itself; name the option of a part",
    ),
}


@pytest.mark.parametrize(("line", "said"), ODD.values(), ids=ODD)
def test_what_is_odd_in_a_recipe_is_said_in_a_line(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "recipe.toml"
    key = line.split(" ", 1)[0]
    path.write_text(
        "".join(f"{kept}\n" for kept in [line, *FINE.splitlines()] if kept is line or not kept.startswith(key))
    )
    if line.startswith("["):
        path.write_text(FINE + line)
    assert said in message(path)


@pytest.mark.parametrize(
    "value", ["9" * 5000, "[" * 5000, "1e30", str(2**63)], ids=["digits", "nested", "float", "65 bits"]
)
def test_an_odd_value_on_the_command_line_is_said_in_a_line(tmp_path: Path, value: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(FINE)
    assert "seed: " in message(path, (f"seed={value}",))


def test_a_path_of_a_thousand_keys_is_no_assignment() -> None:
    with pytest.raises(RecipeError, match="is not of the form"):
        override({}, [f"{'a.' * 1000}b=1"])


@pytest.mark.parametrize("variables", ["3", '{ output = "$HOME" }', '{ "data.path" = "$HOME", "a.b" = "$X" }', "[]"])
def test_a_table_of_variables_that_somebody_wrote_is_no_traceback(tmp_path: Path, variables: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f"variables = {variables}\n{FINE}")
    assert load_saved(path).name == "fine"


def test_a_file_without_an_end_is_not_read_to_its_end() -> None:
    assert "is larger than 4 MB" in message(Path("/dev/zero"))
