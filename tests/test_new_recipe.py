"""`ganforge new` and `train --data`: a recipe of one's own out of one that came along."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganforge.recipe import load
from ganforge.recipe_names import recipes

ROOT = Path(__file__).parent.parent
Command = Callable[..., Any]


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty grey pictures of 32x32 in two folders; the working directory is above."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for index in range(40):
        folder = tmp_path / "pictures" / ("left", "right")[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32, 32), dtype=np.uint8)).save(folder / f"{index}.png")
    return Path("pictures")


@pytest.fixture
def packed(pictures: Path, ganforge: Command) -> str:
    assert ganforge("data", "pack", pictures, "data/mine", "--size", 32).code == 0
    return "data/mine"


@pytest.fixture
def unlabelled(pictures: Path, ganforge: Command) -> str:
    assert ganforge("data", "pack", pictures / "left", "data/mine", "--size", 32).code == 0
    return "data/mine"


@pytest.mark.parametrize("like", recipes())
def test_a_copy_differs_in_its_name_only_and_keeps_the_comments(
    like: str, ganforge: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ganforge("new", "mine.toml", "--like", like).code == 0
    assert load("mine.toml").to_dict() == {**load(like).to_dict(), "name": "mine"}
    lines = Path("mine.toml").read_text().splitlines()
    original = recipes()[like].read_text().splitlines()
    assert [line for line in original if line not in lines] == [f'name = "{like}"']


@pytest.mark.parametrize(
    "like", ["celeba64", "celeba64-r3gan", "cifar32-sngan", "digits32", "digits32-stylegan2", "ring2d-r1"]
)
def test_a_recipe_for_own_data_trains_on_them_and_is_the_same_in_all_else(
    like: str, packed: str, ganforge: Command
) -> None:
    assert ganforge("new", "mine.toml", "--like", like, "--data", packed).code == 0
    new, old = load("mine.toml").to_dict(), load(like).to_dict()
    assert (new["data"]["name"], new["data"]["path"]) == ("shards", packed)
    assert new["data"]["flip"] == old["data"].get("flip", False)
    untouched = {"generator", "discriminator", "objective", "penalties", "optimizer", "training", "samples", "ramps"}
    assert {key: new.get(key) for key in untouched} == {key: old.get(key) for key in untouched}
    text = Path("mine.toml").read_text()
    assert "# 40 pictures, 32x32 grey, 2 classes" in text
    assert f"{like} does not look at classes" in text


def test_what_new_writes_trains(packed: str, ganforge: Command, tmp_path: Path) -> None:
    assert ganforge("new", "mine.toml", "--like", "digits32-conditional", "--data", packed).code == 0
    short = ["--set", "training.steps=2", "--set", "samples.num=4", "--set", "training.batch_size=4"]
    subprocess.run(
        [sys.executable, "-m", "ganforge", "train", "mine.toml", *short],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True,
    )  # fmt: skip
    assert (tmp_path / "runs" / "mine" / "generator.last.safetensors").is_file()


def test_networks_that_look_at_classes_do_not_where_there_are_none(unlabelled: str, ganforge: Command) -> None:
    assert ganforge("new", "mine.toml", "--like", "digits32-conditional", "--data", unlabelled).code == 0
    assert load("mine.toml").to_dict()["generator"]["conditional"] == "none"
    assert '# conditional = "norm": these pictures have no classes' in Path("mine.toml").read_text()


def test_a_file_that_exists_is_not_overwritten(ganforge: Command, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("mine")
    done = ganforge("new", mine, "--like", "ring2d")
    assert (done.code, mine.read_text()) == (2, "mine")
    assert done.err == f"ganforge: {mine}: exists and is not overwritten; choose another name, or remove it\n"


def test_a_size_that_networks_cannot_make_is_told_and_nothing_is_written(pictures: Path, ganforge: Command) -> None:
    assert ganforge("data", "pack", pictures, "data/odd", "--size", "16x160").code == 0
    done = ganforge("new", "mine.toml", "--like", "celeba64", "--data", "data/odd")
    assert (done.code, Path("mine.toml").exists()) == (2, False)
    assert "dcgan has pictures whose sides can be halved" in done.err


@pytest.mark.parametrize(
    ("file", "like", "message"),
    [
        ("mine", "ring2d", "a recipe's file ends in .toml; write mine.toml"),
        ("mine.toml", "ring2", "no recipe of that name (did you mean 'ring2d'?)"),
        (
            "nowhere/mine.toml",
            "ring2d",
            "nowhere/mine.toml: there is no folder nowhere; make it, or choose another place",
        ),
        ("a b!.toml", "ring2d", "a b!.toml: name: "),
    ],
)
def test_mistakes_are_told_in_a_line(
    file: str, like: str, message: str, ganforge: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = ganforge("new", file, "--like", like)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert message in done.err


def test_a_folder_with_a_line_break_in_its_name_stays_in_the_comment(ganforge: Command, tmp_path: Path) -> None:
    folder = tmp_path / "a\n[b] é"
    folder.mkdir()
    assert ganforge("new", folder / "mine.toml", "--like", "ring2d").code == 0
    assert load(folder / "mine.toml").name == "mine"


def test_a_recipe_that_cannot_be_rewritten_is_refused(packed: str, ganforge: Command) -> None:
    Path("short.toml").write_text(
        'name="short"\ndata="digits"\ngenerator="dcgan"\ndiscriminator="dcgan"\ntraining={steps=3}\n'
    )
    done = ganforge("new", "mine.toml", "--like", "short.toml", "--data", packed)
    assert (done.code, Path("mine.toml").exists()) == (2, False)
    assert "has no header [data], so it cannot be rewritten; copy it and edit the copy" in done.err


def test_plugins_of_a_recipe_that_is_only_copied_are_not_imported_unasked(
    ganforge: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("planted.py").write_text('open("ran", "w")\n')
    Path("theirs.toml").write_text('plugins = ["planted"]\n' + recipes()["ring2d"].read_text())
    done = ganforge("new", "mine.toml", "--like", "theirs.toml")
    assert (done.code, "--trust" in done.err) == (2, True)
    assert not Path("ran").exists()
    assert not Path("mine.toml").exists()
    assert ganforge("new", "mine.toml", "--like", "theirs.toml", "--trust").code == 0


# --- train --data ----------------------------------------------------------------------------


def test_train_takes_the_data_from_the_command_line(packed: str, ganforge: Command) -> None:
    done = ganforge("train", "celeba64", "--data", packed, "--dry-run")
    assert done.code == 0
    assert "32x32 grey" in done.out


def test_a_recipe_with_a_folder_of_raw_pictures_is_told_how_to_pack_it(pictures: Path, ganforge: Command) -> None:
    done = ganforge("train", "celeba64", "--dry-run", "--data", pictures)
    assert (done.code, done.err) == (
        2,
        "ganforge: pictures: holds neither a dataset.json nor tars; "
        "of pictures `ganforge data pack pictures data/mine --size 64` makes both\n",
    )


def test_a_recipe_whose_data_have_no_path_brings_the_way_to_one_that_has(packed: str, ganforge: Command) -> None:
    done = ganforge("train", "digits32", "--data", packed, "--dry-run")
    assert (done.code, done.err) == (
        2,
        "ganforge: digits32: data: 'digits' takes no path; `ganforge new mine.toml --like digits32 --data data/mine` "
        "writes a recipe like it that trains on shards\n",
    )
