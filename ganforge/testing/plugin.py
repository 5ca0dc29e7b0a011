"""What ganforge adds to pytest: one option, which brings the tests of components along, and nothing without it.

    pytest --ganforge-plugin my_package.gan

pytest imports this file in every project of an environment that has ganforge, so it must not import anything heavy.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ganforge.registry import Component

FILES = ("documented", "networks", "losses", "augmentations", "degradations", "optimizers", "two_ranks")
"""The modules beside this one that hold tests."""

MARKER = "ganforge_components"
_chosen = pytest.StashKey["list[Component]"]()

pytest.register_assert_rewrite(*(f"ganforge.testing.{name}" for name in FILES))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("ganforge").addoption(
        "--ganforge-plugin",
        dest="ganforge_plugins",
        metavar="MODULE",
        action="append",
        default=[],
        help="run ganforge's tests of components on those that MODULE registers; may be given several times. "
        "Without paths these tests only, with paths those as well.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}(*kinds): runs once for every component of these kinds, or of all")
    config.addinivalue_line("markers", "xdist_group(name): for pytest-xdist, where it is installed")
    if config.getoption("ganforge_plugins"):
        files = [str(Path(__file__).with_name(f"{name}.py")) for name in FILES]
        asked = config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []
        config.args[:] = [*asked, *(file for file in files if file not in asked)]


def pytest_collection(session: pytest.Session) -> None:
    """Import the modules before anything is collected, so that a mistake is one line."""
    if session.config.getoption("ganforge_plugins"):
        _components(session.config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of kinds that the modules do not register are not collected, rather than skipped."""
    if config.getoption("ganforge_plugins"):
        items[:] = [item for item in items if item.get_closest_marker(MARKER) is None or _has_component(item)]


def _has_component(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and hasattr(item.callspec.params.get("component"), "described")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the marker gets `component`, and if it wants a `spec` too, one of every sort that the part takes."""
    marker = metafunc.definition.get_closest_marker(MARKER)
    if marker is None:
        return
    components = [part for part in _components(metafunc.config) if not marker.args or part.kind in marker.args]
    if "spec" in metafunc.fixturenames:
        cases = [case for part in components for case in _with_specs(part)]
        metafunc.parametrize(("component", "spec"), cases)
    else:
        cases = [pytest.param(part, id=f"{part.kind}-{part.name}") for part in components]
        metafunc.parametrize("component", cases)


def _components(config: pytest.Config) -> "list[Component]":
    """Components that the option's modules register; without it, as in ganforge's own tests, built-in ones."""
    if _chosen not in config.stash:
        from ganforge.errors import GanforgeError
        from ganforge.testing.chosen import built_in, registered_by

        modules = config.getoption("ganforge_plugins")
        try:
            config.stash[_chosen] = registered_by(modules) if modules else built_in()
        except GanforgeError as error:
            raise pytest.UsageError(f"--ganforge-plugin: {error}") from error
    return config.stash[_chosen]


def _with_specs(part: "Component") -> Iterator["pytest.ParameterSet"]:
    from ganforge.testing.small import specs_of

    for spec in specs_of(part):
        yield pytest.param(part, spec, id=f"{part.kind}-{part.name}-{spec}".replace(" ", "-").replace(",", ""))
