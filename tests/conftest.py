"""What all tests share: one thread, a cache folder of their own, the command line in this process, and their order."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

# Before anything imports torch, and for every process that a test starts: sums come out in one order, and tests that
# run side by side do not fight for the cores.
os.environ["OMP_NUM_THREADS"] = "1"


LONGEST = (
    "test_digits_acceptance.py",
    "test_ring_acceptance.py",
    "test_digits_fewshot.py",
    "training/test_parallel_launch.py",
    "training/test_parallel.py",
    "test_recipes.py",
)
"""Files of `tests/` that take minutes. They begin first, so that no process is alone with one of them at the end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="end a test that would train or start a Python")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker("slow")
    tests = Path(__file__).parent
    ranks = {tests / name: rank for rank, name in enumerate(LONGEST)}
    with_slow = {item.path for item in items if item.get_closest_marker("slow")}
    # Whole files, in pytest's own order otherwise: what a file or a session shares is made once.
    items.sort(key=lambda item: (ranks.get(item.path, len(ranks)), item.path not in with_slow))


@pytest.fixture(scope="session", autouse=True)
def quick(request: pytest.FixtureRequest) -> Iterator[None]:
    """Under `--quick`, a test ends as skipped where it would train or start a Python: no list can be wrong about it."""
    if not request.config.getoption("quick"):
        yield
        return
    from ganforge.training.run import Run

    programs = Path(sys.executable).parent
    start = subprocess.Popen.__init__

    def start_other(self: Any, args: Any, *rest: Any, **options: Any) -> None:
        program = args if isinstance(args, str | os.PathLike) else next(iter(args))
        if Path(program).parent == programs:
            pytest.skip("starts a process: `make test` has it")
        start(self, args, *rest, **options)

    def no_process(*_: Any, **__: Any) -> None:
        pytest.skip("starts a process: `make test` has it")

    def no_training(*_: Any, **__: Any) -> None:
        pytest.skip("trains: `make test` has it")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", start_other)
        patch.setattr(BaseProcess, "start", no_process)
        patch.setattr(Run, "build", no_training)
        yield


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder for this session, so that no test reads or fills the user's own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def ganforge(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """`ganforge("recipe", "check", file)`: the real entry point, without the seconds that a new process costs."""
    from ganforge.cli.main import main

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["ganforge", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            main()
        code = end.value.code
        assert code is None or isinstance(code, int)
        captured = capsys.readouterr()
        return Outcome(code or 0, captured.out, captured.err)

    return call
