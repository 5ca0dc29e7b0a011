"""What a run leaves on the disk has its names in one place, `ganforge/run_files.py`, and has no others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ganforge
from ganforge.recipe import load
from ganforge.run_files import DAMAGED, NEWEST, STEP, CheckpointFolder, RunFolder, is_rank_file, network_file, rank_file
from ganforge.training.session import run_session

PACKAGE = Path(ganforge.__file__).parent
RING = PACKAGE.parent / "recipes" / "ring2d.toml"
RUN, CHECKPOINT = RunFolder(Path("run")), CheckpointFolder(Path("run/checkpoints/step-00000001"))

OTHERS = {
    ("export/card.py", "recipe.toml"),  # of an exported folder
    ("metrics/weights.py", "checkpoints"),  # of torch.hub's cache
}
"""Names of other folders' files that a run has, too."""


def paths_of(folder: RunFolder | CheckpointFolder) -> dict[str, Path]:
    """Every path that the class names, by attribute."""
    names = [name for name, value in vars(type(folder)).items() if isinstance(value, property)]
    return {name: path for name in names if isinstance(path := getattr(folder, name), Path)}


NAMES = {path.name for folder in (RUN, CHECKPOINT) for path in paths_of(folder).values()} | {
    RUN.generator("best").stem,
    RUN.generator("last").stem,
    NEWEST,
}
BEGINNINGS = (STEP, DAMAGED, "rank-")
FILES = {name for name in NAMES if re.search(r"\w\.\w", name)}


def literals(source: str) -> Iterator[tuple[int, str, bool]]:
    """Line and text of each string that is not a docstring, and whether it is joined to a path as it is."""
    tree = ast.parse(source)
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    joined = {id(node.right) for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PATH_METHODS:
            joined |= {id(argument) for argument in node.args}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.lineno, node.value, id(node) in joined


PATH_METHODS = {"joinpath", "with_name", "glob", "rglob"}


def names_in(source: str) -> set[tuple[int, str]]:
    """Line and name of every file or folder of a run that a source names by a string of its own."""
    found = set()
    for line, text, is_joined in literals(source):
        found |= {(line, name) for name in FILES if re.search(rf"(?<![\w.-]){re.escape(name)}(?!\w)", text)}
        found |= {(line, name) for name in NAMES if is_joined and text.strip("/") == name}
        found |= {
            (line, start) for start in (STEP, DAMAGED, "rank-") if re.search(rf"(^|[./]){start}($|[*\d(\[])", text)
        }
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_module_names_a_file_of_a_run(path: Path) -> None:
    module = path.relative_to(PACKAGE).as_posix()
    found = set() if module == "run_files.py" else names_in(path.read_text(encoding="utf-8"))
    assert {(line, name) for line, name in found if (module, name) not in OTHERS} == set()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ('path = folder / "metrics.jsonl"', "metrics.jsonl"),
        ('raise Error(f"{folder}/evaluations.jsonl: cannot be written")', "evaluations.jsonl"),
        ('find_usable(folder / "checkpoints")', "checkpoints"),
        ('(folder / "slurm" / "jobs").is_file()', "jobs"),
        ('folder / ".lock"', ".lock"),
        ('folder.joinpath("samples")', "samples"),
        ('files = ("generator.best.safetensors",)', "generator.best"),
        ('name = f"step-{step:08d}"', "step-"),
        ('folder.glob("samples/step-*.png")', "step-"),
        ('name = f"rank-{rank:05d}.pt"', "rank-"),
    ],
)
def test_a_name_is_found(source: str, name: str) -> None:
    assert (1, name) in names_in(source)


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """Reads `metrics.jsonl`."""',
        'lock = f"{place}.lock"',
        'run.game.sample("samples", indices)',
        'table["best"], table["last"]',
        'f"doctor, step {step}"',
        'parse("import.json")',
    ],
)
def test_other_strings_are_not(source: str) -> None:
    assert names_in(source) == set()


def test_every_name_says_what_it_holds() -> None:
    for folder in (RUN, CHECKPOINT):
        for name in paths_of(folder):
            assert getattr(type(folder), name).__doc__, name
    assert len(NAMES) == len([*paths_of(RUN), *paths_of(CHECKPOINT)]) + 3 - 1  # both have a recipe


def test_all_that_a_run_leaves_has_a_name(tmp_path: Path) -> None:
    overrides = [f"output={tmp_path}", "training.steps=4", "training.batch_size=16", "checkpoint.every=2"]
    recipe = load(RING, [*overrides, "samples.every=2", "evaluation.every=4", "evaluation.num_fakes=64"])
    assert run_session(recipe) == 0
    files = recipe.files
    generators = [files.generator("best"), files.generator("last")]
    named = {*paths_of(files).values(), *generators, *(path.with_suffix(".json") for path in generators)}
    left = set(recipe.folder.iterdir())
    assert left <= named
    assert {files.recipe, files.metrics, files.evaluations, files.health, *generators} <= left
    grids = {files.sample_grid(step) for step in (0, 2, 4)}
    assert set(files.samples.iterdir()) == grids == {*files.sample_grids().values()}
    newest = files.checkpoints / NEWEST
    checkpoints = {path for path in files.checkpoints.iterdir() if path != newest}
    assert newest.read_text().strip() in {path.name for path in checkpoints}
    networks = {network_file(name) for name in ("generator", "discriminator")}
    for checkpoint in checkpoints:
        inside = {path.name for path in paths_of(CheckpointFolder(checkpoint)).values()}
        assert {path.name for path in checkpoint.iterdir()} == inside | networks | {rank_file(0)}
    assert is_rank_file(rank_file(0))
