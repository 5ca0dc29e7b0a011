"""Checking and listing read the sources of components, which must say what importing them gives."""

import importlib
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import ganforge.declarations as reading
from ganforge.component import Component
from ganforge.declarations import Declaration, UnreadableError, declarations
from ganforge.optimizers.torch_optim import REFUSED, class_names, summary
from ganforge.options import signature_parts
from ganforge.registry import Registry, register

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
BOUND = 1.5
"""CPU seconds of a command that takes 0.4 to 0.5 alone, and would take 2.4 or more with torch."""
MODULES = {kind.name: tuple(kind._builtin_modules) for kind in Registry().kinds().values()}
PROMISING = "ganforge.optimizers.torch_optim"
"""It registers what PyTorch has, which no source of ours can say."""
DECLARED = [
    pytest.param(declaration, id=f"{declaration.kind}-{declaration.name}")
    for module in sorted({module for modules in MODULES.values() for module in modules} - {PROMISING})
    for declaration in declarations(module)
]


@pytest.mark.parametrize("declaration", DECLARED)
def test_a_component_that_was_read_is_the_one_that_is_imported(declaration: Declaration) -> None:
    """Name, place, docstring, what it is offered, and each option's annotation, default and schema."""
    shelf = Registry().kind(declaration.kind)
    factory = declaration.load()
    shelf.add(declaration.name, factory)
    supplied, _ = signature_parts(declaration, "")
    read, imported = (
        Component(shelf.name, declaration.name, described, tuple(supplied)) for described in (declaration, factory)
    )
    assert shelf.get(declaration.name).supplied == tuple(supplied)
    assert (read.origin, read.file, read.package) == (imported.origin, imported.file, imported.package)
    assert (read.doc, read.summary, read.option_docs) == (imported.doc, imported.summary, imported.option_docs)
    fields, expected = read.options.model_fields, imported.options.model_fields
    assert list(fields) == list(expected)
    for name, field in fields.items():
        assert repr(field.rebuild_annotation()) == repr(expected[name].rebuild_annotation()), name
        assert (field.default, type(field.default)) == (expected[name].default, type(expected[name].default)), name
        assert field.is_required() == expected[name].is_required(), name
    assert read.options.model_json_schema() == imported.options.model_json_schema()
    assert read.factory is factory


def test_every_built_in_is_read_and_none_beside_them() -> None:
    read = {(found.values[0].kind, found.values[0].name) for found in DECLARED}  # type: ignore[union-attr]
    for name, modules in MODULES.items():
        for module in modules:
            importlib.import_module(module)
        ours = {part.name for part in register.kind(name).loaded() if part.origin.startswith("ganforge.")}
        tests_own = {part.name for part in register.kind(name).loaded() if part.origin.startswith("ganforge.testing.")}
        assert {declared for kind, declared in read if kind == name} == ours - tests_own


def test_pytorchs_optimizers_are_named_as_importing_them_would() -> None:
    classes = [item for item in vars(torch.optim).values() if isinstance(item, type)]
    optimizers = {item.__name__ for item in classes if issubclass(item, torch.optim.Optimizer)} - {"Optimizer"}
    assert set(class_names()) == optimizers
    for component in register.optimizer.loaded():
        if component.origin.startswith("torch.optim."):
            assert summary(component.origin.rpartition(".")[2]) == component.summary
    assert set(REFUSED) <= set(class_names()) | {"Muon"}  # older ones have none


@pytest.mark.parametrize(
    "command",
    [
        ["recipe", "check", *map(str, RECIPES)],
        ["recipe", "resolve", "celeba64"],
        ["recipe", "list"],
        ["list"],
        ["list", "optimizer", "--markdown"],
        ["show", "dcgan"],
        ["show", "adam"],
        ["show", "training"],
        ["--help"],
    ],
    ids=lambda command: "-".join(word for word in command if "/" not in word),
)
def test_a_command_that_makes_nothing_imports_no_torch_and_is_quick(command: list[str]) -> None:
    program = textwrap.dedent(
        f"""
        import json, sys, time
        sys.argv = ["ganforge", *{command!r}]
        from ganforge.__main__ import main
        try:
            main()
        except SystemExit as end:
            heavy = sorted({{"torch", "numpy", "accelerate", "wandb"}} & set(sys.modules))
            print(json.dumps([end.code, heavy, time.process_time()]), file=sys.stderr)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    code, heavy, seconds = json.loads(done.stderr.splitlines()[-1])
    assert (code, heavy) == (0, []), done.stderr
    assert seconds < BOUND


def test_a_mistake_is_told_without_torch() -> None:
    """The same sentence as ever, since the schema is made of the real signature."""
    program = (
        "import sys\nfrom ganforge.recipe import load\nfrom ganforge.errors import RecipeError\n"
        "try:\n    load('digits32', ['generator.latent_dims=3', 'optimizer.generator.name=adm'])\n"
        "except RecipeError as error:\n    print(error, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "generator.latent_dims: unknown key (did you mean 'latent_dim'?)" in told
    assert "no optimizer is called 'adm' (did you mean 'adam'?)" in told
    assert told.endswith(" False\n")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module of a package `ganforge` in an empty folder, of which only the source counts."""
    monkeypatch.setattr(reading, "PACKAGE", tmp_path)
    yield "ganforge.mine"
    reading.declarations.cache_clear()
    reading._source.cache_clear()


def write(folder: Path, source: str) -> None:
    (folder / "mine.py").write_text(textwrap.dedent(source))
    reading.declarations.cache_clear()
    reading._source.cache_clear()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = 1", "no component"),
        ("import torch\n@register.thing('a')\ndef a(*, x: torch.dtype):\n  'A.'", "torch is of torch"),
        ("@register.thing('a')\ndef a(*, x: Missing):\n  'A.'", "Missing"),
        ("@register.thing('a')\n@other\ndef a():\n  'A.'", "another decorator"),
        ("@register.thing('a')\ndef a(): ...", "no docstring"),
        ("@register.thing('a')\ndef a(**more):\n  'A.'", "more than it names"),
        ("from torch import nn\n@register.thing('a')\nclass A(nn.Module):\n  'A.'", "nn is of torch"),
        ("@register.thing('a')\nclass A(dict):\n  'A.'", "constructor from a library"),
        ("@register.thing('a')\nclass A:\n  'A.'\n  def __new__(cls): ...", "a way of its own"),
        ("def (", "invalid syntax"),
    ],
)
def test_what_a_source_cannot_say_is_left_to_importing(tmp_path: Path, module: str, source: str, reason: str) -> None:
    write(tmp_path, source)
    with pytest.raises(UnreadableError, match=reason):
        declarations(module)


def test_constants_bases_and_imports_are_followed(tmp_path: Path, module: str) -> None:
    (tmp_path / "other.py").write_text(
        "from typing import Literal\nWay = Literal['up', 'down']\nclass Base:\n"
        "    def __init__(self, spec, *, way: Way = 'up'): ...\n"
    )
    write(
        tmp_path,
        """
        from ganforge.other import Base as Inherited
        NAME = "mine"
        @register.thing(NAME)
        class Mine(Inherited):
            "Mine."
        """,
    )
    (found,) = declarations(module)
    assert (found.kind, found.name, found.__qualname__) == ("thing", "mine", "Mine")
    assert str(found.__signature__) == "(spec, *, way: Literal['up', 'down'] = 'up')"
