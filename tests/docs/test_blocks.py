"""Every block of the README and of the pages does what it says: commands run, recipes resolve, Python runs."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from blocks import ROOT, Block, blocks, included
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

import ganforge
from ganforge.cli.main import app
from ganforge.recipe import load, resolve
from ganforge.registry import register

TINY = [
    "training.steps=4",
    "training.log_every=2",
    "checkpoint.every=2",
    "samples.every=2",
    "samples.num=16",
    "generator.width=4",
    "discriminator.width=4",
    "evaluation.every=4",
    "evaluation.num_fakes=1000",
]

NOT_OURS = {
    "make",
    "pip",
    "source",
    "wandb",
    "docker",
    "kubectl",
    "sky",
    "pytest",
    ".venv/bin/pre-commit",
    ".venv/bin/python",
}
"""Other programs: what is tested is that ganforge's own commands are as they are shown."""

PARSED = {
    "sweep": "trains in earnest",
    "slurm": "submits a job; `--dry-run` is run",
    "import": "needs somebody's pickle",
    "directions": "needs a generator with styles",
    "data verify": "needs what is packed elsewhere",
    "bench train": "measures for minutes",
}
"""Commands whose arguments are parsed and whose recipes are resolved, but that are not run, with the reason."""


def commands(block: Block) -> list[list[str]]:
    """Words of each command of a bash block, without comments and environment variables."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def of_ganforge(words: list[str]) -> list[str] | None:
    """Arguments of `ganforge`, also behind `accelerate launch -m`; None for another program."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words[0] == "ganforge":
        return words[1:]
    if words[:2] == ["accelerate", "launch"]:
        return words[words.index("-m") + 2 :]
    assert words[0] in NOT_OURS, f"an unknown program: {words}"
    return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory as the pages suppose it: pictures, packed shards, and runs of four steps."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("recipes", "launch", "examples"):
        (folder / name).symlink_to(ROOT / name)
    random = np.random.default_rng(0)
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(24):
        Image.fromarray(random.integers(0, 256, (80, 72, 3), dtype=np.uint8)).save(pictures / f"{number}.png")
    (folder / "my_gan.py").write_text((ROOT / "examples/parts/generator.py").read_text())
    packed = CliRunner().invoke(app, ["data", "pack", str(pictures), str(folder / "data/celeba64"), "--size", "64"])
    assert packed.exit_code == 0, packed.output
    for name in ("digits32", "digits32-conditional", "digits32-sr", "digits32-cycle"):
        AcceleratorState._reset_state(reset_partial_state=True)
        pairs = ["evaluation.num_fakes=898"] if name.endswith(("-sr", "-cycle")) else []
        ganforge.train(name, [*TINY, *pairs, f"output={folder}/runs", f"data.cache_dir={folder}/cache"])
    AcceleratorState._reset_state(reset_partial_state=True)
    shutil.copytree(folder / "runs/digits32", folder / "runs/mine")
    digits = ganforge.register.dataset.make("digits", size=32)
    row = np.empty((1, *digits.row_shape), dtype=np.uint8)
    digits.read(np.array([3]), row)
    three = Image.fromarray(row[0, ..., 0])
    three.save(folder / "three.png")
    three.resize((4, 4)).save(folder / "small.png")
    for name, picture in {"white-on-black": three, "facades/train": Image.new("RGB", (128, 64))}.items():
        (folder / name).mkdir(parents=True)
        picture.save(folder / name / "1.png")
    return folder


SECONDS = 120
"""A command that takes longer than this, also on a busy machine, does not end by itself."""

PROGRAM = """
import faulthandler, json, os, signal, sys
from ganforge.cli.main import app

class TooLong(BaseException):
    pass  # which no command catches as a mistake of its own

def too_long(*_):
    raise TooLong(f"{place}: does not end by itself in {seconds} s: ganforge " + " ".join(words))

seconds, lines = json.load(sys.stdin)
signal.signal(signal.SIGALRM, too_long)
for place, folder, words in lines:
    os.chdir(folder)
    print(f"{place} $ ganforge", *words, flush=True)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(seconds + 10, exit=True)  # where no Python runs that a signal could stop
    try:
        app(words, prog_name="ganforge")
    except SystemExit as end:
        assert not end.code, f"{place}: exit code {end.code}: ganforge " + " ".join(words)
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
"""
"""Runs each command in its folder, and names page, line and command of one that fails or does not end."""


def run(folder: Path, lines: list[tuple[str, str, list[str]]], seconds: int = SECONDS) -> str:
    """Run commands in one process, since each start of Python would import torch again.

    Args:
        folder: the home folder.
        lines: of each command where it stands, the folder in which it runs, its words.
        seconds: that each may take.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps((seconds, lines)), capture_output=True, text=True, cwd=folder,
        env={**os.environ, "HOME": str(folder), "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])},
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def expanded(words: list[str], folder: Path) -> list[str]:
    """As the shell hands them over."""
    return [word.replace("~", str(folder), 1) if word.startswith("~/") else word for word in words]


def without_training(words: list[str]) -> list[list[str]]:
    """What is run in place of a training: all of it up to the first step, of a fitted recipe too."""
    if words[0] != "train" or "--dry-run" in words:
        return [words]
    context = parsed(words)
    if context.params["recipe"] is None:  # `train --data`, which writes its own before it trains
        fitted = "fitted.toml"
        return [["new", fitted, "--data", str(context.params["data"])], ["train", fitted, "--dry-run"]]
    return [[*words, "--dry-run"]]


def reason_not_to_run(words: list[str]) -> str | None:
    """Why a command is only parsed."""
    if "--serve" in words:
        return "serves until Ctrl-C"
    if any(word.endswith("all_kinds.toml") for word in words):
        return "registers a `tiny`, as the README's my_gan does in the same process; tests/test_examples.py trains it"
    if "--dry-run" in words and words[0] == "slurm":
        return None
    missing = (
        "my_pictures",
        "runs/faces",
        "runs/celeba64",
        "runs/a",
        "1000000",
        "img_align_celeba.zip",
        "downloaded",
        "--push",
    )
    if any(name in word for word in words for name in missing) or "dinov2" in words:
        return "needs files or weights that are not here"
    return PARSED.get(words[0]) or PARSED.get(" ".join(words[:2]))


def parsed(words: list[str]) -> Any:
    """Click's context of a command with its values, without running it."""
    command: Any = get_command(app)
    words = list(words)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    return command.make_context(command.name, words)


BASH = [(block, words) for block in blocks("bash") for line in commands(block) if (words := of_ganforge(line))]


@pytest.mark.parametrize(("block", "words"), [pytest.param(*case, id=f"{case[0]}-{case[1][0]}") for case in BASH])
def test_a_command_has_the_arguments_that_the_page_gives_it(block: Block, words: list[str]) -> None:
    parsed(words)


def test_recipes_of_commands_resolve_with_their_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(ROOT / "examples/parts"))
    seen = 0
    for _, words in BASH:
        if words[0] in ("train", "sweep", "slurm"):
            context = parsed(words)
            recipe = context.params["recipe"]
            if recipe is None:  # `train --data`, which writes its own
                continue
            if Path(recipe).name not in ("mine.toml", "tiny.toml"):  # which an earlier command writes
                load(str(recipe), context.params.get("set_") or context.params.get("overrides") or [])
                seen += 1
    assert seen >= 5


@pytest.mark.slow
def test_commands_run_in_the_order_of_each_page(folder: Path, tmp_path: Path) -> None:
    lines: list[tuple[str, str, list[str]]] = []
    for block, words in BASH:
        own = tmp_path / block.page.replace("/", "-")
        if not own.exists():
            shutil.copytree(folder, own, symlinks=True)
            if not any(other.page == block.page and "pack" in line and "data/mine" in line for other, line in BASH):
                shutil.copytree(own / "data/celeba64", own / "data/mine")  # which this page takes for packed
        if reason_not_to_run(words) is None:
            lines += [(str(block), str(own), part) for part in without_training(expanded(words, own))]
    run(folder, lines)
    assert (tmp_path / "docs-out.md" / "grid.png").is_file()
    assert (tmp_path / "README.md" / "report.html").is_file()


@pytest.mark.slow
def test_a_command_that_does_not_end_is_named_with_its_page(folder: Path) -> None:
    serve = ["report", "runs/digits32", "--serve", "--port", "0"]
    with pytest.raises(AssertionError, match=r"docs/out\.md:3: does not end by itself in 5 s: ganforge report"):
        run(folder, [("docs/out.md:3", str(folder), serve)], seconds=5)


@pytest.mark.parametrize(
    "block", [pytest.param(block, id=str(block)) for block in blocks("toml") if not included(block)]
)
def test_a_piece_of_a_recipe_resolves(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples/parts"))
    tables = tomllib.loads(block.text)
    if "training" in tables and "name" in tables:
        resolve(tables)
        return
    base = tomllib.loads((ROOT / "recipes/digits32.toml").read_text())
    resolve(_merged(base, tables))


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Tables over tables; another part's options replace the former ones."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        is_same_part = (
            isinstance(old, dict) and isinstance(value, dict) and value.get("name", old.get("name")) == old.get("name")
        )
        merged[key] = _merged(old or {}, value) if is_same_part else value
    return merged


@pytest.mark.slow
@pytest.mark.parametrize(
    "block", [pytest.param(block, id=str(block)) for block in blocks("python") if not included(block)]
)
def test_python_runs(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "@register" in block.text:
        assert block.text == (ROOT / "examples/parts/generator.py").read_text()
        return
    monkeypatch.chdir(folder)
    train = ganforge.train
    changes = [*TINY, "name=from-python", f"data.cache_dir={folder}/cache"]
    monkeypatch.setattr(ganforge, "train", lambda recipe, overrides: train(recipe, [*overrides, *changes]))
    try:
        exec(compile(block.text, str(block), "exec"), {})
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def test_files_that_pages_show_exist() -> None:
    shown = [path for language in ("python", "toml") for block in blocks(language) if (path := included(block))]
    assert len(shown) >= 16
    assert all(path.is_file() for path in shown)


def test_the_readme_names_every_part() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for kind in register.kinds().values():
        # Other tests of this process register parts of plugins; those of torch.optim are named by their rule.
        ours = [component.name for component in kind.loaded() if component.package.startswith("ganforge ")]
        missing = [name for name in ours if f"`{name}`" not in readme]
        assert ours, kind.name
        assert not missing, (kind.name, missing)
    assert len(readme.splitlines()) <= 160


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command: Any = get_command(app)
    for name in command.commands:
        assert re.search(rf"`{name}\b", readme), name
