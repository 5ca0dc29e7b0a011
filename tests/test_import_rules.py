"""Every import runs down: no files import each other in a circle, and no room imports one that stands above it.

Annotations count, and so does what stands under `TYPE_CHECKING` or inside a function: a reader follows those as well.
"""

import ast
import itertools
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import ganforge

PACKAGE = Path(ganforge.__file__).parent

ROOMS = (
    "arguments", "division", "files", "grid", "ranks", "redaction", "version", "wording",
    "lookup", "toml_files", "allocation",  # so far nothing of ganforge is imported
    "errors", "trust", "jsonlines", "run_files",
    "spec", "nested", "option_docs", "option_problems", "options", "doctor", "loader_options",
    "variables", "declarations", "component", "component_tables", "kind", "registry",
    "data", "augment", "degradations", "models", "optimizers",  # parts that know no game and no recipe
    "game",  # what a turn, a player and a loss are
    "objectives", "penalties", "schedules",  # parts written against it
    "saved", "importing",  # what a run leaves on the disk; what other programs left
    "recipe_names", "recipe_data", "watching_tables", "tables",
    "translation_problems", "contradictions", "recipe", "manual",
    "metrics",
    "cluster", "report",
    "parallel",
    "building", "fitting", "new_recipe",
    "telemetry", "run_folder",
    "evaluation", "sampling", "training",
    "dry_run",
    "library",
    "bench", "export", "search", "sweep", "testing",
    "",  # the public names
    "cli",
    "__main__",
)  # fmt: skip
"""From the ground up: a room may import what stands before it in this row, and itself."""

ONLY_THERE = {
    "accelerate": {"building", "evaluation", "game", "metrics", "parallel", "run_folder", "telemetry", "training"},
    "typer": {"cli"},
    "optuna": {"sweep", "cli"},
    "wandb": {"telemetry"},
    "huggingface_hub": {"saved"},
    "onnxruntime": {"export"},
    "av": {"sampling"},
    "pydantic_core": {"option_problems", "jsonlines", "run_files"},
}
"""Libraries that only these rooms know."""

HEAVY = {"torch", "torchvision", "numpy", "PIL", "accelerate", "wandb", "webdataset", "safetensors", "torch_fidelity"}
LIGHT = {
    "", "__main__", "arguments", "cli", "component", "component_tables", "contradictions", "declarations", "division",
    "doctor", "errors", "files",
    "jsonlines", "kind", "loader_options", "lookup", "manual", "nested",
    "option_docs", "option_problems", "options", "recipe", "recipe_data", "recipe_names", "redaction",
    "registry", "run_files", "tables", "toml_files", "translation_problems", "trust", "variables", "version",
    "watching_tables", "wording",
}  # fmt: skip
"""Rooms that `ganforge --help` or a check of recipes imports: nothing heavy at their files' top level."""


@dataclass(frozen=True)
class Import:
    """One import statement's target: `x.y` below ganforge or a library, and whether it runs with the importing file."""

    module: str
    line: int
    at_top: bool


def module_name(path: Path) -> str:
    """Below ganforge: `training.loop`, and the empty name for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(source: str) -> Iterator[Import]:
    """All imports, those inside functions and under `TYPE_CHECKING` too."""

    def walk(node: ast.AST, at_top: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, at_top)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            for alias in node.names:
                yield Import(_target(str(node.module), alias.name), node.lineno, at_top)
        is_deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        )
        for child in ast.iter_child_nodes(node):
            yield from walk(child, at_top and not is_deferred)

    yield from walk(ast.parse(source), True)


def _target(module: str, name: str) -> str:
    """What `from module import name` imports: a submodule, or the module that the name lives in."""
    if module == "ganforge" and name in ganforge._HOMES:
        return ganforge._HOMES[name]
    joined = f"{module}.{name}"
    return joined if joined.removeprefix("ganforge.") in FILES else module


def graph_of(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Which files of ganforge each one imports."""
    return {
        module: {
            target
            for used in imports_of(source)
            if used.module.split(".")[0] == "ganforge"
            and (target := used.module.removeprefix("ganforge").removeprefix(".")) != module
        }
        for module, source in files.items()
    }


def circle_in(files: Mapping[str, str]) -> list[str]:
    """Files that import each other, in their order; empty if there is no circle."""
    try:
        TopologicalSorter(graph_of(files)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def room(module: str) -> str:
    return module.split(".")[0]


def breaches(module: str, source: str) -> list[str]:
    """Every import of a file that goes up, or is of a library that its room is not to know, in words."""
    own = room(module)
    assert own in ROOMS, f"'{own}' has no place among the rooms of this test; decide what it stands on"
    found = []
    for used in imports_of(source):
        top, *below = used.module.split(".")
        where = f"ganforge.{module}:{used.line}"
        if top == "ganforge":
            target = below[0] if below else ""
            if ROOMS.index(target) > ROOMS.index(own):
                found.append(f"{where} imports {used.module}, which stands above it")
        if top in ONLY_THERE and own not in ONLY_THERE[top]:
            found.append(f"{where} imports {top}, which only {', '.join(sorted(ONLY_THERE[top]))} may")
        if top in HEAVY and used.at_top and own in LIGHT:
            found.append(f"{where} imports {top} at its top level, which `ganforge --help` would wait for")
    return found


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circle_in(FILES) == []


@pytest.mark.parametrize("module", FILES)
def test_no_import_runs_upward(module: str) -> None:
    assert breaches(module, FILES[module]) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("game.turn", "from ganforge.game.player import Player"),
        ("game.turn", "if TYPE_CHECKING:\n    from ganforge.game.player import Player"),
        ("game.turn", "def f():\n    from ganforge.game import player"),
        ("recipe", "import ganforge.manual"),
        ("data.order", "from ganforge.data.loader import Loader"),
    ],
)
def test_a_new_circle_is_seen(module: str, line: str) -> None:
    circle = circle_in({**FILES, module: f"from typing import TYPE_CHECKING\n{FILES[module]}\n{line}\n"})
    assert module in circle


@pytest.mark.parametrize(
    ("module", "source", "breach"),
    [
        ("models.new", "from ganforge.training.loop import train", "ganforge.models.new:1 imports ganforge.training."),
        ("models.new", "def f():\n    import ganforge.recipe", "ganforge.models.new:2 imports ganforge.recipe"),
        ("models.new", "import accelerate.utils", "imports accelerate, which only building, evaluation, game,"),
        ("game.new", "if TYPE_CHECKING:\n    from ganforge.training.run import Run", "imports ganforge.training.run"),
        ("training.new", "from typer import echo", "ganforge.training.new:1 imports typer, which only cli may"),
        ("training.new", "from ganforge.cli import main", "ganforge.training.new:1 imports ganforge.cli.main"),
        ("data.new", "from ganforge import recipe", "ganforge.data.new:1 imports ganforge.recipe"),
        ("data.new", "from ganforge import Recipe", "ganforge.data.new:1 imports ganforge.recipe"),
        ("options", "from ganforge.registry import register", "ganforge.options:1 imports ganforge.registry"),
        ("errors", "import ganforge.spec", "ganforge.errors:1 imports ganforge.spec"),
        ("cli.new", "import torch", "imports torch at its top level"),
        ("cli.new", "try:\n    from numpy import array\nexcept ImportError: pass", "imports numpy at its top level"),
        ("cli.new", "class A:\n    import wandb", "imports wandb at its top level"),
    ],
)
def test_a_breach_is_seen(module: str, source: str, breach: str) -> None:
    assert any(breach in text for text in breaches(module, source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("objectives.new", "from ganforge.game.turn import Turn"),
        ("cli.new", "def f():\n    import torch\n    from ganforge.training.run import Run"),
        ("cli.new", "if TYPE_CHECKING:\n    import torch"),
        ("models.new", "import torch\nfrom ganforge.models.layers import Activation\nfrom ganforge import register"),
        ("data.readers.new", "from ganforge.data.order import Order"),
    ],
)
def test_what_is_allowed_is_not_reported(module: str, source: str) -> None:
    assert breaches(module, source) == []


def test_a_room_without_a_place_is_reported() -> None:
    with pytest.raises(AssertionError, match="no place among the rooms"):
        breaches("utils", "")


def test_no_file_is_longer_than_300_lines() -> None:
    """A file is one idea; what needs more lines is two."""
    assert {module: lines for module, text in FILES.items() if (lines := len(text.splitlines())) > 300} == {}


def test_training_stays_small() -> None:
    """What does not need a run in the making has a room of its own below it."""
    assert sum(len(text.splitlines()) for module, text in FILES.items() if room(module) == "training") <= 2_000


def test_every_room_of_the_row_is_there() -> None:
    assert {*ROOMS} == {room(module) for module in FILES}


def test_libraries_are_named_in_the_project() -> None:
    """What a module imports is a dependency or an extra of ours, not something that another package brings along."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    named = {re.match(r"[\w-]+", requirement)[0].lower() for requirement in requirements}  # type: ignore[index]
    named |= {"pydantic-core"}  # the types of pydantic's own errors
    distributions = {"cv2": ["opencv-python-headless"], "sklearn": ["scikit-learn"]} | dict(packages_distributions())
    unnamed = {
        f"ganforge.{module}:{imported.line} imports {imported.module}"
        for module, source in FILES.items()
        for imported in imports_of(source)
        if (top := imported.module.split(".")[0]) not in {*sys.stdlib_module_names, "ganforge"}
        and not named & {name.lower().replace("_", "-") for name in distributions.get(top, [top])}
    }
    assert unnamed == set()
