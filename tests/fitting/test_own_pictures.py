"""`ganforge new --data` and `ganforge train --data`: from a folder of pictures to a run, and nothing is done twice."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganforge.fitting import own
from ganforge.recipe import load

ROOT = Path(__file__).parents[2]
Command = Callable[..., Any]
SHORT = ["--set", "samples.num=4", "--set", "training.batch_size=4", "--set"]


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten pictures of 16x16, some with alpha; the working directory is above."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    (tmp_path / "my pictures").mkdir()
    for index in range(10):
        values = random.integers(0, 256, (16, 16, 4 if index % 3 else 3), dtype=np.uint8)
        Image.fromarray(values).save(tmp_path / "my pictures" / f"{index}.png")
    return Path("my pictures")


def run(
    folder: Path, *words: object, launch: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *launch, "ganforge", *map(str, words)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def packed_at(folder: Path) -> int:
    return (folder / "my-pictures-shards" / "dataset.json").stat().st_mtime_ns


def test_one_command_packs_writes_and_trains_and_the_same_one_resumes(pictures: Path, tmp_path: Path, ganforge) -> None:
    train = ("train", "--data", pictures)
    first = run(tmp_path, *train, *SHORT, "training.steps=2")
    assert first.returncode == 0, first.stderr
    assert "my-pictures-shards: written, 10 pictures of 16x16 RGB" in first.stdout
    assert "my-pictures.toml: written for 10 pictures of 16x16 RGB and a CPU" in first.stdout
    assert (tmp_path / "runs/my-pictures/samples/step-00000002.png").is_file()
    odd = {character for character in first.stdout + first.stderr if ord(character) < 32} - {"\n"}
    assert not odd, "what a log file gets has no control characters"

    packed, recipe = packed_at(tmp_path), Path("my-pictures.toml").read_text()
    second = run(tmp_path, *train, *SHORT, "training.steps=3")
    assert second.returncode == 0, second.stderr
    assert "my-pictures.toml: is there from before" in second.stdout
    assert "at step 2" in second.stdout
    assert (packed_at(tmp_path), Path("my-pictures.toml").read_text()) == (packed, recipe)

    # The refusals come before anything is trained.
    shutil.copy(pictures / "1.png", pictures / "new.png")
    changed = ganforge(*train)
    assert (changed.code, changed.err.count("\n")) == (2, 1)
    assert "my-pictures-shards: was packed from other pictures than my pictures holds now" in changed.err
    assert "`ganforge train my-pictures.toml`" in changed.err
    assert "`ganforge new my-pictures-2.toml --data 'my pictures'`" in changed.err
    assert ganforge("new", "my-pictures-2.toml", "--data", "my pictures").code == 0, "the remedy helps"
    (pictures / "new.png").unlink()
    shutil.rmtree("my-pictures-shards")
    gone = ganforge(*train)
    assert (gone.code, "is there, but not its shards my-pictures-shards" in gone.err) == (2, True)


def test_of_two_processes_one_packs_and_both_train(pictures: Path, tmp_path: Path) -> None:
    launch = ("accelerate.commands.launch", "--quiet", "--multi_gpu", "--num_processes", "2", "-m")
    done = run(
        tmp_path, "train", "--data", pictures, *SHORT, "training.steps=2",
        launch=launch, ACCELERATE_USE_CPU="true", MASTER_PORT="0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("my-pictures-shards: written") == 1
    assert "my-pictures: 2 processes on cpu" in done.stdout
    assert "2 processes on a CPU" in Path("my-pictures.toml").read_text()


def test_other_ranks_wait_for_a_recipe_and_give_up_on_a_rank_that_writes_nothing(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, ganforge: Command
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(own, "PATIENCE", 0.3)
    done = ganforge("train", "--data", pictures)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "my-pictures.toml: rank 0 has not written it in 0.3 s" in done.err
    assert not Path("my-pictures-shards").exists()


def test_a_pack_that_was_finished_without_a_recipe_is_used(pictures: Path, ganforge: Command, tmp_path: Path) -> None:
    assert ganforge("new", "--data", pictures).code == 0
    packed = packed_at(tmp_path)
    Path("my-pictures.toml").unlink()
    done = ganforge("new", "--data", pictures)
    assert (done.code, packed_at(tmp_path)) == (0, packed)
    assert "has been packed from my pictures before, and the pictures are the same" in done.out
    assert ganforge("new", "--data", pictures).err == (
        "ganforge: my-pictures.toml: exists and is not overwritten; choose another name, or remove it\n"
    )


def test_new_beside_another_folder_and_like_another_recipe(pictures: Path, ganforge: Command) -> None:
    Path("recipes").mkdir()
    done = ganforge("new", "recipes/mine.toml", "--like", "celeba64", "--data", pictures)
    assert done.code == 0, done.err
    assert "size: 16x16" in done.out
    made = load("recipes/mine.toml").to_dict()
    assert made["data"]["path"] == "recipes/mine-shards"
    assert [table["name"] for table in made["augment"]] == ["diffaugment"], "ten pictures are few"
    assert made["training"] == load("celeba64").to_dict()["training"]


def test_a_zip_of_pictures_and_stylegans_folder_are_packed_and_shards_are_not(
    pictures: Path, ganforge: Command
) -> None:
    shutil.make_archive("faces", "zip", pictures)
    assert ganforge("new", "--data", "faces.zip").code == 0
    assert load("faces.toml").to_dict()["data"]["path"] == "faces-shards"
    assert ganforge("new", "again.toml", "--data", "faces-shards").code == 0
    assert load("again.toml").to_dict()["data"]["path"] == "faces-shards"
    (pictures / "dataset.json").write_text('{"labels": null}')  # of StyleGAN, which calls it as we do
    done = ganforge("new", "--data", pictures)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("train", "--data", "my pictures", "--dry-run"),
            "--dry-run writes nothing; `ganforge new --data 'my pictures'`",
        ),
        (("new", "mine.toml"), "name the pictures with --data, or a recipe with --like"),
        (("new", "--like", "digits32"), "name the file to be written, such as mine.toml"),
        (("new", "--data", "nowhere"), "nowhere: "),
        (("train", "--data", "nowhere"), "nowhere: "),
        (("new", "a/b.toml", "--data", "my pictures"), "a/b.toml: there is no folder a"),
    ],
)
def test_mistakes_are_told_in_a_line_and_nothing_is_written(
    words: tuple[str, ...], message: str, pictures: Path, ganforge: Command
) -> None:
    before = sorted(Path().rglob("*"))
    done = ganforge(*words)
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert message in done.err
    assert sorted(Path().rglob("*")) == before


def test_nothing_is_written_among_the_pictures(
    pictures: Path, ganforge: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures)
    done = ganforge("train", "--data", ".")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "my-pictures.toml: would lie among the pictures of ., as would samples; do it in another folder" in done.err
    assert not list(Path().glob("*-shards"))


def test_another_recipe_of_the_name_is_not_trained_instead(pictures: Path, ganforge: Command) -> None:
    assert ganforge("new", "my-pictures.toml", "--like", "digits32").code == 0
    done = ganforge("train", "--data", pictures)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "my-pictures.toml: is there and trains on other data, not on my pictures" in done.err


def test_like_another_recipe_pictures_are_packed_to_a_size_that_its_networks_make(
    pictures: Path, ganforge: Command
) -> None:
    for path in pictures.iterdir():
        path.unlink()
    Image.new("RGB", (40, 24)).save(pictures / "wide.png")
    assert ganforge("new", "a.toml", "--like", "digits32-stylegan2", "--data", pictures).code == 0
    assert "# 1 picture, 24x40 RGB." in Path("a.toml").read_text()
    assert ganforge("new", "b.toml", "--like", "celeba64-r3gan", "--data", pictures).code == 0
    assert "# 1 picture, 24x40 RGB." in Path("b.toml").read_text()
    assert ganforge("new", "c.toml", "--data", pictures, "--size", "32").code == 0
    assert "1 picture of 32x32 RGB" in Path("c.toml").read_text()
    Path("c.toml").unlink()
    again = ganforge("new", "c.toml", "--data", pictures, "--size", "64")
    assert (again.code, "c-shards: was packed before, to 32x32 and not 64x64" in again.err) == (2, True)


def test_pictures_that_a_network_would_refuse_at_their_size_are_made_smaller(pictures: Path, ganforge: Command) -> None:
    shutil.rmtree(pictures)
    pictures.mkdir()
    for index in range(3):
        Image.new("L", (70, 70), index * 100).save(pictures / f"{index}.png")
    assert ganforge("new", "--data", pictures).code == 0
    text = Path("my-pictures.toml").read_text()
    assert "3 pictures of 64x64 grey" in text
