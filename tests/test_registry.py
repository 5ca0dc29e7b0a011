"""The shelves: what may be put on them, how a name is found, and what is imported meanwhile."""

import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ganforge.component_tables import DataTable, DiscriminatorTable, OptimizerTable, PenaltyTable
from ganforge.errors import PluginError, RegistryError
from ganforge.options import OptionsModel
from ganforge.recipe import PLACES
from ganforge.registry import Kind, Registry, load_plugins, register


@pytest.fixture
def kind() -> Kind:
    return Kind("thing", offers=("spec",), table=PenaltyTable)


def refusal(kind: Kind, factory: Any) -> str:
    with pytest.raises(RegistryError) as error:
        kind("mine")(factory)
    assert kind.loaded() == []
    return str(error.value)


# --- what a signature may look like ----------------------------------------------------------


def test_a_component_gets_what_it_names_of_the_offers_and_its_options(kind: Kind) -> None:
    @kind("plain")
    def plain(*, width: int = 3) -> dict[str, Any]:
        return {"width": width}

    @kind("asking")
    def asking(spec: str, *, width: int = 3) -> dict[str, Any]:
        return {"spec": spec, "width": width}

    for name, built in (("plain", {"width": 5}), ("asking", {"spec": "grey", "width": 5})):
        component = kind.get(name)
        assert component.build(component.options.model_validate({"width": 5}), spec="grey", unasked=1) == built


def test_a_positional_parameter_that_is_not_offered_is_refused(kind: Kind) -> None:
    def mine(spec: str, width: int = 3) -> None: ...

    assert refusal(kind, mine) == (
        f"thing 'mine' ({mine.__module__}.{mine.__qualname__}): 'width' stands before '*', but a thing is offered spec "
        "there; put options after a bare '*'"
    )


def test_a_kind_without_offers_says_that_it_offers_nothing() -> None:
    def mine(spec: str) -> None: ...

    assert "a bare is offered nothing there" in refusal(Kind("bare"), mine)


def test_star_parameters_are_refused(kind: Kind) -> None:
    def positional(*args: int) -> None: ...
    def keywords(**kwargs: int) -> None: ...

    assert refusal(kind, positional).endswith("takes *args: int; name every option after a bare '*' instead")
    assert refusal(kind, keywords).endswith("takes **kwargs: int; name every option after a bare '*' instead")


def test_an_option_without_annotation_is_refused(kind: Kind) -> None:
    def mine(*, width=3) -> None: ...  # type: ignore[no-untyped-def]

    expected = "option 'width' has no annotation, so that no recipe can be checked; give it one"
    assert refusal(kind, mine).endswith(expected)


@pytest.mark.parametrize("name", ["name", "weight"])
def test_an_option_under_a_name_of_the_framework_is_refused(kind: Kind, name: str) -> None:
    mine = function_with_option(name)
    assert refusal(kind, mine).endswith(f"the option name '{name}' belongs to the framework; rename it")


@pytest.mark.parametrize("name", ["_hidden", "model_config", "model_dump", "copy"])
def test_an_option_that_would_shadow_the_schema_is_refused(kind: Kind, name: str) -> None:
    """Such an option would vanish from the recipe, or break saving it."""
    assert refusal(kind, function_with_option(name)).endswith(f"'{name}' cannot be the name of an option; rename it")


def function_with_option(name: str) -> Callable[..., None]:
    scope: dict[str, Any] = {"__name__": "loose_module"}
    exec(f"def mine(*, {name}: int = 1) -> None: ...", scope)
    return scope["mine"]


@pytest.mark.parametrize("thing", [None, "dcgan", typing, 3], ids=str)
def test_what_is_no_class_or_function_is_refused(kind: Kind, thing: Any) -> None:
    assert refusal(kind, thing) == f"thing 'mine': {thing!r} is not a class or a function"


def test_reserved_names_are_the_keys_of_the_recipe_tables() -> None:
    """A key that a table of the recipe gains must not be shadowed by an option of a component."""
    for kind in register.kinds().values():
        tables = [place.table for place in PLACES if place.kind is kind]
        assert {key for table in tables for key in table.model_fields} == set(kind.reserved), kind.name
    assert {"cache_dir", "reader", "flip", "prefetch"} <= set(register.dataset.reserved) == set(DataTable.model_fields)
    assert {"name", "weight", "interval"} == set(register.penalty.reserved) == set(PenaltyTable.model_fields)
    assert set(register.optimizer.reserved) == set(OptimizerTable.model_fields)
    assert set(register.discriminator.reserved) == set(DiscriminatorTable.model_fields)


# --- names -----------------------------------------------------------------------------------


def test_a_taken_name_names_both_owners(kind: Kind) -> None:
    @kind("mine")
    def first() -> None: ...

    def second() -> None: ...

    with pytest.raises(RegistryError) as error:
        kind("mine")(second)
    one, other = (f"{function.__module__}.{function.__qualname__}" for function in (first, second))
    assert str(error.value) == f"thing 'mine' ({other}): the name is taken by {one}; choose another"
    assert kind.get("mine").factory is first


def test_the_same_definition_again_replaces_the_older_one(kind: Kind) -> None:
    def define(answer: int) -> Callable[..., int]:
        @kind("mine")
        def function() -> int:
            return answer

        return function

    define(1)
    define(2)
    assert kind.get("mine").build(OptionsModel()) == 2


def test_one_name_may_stand_on_two_shelves() -> None:
    assert register.generator.get("dcgan").factory is not register.discriminator.get("dcgan").factory


def test_an_unknown_name_lists_the_nearest_and_all_known(kind: Kind) -> None:
    for name in ("round", "square"):
        kind.add(name, lambda: None)
    with pytest.raises(RegistryError) as error:
        kind.get("sqare")
    assert str(error.value) == "no thing is called 'sqare' (did you mean 'square'?); known: round, square"
    with pytest.raises(RegistryError, match=r"^no empty is called 'x'; known: none$"):
        Kind("empty").get("x")


def test_kinds_are_found_by_singular_and_plural() -> None:
    assert register.kind("penalty") is register.kind("penalties") is register.penalty
    assert list(register.kinds()) == [kind.name for kind in register.kinds().values()]
    with pytest.raises(RegistryError, match=r"^no kind 'generater' \(did you mean 'generator'\?\); kinds: generator, "):
        register.kind("generater")


def test_a_component_says_where_it_comes_from() -> None:
    component = register.objective.get("bce")
    assert component.origin == "ganforge.objectives.cross_entropy.NonSaturating"
    assert component.package.startswith("ganforge ")
    file, line = component.file.rsplit(":", 1)
    assert Path(file).read_text().splitlines()[int(line) - 1] == '@register.objective("bce")'
    here = Kind("thing")
    here.add("local", function_with_option("width"))
    assert (here.get("local").package, here.get("local").file) == ("not an installed package", "no source")


# --- entry points ----------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path that takes distributions and modules."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[module]


def add_distribution(site: Path, name: str, *entry_points: str, group: str = "ganforge.things") -> None:
    folder = site / f"{name.replace('-', '_')}-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (folder / "entry_points.txt").write_text("\n".join([f"[{group}]", *entry_points, ""]))


def test_an_entry_point_is_imported_only_when_its_name_is_asked_for(site: Path, kind: Kind) -> None:
    add_distribution(site, "shapes", "cube = shapes_module:cube", "ball = shapes_module:ball")
    (site / "shapes_module.py").write_text(
        "def cube(*, edge: int = 2) -> int:\n    return edge**3\n\n\ndef ball() -> None: ...\n"
    )
    kind.add("own", lambda: None)
    assert kind.names() == ["ball", "cube", "own"]
    kind.get("own")
    assert "shapes_module" not in sys.modules
    cube = kind.get("cube")
    assert cube.build(cube.options.model_validate({"edge": 3})) == 27
    assert "shapes_module" in sys.modules
    assert [component.name for component in kind.loaded()] == ["cube", "own"]
    assert cube.package == "shapes 1.2"


def test_a_broken_entry_point_names_module_and_distribution(site: Path, kind: Kind) -> None:
    add_distribution(site, "broken-shapes", "cube = broken_module:cube", "ball = nowhere_module:ball")
    (site / "broken_module.py").write_text("raise RuntimeError('no GPU here')\n")
    with pytest.raises(PluginError) as error:
        kind.get("cube")
    assert str(error.value) == (
        "thing 'cube': entry point broken_module:cube (broken-shapes 1.2) cannot be imported: RuntimeError: no GPU here"
    )
    with pytest.raises(PluginError, match=r"nowhere_module:ball \(broken-shapes 1.2\) cannot be imported: Module"):
        kind.get("ball")
    assert kind.names() == ["ball", "cube"], "a broken package must not break the list"


def test_an_entry_point_that_is_no_component_is_refused(site: Path, kind: Kind) -> None:
    add_distribution(site, "shapes", "cube = shapes_module")
    (site / "shapes_module.py").write_text("")
    with pytest.raises(RegistryError, match=r"^thing 'cube': <module 'shapes_module' .*> is not a class or a funct"):
        kind.get("cube")


def test_one_name_in_two_distributions_names_both(site: Path, kind: Kind) -> None:
    add_distribution(site, "shapes", "cube = shapes_module:cube")
    add_distribution(site, "other-shapes", "cube = other_module:cube")
    with pytest.raises(RegistryError) as error:
        kind.get("cube")
    text = str(error.value)
    assert text.startswith("thing 'cube' is offered twice: ")
    assert text.endswith("; uninstall one of them")
    assert "shapes_module:cube (shapes 1.2)" in text
    assert "other_module:cube (other-shapes 1.2)" in text


def test_a_module_that_registers_the_name_itself_may_also_be_an_entry_point(site: Path) -> None:
    add_distribution(site, "decorated", "sharp = decorated_module:Sharp", group="ganforge.objectives")
    (site / "decorated_module.py").write_text(
        "from ganforge.registry import register\n\n@register.objective('sharp')\nclass Sharp:\n"
        "    def __init__(self) -> None: ...\n"
    )
    try:
        assert register.objective.get("sharp").origin == "decorated_module.Sharp"
    finally:
        register.objective._components.pop("sharp", None)


def test_a_built_in_wins_over_an_entry_point_of_the_same_name(site: Path) -> None:
    add_distribution(site, "pirate", "dcgan = pirate_module:Generator", group="ganforge.generators")
    assert register.generator.get("dcgan").origin == "ganforge.models.dcgan.DCGANGenerator"


# --- plugins of a recipe ---------------------------------------------------------------------


def test_a_plugin_that_is_not_there_is_named_with_the_remedy() -> None:
    with pytest.raises(PluginError) as error:
        load_plugins(["no_such_plugin.gan"])
    assert str(error.value) == (
        "plugins: 'no_such_plugin.gan' cannot be imported: ModuleNotFoundError: No module named 'no_such_plugin'; "
        "is it installed, or is its folder on PYTHONPATH?"
    )


def test_a_plugin_that_fails_while_it_is_imported_is_fatal_and_named(site: Path) -> None:
    (site / "failing_plugin.py").write_text("1 / 0\n")
    with pytest.raises(PluginError, match=r"^plugins: 'failing_plugin' .*: ZeroDivisionError: division by zero$"):
        load_plugins(["failing_plugin"])


def test_a_plugin_in_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `ganforge` script has that folder not on its path, `python -m ganforge` has: both must train the same."""
    (tmp_path / "plugin_in_folder.py").write_text("LOADED = True\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    load_plugins(["plugin_in_folder"])
    assert sys.modules.pop("plugin_in_folder").LOADED


def test_two_registries_share_nothing() -> None:
    other = Registry()
    other.generator.add("only-here", lambda: None)
    assert "only-here" in other.generator.names()
    assert "only-here" not in register.generator.names()
