"""Imports point one way. What a module may import is written here, once, and every module has to stand here.

    cli -> training, metrics, cluster -> recipe -> options, registry -> errors

Parts of a GAN (models, objectives, penalties, augment, optimizers, data) know the registry and their libraries, and
neither the recipe nor the training: so they can be used, tested and replaced without either.
"""

import ast
import itertools
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import ganforge

PACKAGE = Path(ganforge.__file__).parent

BASE = {"errors", "files", "spec", "wording"}
"""Import nothing else of ganforge: exceptions, atomic files, what a sample looks like, numbers in sentences."""

SCHEMA = {"options", "data.options", "registry"}
"""Signatures, the reader's options (a schema; the recipe's `[data]` table has the same keys), names."""

PART = {*BASE, *SCHEMA}
"""What the parts of a GAN may import, beside their own package."""

MAY_IMPORT: dict[str, set[str]] = {
    "": {"generator_file", "recipe", "registry"},  # the public names
    "__main__": {"cli"},
    "errors": set(),
    "files": set(),
    "spec": {"wording"},
    "wording": set(),
    "ranks": set(),  # statistics of the global batch, for terms that compare samples
    "grid": set(),  # tensors to pictures, of use to training, sampling and metrics
    "options": {"errors"},
    "data.options": {"options"},
    "registry": {"errors", "options", "data.options"},
    "doctor": {"errors", "files"},  # rules on figures: of use to training, the command line and reports
    "tables": {"options", "data.options", "doctor"},
    "nested": {"errors", "options"},  # tables in tables
    "contradictions": {"errors", "nested", "options", "tables"},
    "recipe": {"contradictions", "errors", "nested", "options", "registry", "tables", "variables"},
    "manual": {"options", "recipe", "registry", "tables"},  # a recipe's tables in words
    "models": PART,
    "objectives": {*PART, "ranks"},
    "penalties": {*PART, "models", "ranks"},  # terms on the inside of a family of networks
    "augment": PART,
    "optimizers": PART,
    "schedules": PART,
    "data": PART,
    "hub": {"errors"},  # names and transfers of the Hugging Face Hub
    "generator_file": {*PART, "hub"},  # a trained generator is its component and options; no training needed
    "importing": {*PART, "generator_file", "hub", "models"},  # other programs' files to ours; no training needed
    "metrics": {*PART, "data", "grid", "recipe"},
    "cluster": {*BASE, "doctor", "options", "recipe"},
    "variables": {"errors", "options"},
    "training": {
        *PART,
        "data",
        "augment",
        "doctor",
        "objectives",
        "penalties",
        "schedules",
        "generator_file",
        "grid",
        "importing",
        "metrics",
        "ranks",
        "recipe",
        "tables",
    },
    "bench": {*PART, "data", "recipe", "tables", "training", "metrics"},  # measures what training does, from outside
    "sampling": {
        *PART,
        "data",
        "generator_file",
        "grid",
        "metrics",
        "models",
        "recipe",
        "training",
    },  # latents as in training
    "search": {
        *PART,
        "data",
        "generator_file",
        "grid",
        "models",
        "recipe",
        "sampling",
        "training",
    },  # pictures back to latents
    "export": {*BASE, "generator_file", "grid", "hub", "recipe", "registry", "sampling"},
    "report": {*BASE, "doctor", "recipe"},  # reads what a run folder holds; no run is built
    "sweep": {"variables", *BASE, "registry", "recipe", "training"},  # trains one recipe many times
    "testing": {*PART, "augment", "data", "recipe", "training"},  # tests of components, for plugins too
    "cli": {
        *PART,
        "data",
        "doctor",
        "report",
        "manual",
        "recipe",
        "training",
        "metrics",
        "cluster",
        "bench",
        "sweep",
        "sampling",
        "search",
        "export",
        "generator_file",
        "grid",
        "importing",
    },
}
"""What each module or package may import of ganforge at run time. A package covers what is below it."""

ONLY_THERE = {
    "accelerate": {"training", "metrics"},
    "typer": {"cli"},
    "optuna": {"sweep", "cli"},
    "wandb": {"training"},
    "huggingface_hub": {"hub"},
    "onnxruntime": {"export"},
    "av": {"sampling"},
    "pydantic_core": {"options"},
}
"""Libraries that only these know."""

HEAVY = {"torch", "torchvision", "numpy", "PIL", "accelerate", "wandb", "webdataset", "safetensors", "torch_fidelity"}
LIGHT = {
    "", "__main__", "cli", "contradictions", "data.options", "doctor", "errors", "manual", "nested", "options",
    "recipe", "registry", "tables", "variables", "wording",
}  # fmt: skip
"""Modules that `ganforge --help` or a check of recipes imports: nothing heavy at their top level."""


@dataclass(frozen=True)
class Import:
    """One import statement's target: `ganforge.x.y` or a library, and whether it runs when the module is imported."""

    module: str
    line: int
    at_top: bool


def module_name(path: Path) -> str:
    """Below ganforge: `training.loop`, and the empty name for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(source: str) -> Iterator[Import]:
    """All run-time imports, those inside functions too; what stands under `if TYPE_CHECKING` is for readers only."""

    def walk(node: ast.AST, at_top: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in node.orelse:
                yield from walk(other, at_top)
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, at_top)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            for alias in node.names:
                yield Import(_target(str(node.module), alias.name), node.lineno, at_top)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, at_top and not inside)

    yield from walk(ast.parse(source), True)


def _target(module: str, name: str) -> str:
    """What `from module import name` imports: a submodule, or the module that the name lives in."""
    if module == "ganforge" and name in ganforge._HOMES:
        return ganforge._HOMES[name]
    joined = f"{module}.{name}"
    return joined if joined.startswith("ganforge.") and joined.removeprefix("ganforge.") in MODULES else module


def layer(module: str) -> str:
    """The entry of the table that a module falls under: itself, or the nearest package above it."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in MAY_IMPORT:
            return name
    raise KeyError(f"ganforge.{module} has no place in the table of this test; decide what it may import")


def breaches(module: str, source: str) -> list[str]:
    """Every import of a module that the tables do not allow, in words."""
    own = layer(module)
    found = []
    for used in imports_of(source):
        top = used.module.split(".")[0]
        where = f"ganforge.{module}:{used.line}"
        if top == "ganforge" and used.module != "ganforge":  # the package itself holds only the version
            target = layer(used.module.removeprefix("ganforge").removeprefix("."))
            is_own = target == own or (own == "data.options" and target == "data")
            if not is_own and target not in MAY_IMPORT[own]:
                found.append(f"{where} imports {used.module}")
        if top in ONLY_THERE and own not in ONLY_THERE[top]:
            found.append(f"{where} imports {top}, which only {', '.join(sorted(ONLY_THERE[top]))} may")
        if top in HEAVY and used.at_top and own in LIGHT:
            found.append(f"{where} imports {top} at its top level, which `ganforge --help` would wait for")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    assert breaches(module, MODULES[module].read_text(encoding="utf-8")) == []


def test_the_rules_themselves_have_no_circle() -> None:
    """An order of all layers exists in which each imports only earlier ones."""
    left = {name: {target for target in targets if target != name} for name, targets in MAY_IMPORT.items()}
    while left:
        free = [name for name, targets in left.items() if not targets & set(left)]
        assert free, f"these import each other: {', '.join(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize(
    ("module", "source", "breach"),
    [
        (
            "models.new",
            "from ganforge.training.loop import train",
            "ganforge.models.new:1 imports ganforge.training.loop",
        ),
        ("models.new", "def f():\n    import ganforge.recipe", "ganforge.models.new:2 imports ganforge.recipe"),
        ("models.new", "import accelerate.utils", "imports accelerate, which only metrics, training may"),
        ("training.new", "from typer import echo", "ganforge.training.new:1 imports typer, which only cli may"),
        ("training.new", "from ganforge.cli import main", "ganforge.training.new:1 imports ganforge.cli.main"),
        ("data.new", "from ganforge import recipe", "ganforge.data.new:1 imports ganforge.recipe"),
        ("data.new", "from ganforge import Recipe", "ganforge.data.new:1 imports ganforge.recipe"),
        ("options", "from ganforge.registry import register", "ganforge.options:1 imports ganforge.registry"),
        ("errors", "import ganforge.files", "ganforge.errors:1 imports ganforge.files"),
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
        (
            "objectives",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ganforge.training.turn import Turn",
        ),
        ("cli.new", "def f():\n    import torch\n    from ganforge.training.run import Run"),
        (
            "models.new",
            "import torch\nfrom ganforge.models.layers import Activation\nfrom ganforge.registry import register",
        ),
        ("data.new", "from ganforge import __version__, register"),
        ("data.readers.new", "from ganforge.data.order import Order"),
    ],
)
def test_what_is_allowed_is_not_reported(module: str, source: str) -> None:
    assert breaches(module, source) == []


def test_a_module_without_a_place_is_reported() -> None:
    with pytest.raises(KeyError, match="no place in the table"):
        layer("utils")


def test_every_row_of_the_table_is_about_something() -> None:
    packages = {name.rsplit(".", depth)[0] for name in MODULES for depth in range(name.count(".") + 1)}
    assert {*MAY_IMPORT} - packages - {"", "cluster"} == set()


def test_libraries_are_named_in_the_project() -> None:
    """What a module imports is a dependency or an extra of ours, not something that another package brings along."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    named = {re.match(r"[\w-]+", requirement)[0].lower() for requirement in requirements}  # type: ignore[index]
    named |= {"pydantic-core"}  # the types of pydantic's own errors
    distributions = {"cv2": ["opencv-python-headless"], "sklearn": ["scikit-learn"]} | dict(packages_distributions())
    unnamed = {
        f"ganforge.{module}:{imported.line} imports {imported.module}"
        for module, path in MODULES.items()
        for imported in imports_of(path.read_text(encoding="utf-8"))
        if (top := imported.module.split(".")[0]) not in {*sys.stdlib_module_names, "ganforge"}
        and not named & {name.lower().replace("_", "-") for name in distributions.get(top, [top])}
    }
    assert unnamed == set()
