"""Messages name arguments as a Python program passes them; the command line shows its own options in their place."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState
from typer.main import get_group

import ganforge as package
from ganforge.arguments import argument, overriding
from ganforge.cli.flags import named, options_of, with_flags
from ganforge.cli.main import app

FILES = [
    file
    for file in sorted(Path(package.__file__).parent.rglob("*.py"))
    if not {"cli", "cluster", "testing"} & set(file.parts) and file.name != "redaction.py"
]
WHOLE_COMMAND = re.compile(r"(^|`)(\w+=\w+ )?(accelerate|ganforge|hf|tar|wandb) [^`]*")
FLAG = re.compile(r"(?<![\w!-])--[a-z]")


def is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Strings of the code with their lines, f-strings in one piece; without what stands by itself: docstrings."""
    for child in ast.iter_child_nodes(node):
        if is_docstring(child):
            continue
        if isinstance(child, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "x" for part in child.values]
            yield child.lineno, "".join(parts)
            values = [part.value for part in child.values if isinstance(part, ast.FormattedValue)]
            yield from (found for value in values for found in texts(ast.Expression(value)))
        elif isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.lineno, child.value
        else:
            yield from texts(child)


def flags_in(source: str) -> list[str]:
    """Lines that name an option of the command line, unless in a whole command to type."""
    found = [(line, WHOLE_COMMAND.sub("", text)) for line, text in texts(ast.parse(source))]
    return [f"{line}: {text}" for line, text in found if FLAG.search(text)]


def test_no_message_outside_of_the_command_line_names_its_options() -> None:
    named_there = {str(file): flags for file in FILES if (flags := flags_in(file.read_text()))}
    assert not named_there, "write ganforge.arguments.argument(...) or a whole command in backticks"


def test_an_option_in_a_message_is_found_and_a_whole_command_is_none() -> None:
    assert len(flags_in('raise E("say --restart")')) == 1
    assert len(flags_in('raise E(f"{path}: --{how} is wrong")')) == 1
    assert len(flags_in('raise E(f"{path}: " + f("a --b"))')) == 1
    assert not flags_in('"""As `--set`."""\nraise E("`ganforge data pack --size` and `tar --sparse` -- or so")')


def arguments_named() -> set[str]:
    """What `argument(...)` is called with anywhere in the package."""
    calls = [
        node
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "argument"
    ]
    return {str(call.args[0].value) for call in calls if isinstance(call.args[0], ast.Constant)}


def commands(group: Any) -> Iterator[Any]:
    yield group
    for command in getattr(group, "commands", {}).values():
        yield from commands(command)


def test_every_argument_in_a_message_is_an_option_of_the_command_line() -> None:
    known = {option.name for command in commands(get_group(app)) for option in options_of(command)}
    assert {"restart", "class_name", "labels"} <= arguments_named() <= known


def test_every_command_that_opens_a_generator_takes_trust() -> None:
    taking = {command.name for command in commands(get_group(app)) if "trust" in {o.name for o in options_of(command)}}
    assert {"sample", "interpolate", "directions", "mix", "neighbours", "export", "evaluate", "project"} <= taking


def test_every_argument_of_training_in_a_message_can_be_passed_from_python() -> None:
    of_training = {"restart", "allow_changed", "init_from", "init_what_fits", "overrides"}
    assert of_training <= arguments_named() & set(inspect.signature(package.train).parameters)


@pytest.mark.parametrize(
    ("words", "said", "typed"),
    [
        ("train", argument("restart", True), "--restart"),
        ("train", overriding("name=..."), "--set name=..."),
        ("train", overriding('name="2024"'), """--set 'name="2024"'"""),
        ("train", argument("overrides"), "--set"),
        ("data pack", argument("labels", False), "--no-labels"),
        ("data pack", argument("values", "0,1"), "--range 0,1"),
        ("sample", argument("averaged", False), "--no-ema"),
        ("sample", argument("num", 3), "--n 3"),
        ("evaluate", argument("num", 3), "--num 3"),
        ("evolve", argument("indices", [9]), "--index 9"),
        ("inpaint", argument("mask", Path("it's.png")), """--mask 'it'"'"'s.png'"""),
        ("export", argument("license_name", "a`b=c"), "--license 'a`b=c'"),
        ("doctor", argument("trust", True), "--trust"),
        ("train", "`channels=3` and `training.steps = 5`", "--channels 3 and `training.steps = 5`"),
        ("train", "`no_option=3`, `x` = 5", "`no_option=3`, `x` = 5"),
    ],
)
def test_an_argument_is_shown_as_the_option_of_the_command(words: str, said: str, typed: str) -> None:
    group = get_group(app)
    assert with_flags(f"a: {said}; b", named(group, [*words.split(), "x"]), group) == f"a: {typed}; b"


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("fresh_accelerate")
def test_a_refused_restart_says_what_its_reader_can_write(ganforge: Callable[..., Any], tmp_path: Path) -> None:
    keys = [f"output={tmp_path}", "training.steps=2", "training.batch_size=4", "name=twice", "samples.every=0"]
    recipe = Path(__file__).parents[1] / "recipes" / "ring2d.toml"
    package.train(recipe, keys)
    with pytest.raises(package.errors.GanforgeError, match=r"say `restart=True`; .*`overrides=\['name=\.\.\.'\]`"):
        package.train(recipe, keys, resume="never")
    said = ganforge("train", recipe, *(word for key in keys for word in ("--set", key)), "--resume", "never")
    assert said.code == 2
    assert "say --restart; or choose another folder with --set name=... or --set output=..." in said.err
    assert package.train(recipe, keys, restart=True).step == 2
    assert (tmp_path / "twice" / ".old-1").is_dir()
