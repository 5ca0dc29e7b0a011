"""What a recipe is chosen by, without a picture or a machine: the choice is a function of plain figures."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ganforge.fitting.choices import choose
from ganforge.fitting.facts import Facts, Machine
from ganforge.fitting.sizes import packed_size
from ganforge.fitting.write import fitted_text, name_for
from ganforge.recipe import resolve
from ganforge.spec import DataSpec
from ganforge.toml_files import tables_of

CPU = Machine("cpu", memory=16 * 10**9)
GPU = Machine("gpu", "some GPU", 80 * 10**9, has_inception=True)
BOTH = ("dcgan", "stylegan2", "r3gan")


def facts(count: int = 3_000, side: int = 64, channels: int = 3, classes: tuple[int, ...] = (), **more: Any) -> Facts:
    spec = DataSpec((channels, side, side), tuple(map(str, range(len(classes)))))
    return Facts(**{"count": count, "spec": spec, "class_counts": classes, "families": BOTH, "machine": CPU, **more})


def tables(given: Facts) -> dict[str, Any]:
    return tables_of(fitted_text(Path("mine.toml"), "data/mine", given))


CASES = {
    "digits": facts(1_797, 32, 1, (180,) * 10),
    "200 digits": facts(200, 32, 1, (20,) * 10),
    "photographs": facts(),
    "many": facts(200_000),
    "hundreds": facts(300),
    "of a size for stylegan2 only": facts(300, 96, families=("stylegan2",)),
    "on several processes": facts(machine=replace(CPU, processes=3)),
    "in little memory": facts(side=256, machine=replace(CPU, memory=10**9)),
    "with inception": facts(machine=replace(CPU, has_inception=True)),
    "gpu": facts(machine=GPU),
    "gpu, many": facts(70_000, 256, machine=GPU),
    "gpu, of a size for dcgan only": facts(machine=GPU, families=("dcgan",)),
    "gpu, grey classes": facts(60_000, 28, 1, (6_000,) * 10, machine=GPU),
    "gpu, 1024": facts(3_000, 1024, machine=GPU),
    "gpu, 2048": facts(3_000, 2048, machine=GPU),
    "old gpu": facts(3_000, 256, machine=replace(GPU, memory=4 * 10**9, has_inception=False)),
    "8 gpus": facts(70_000, 256, machine=replace(GPU, processes=8)),
    "3 gpus": facts(70_000, 256, machine=replace(GPU, processes=3)),
    "100 gpus": facts(70_000, 256, machine=replace(GPU, processes=100)),
}


@pytest.mark.parametrize("given", CASES.values(), ids=CASES)
def test_what_is_chosen_is_a_whole_recipe_that_says_why(given: Facts) -> None:
    text = fitted_text(Path("mine.toml"), "data/mine", given)
    assert text == fitted_text(Path("mine.toml"), "data/mine", given)
    recipe = resolve(tables_of(text), "mine.toml")
    assert recipe.training.batch_size % given.machine.processes == 0
    on_a_rank = recipe.training.batch_size // given.machine.processes
    assert on_a_rank % recipe.training.discriminator_micro_batches == 0
    assert max(map(len, text.splitlines())) <= 120
    tables_without_reason = [
        section.header
        for section in choose(given)
        if section.header not in ("optimizer.discriminator",) and not section.why
    ]
    assert tables_without_reason in ([], ["discriminator", "objective"])  # of StyleGAN2, said at the generator


def test_networks_on_a_gpu_are_those_of_the_authors_auto_configuration() -> None:
    """Figures of train.py of stylegan2-ada-pytorch for 256x256 on one GPU and on eight, and for 1024x1024 on one."""
    one = tables(facts(3_000, 256, machine=GPU))
    assert one["training"]["batch_size"] == 16
    assert one["training"]["ema"] == pytest.approx(5_000)
    assert one["penalties"][0]["gamma"] == pytest.approx(0.8192, rel=1e-3)
    assert one["generator"]["channel_base"] == 16_384
    assert one["optimizer"]["generator"]["lr"] == 0.0025
    assert one["discriminator"]["minibatch_std"] == 4
    eight = tables(CASES["8 gpus"])
    assert (eight["training"]["batch_size"], eight["penalties"][0]["gamma"]) == (64, pytest.approx(0.2048, rel=1e-3))
    large = tables(CASES["gpu, 1024"])
    assert (large["training"]["batch_size"], large["optimizer"]["generator"]["lr"]) == (4, 0.002)
    assert large["generator"]["channel_base"] == 32_768


def test_the_batch_is_cut_where_the_memory_is_small() -> None:
    assert "discriminator_micro_batches" not in tables(CASES["gpu"])["training"]
    assert tables(CASES["old gpu"])["training"]["discriminator_micro_batches"] == 2
    assert tables(CASES["old gpu"])["training"]["batch_size"] == 16, "the batch is the same, in pieces"
    assert tables(CASES["in little memory"])["training"]["batch_size"] < 32


def test_steps_follow_the_number_of_pictures() -> None:
    shown = {
        count: math.prod(tables(facts(count))["training"][key] for key in ("steps", "batch_size"))
        for count in (100, 1_000, 3_000, 6_000, 10**6)
    }
    assert shown[100] == shown[1_000] < shown[3_000] < shown[6_000] < shown[10**6]
    assert shown[3_000] == pytest.approx(32 * 3_000, rel=0.05)
    images = {name: tables(CASES[name])["training"] for name in ("gpu", "gpu, many")}
    assert {name: table["steps"] * table["batch_size"] for name, table in images.items()} == {
        "gpu": 5_000_000, "gpu, many": 25_000_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("classes", "is_conditional"), [((), False), ((3_000,), False), ((2_000, 1_000), True), ((2_950, 50), False)]
)
@pytest.mark.parametrize("machine", [CPU, GPU])
def test_networks_look_at_classes_that_have_enough_pictures(
    classes: tuple[int, ...], is_conditional: bool, machine: Machine
) -> None:
    found = tables(facts(classes=classes, machine=machine))
    assert ("conditional" in found["generator"], "conditional" in found["discriminator"]) == (is_conditional,) * 2


def test_the_metric_is_one_that_can_be_had() -> None:
    assert tables(CASES["digits"])["evaluation"]["extractor"] == "digits-cnn"
    assert "evaluation" not in tables(CASES["photographs"])
    assert tables(CASES["with inception"])["evaluation"]["metrics"] == ["kid"]
    assert "every" not in tables(CASES["with inception"])["evaluation"], "a CPU is asked at the end only"
    assert tables(CASES["gpu, many"])["evaluation"]["metrics"] == ["fid"]
    few = tables(facts(300, machine=GPU))["evaluation"]["metrics"]
    assert few == [{"name": "kid", "subset_size": 300}], "subsets of KID cannot be larger than the dataset"
    text = fitted_text(Path("mine.toml"), "data/mine", CASES["photographs"])
    lines = text.splitlines()
    start = lines.index("# [evaluation]")
    uncommented = "\n".join([*lines[:start], *(line.removeprefix("# ") for line in lines[start:])])
    assert resolve(tables_of(uncommented), "mine.toml").evaluation.metrics, "the comment is a table to be uncommented"


def test_many_small_pictures_on_a_gpu_are_told_of_r3gan() -> None:
    told = [name for name, given in CASES.items() if "ffhq64-r3gan" in fitted_text(Path("a.toml"), "data", given)]
    assert told == ["gpu, grey classes"]


def test_a_gpu_augments_as_much_as_is_needed() -> None:
    assert tables(CASES["gpu"])["augment"][0]["name"] == "ada"


# --- the size that pictures are packed to -------------------------------------------------------


def powers(height: int, width: int) -> bool:
    return height == width and height in (16, 32, 64, 128, 256)


def eights(height: int, width: int) -> bool:
    return height % 8 == 0 and width % 8 == 0


@pytest.mark.parametrize(
    ("sizes", "accepts", "expected"),
    [
        ([(48, 80)] * 3, eights, (48, 80)),
        ([(48, 80)] * 3, powers, (32, 32)),
        ([(100, 100)] * 3, lambda *_: True, (64, 64)),
        ([(100, 60)] * 3, eights, (80, 48)),
        ([(1024, 1024)], powers, (64, 64)),
        ([(1024, 768), (512, 384)], eights, (64, 48)),
        ([(40, 40)], powers, (32, 32)),
        ([(40, 40)], eights, (40, 40)),
        ([(500, 333), (333, 500), (400, 300)], powers, (64, 64)),
        ([(20, 20), (200, 200), (200, 200), (200, 200), (200, 200)], eights, (64, 64)),
        ([(200, 1)] * 3, eights, (192, 8)),
    ],
)
def test_pictures_keep_their_size_or_are_made_as_small_as_the_machine_needs(sizes, accepts, expected) -> None:
    height, width, why = packed_size(sizes, 64, accepts)
    assert (height, width) == expected
    assert why


def test_a_size_that_no_network_makes_is_told() -> None:
    with pytest.raises(ValueError, match="pictures of 5x5 are too small for any network"):
        packed_size([(5, 5)], 64, lambda *_: False)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("pictures", "pictures"), ("data/my pictures/", "my-pictures"), ("~/x/faces.zip", "faces"),
        ("torchvision:CIFAR10?root=a/b&split=train", "CIFAR10"), ("hf:owner/cats", "cats"), ("ü", "mine"),
        ("a/{000..009}.tar", "000..009"), ("digits", "digits"), (".", None),
    ],
)  # fmt: skip
def test_a_recipe_is_called_like_its_data(data: str, name: str | None, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "around"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert name_for(data) == (name or "around")
