"""Pictures through a translator: any size, tiles, folders, several processes, and where translators are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ganforge.errors import CheckpointError, GanforgeError
from ganforge.evaluation.saved import evaluate_saved
from ganforge.export.write import export
from ganforge.game.ways import BothWays, WayName
from ganforge.registry import register
from ganforge.sampling.draw import open_generator
from ganforge.sampling.translate import Tiles, Translator, mirrored
from ganforge.sampling.translated_files import translate_files
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import flat_state, load_generator, read_config, save_generator
from ganforge.search.write import write_inpainted
from ganforge.spec import DataSpec

GREY = DataSpec((1, 16, 16))
RGB = DataSpec((3, 16, 16))
RESNET: dict[str, Any] = {"name": "resnet_translator", "width": 4, "blocks": 1}


def make(table: dict[str, Any], spec: DataSpec, source: DataSpec, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return register.generator.make(table["name"], spec, source, **{k: v for k, v in table.items() if k != "name"})


def saved(folder: Path, table: dict[str, Any] = RESNET, spec: DataSpec = RGB, source: DataSpec = GREY) -> Path:
    path = folder / "generator.safetensors"
    state = flat_state(make(table, spec, source))
    save_generator(path, state, GeneratorConfig(generator=table, spec=spec, source=source, run="test"))
    return path


def pictures(folder: Path, *sizes: tuple[int, int]) -> Path:
    """Grey PNGs of height x width, named by their place."""
    random = np.random.default_rng(0)
    for number, size in enumerate(sizes):
        path = folder / f"part{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, size, dtype=np.uint8)).save(path)
    return folder


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.height, picture.width


def test_pictures_of_any_size_keep_it_their_names_and_folders(tmp_path: Path) -> None:
    run = saved(tmp_path)
    folder = pictures(tmp_path / "in", (16, 16), (13, 30), (1, 1), (40, 9))
    line = translate_files(run, [folder], tmp_path / "out")
    assert line == f"4 pictures in {tmp_path / 'out'}"
    made = {path.relative_to(tmp_path / "out").as_posix(): size_of(path) for path in (tmp_path / "out").rglob("*.png")}
    assert made == {"part0/0.png": (16, 16), "part1/1.png": (13, 30), "part0/2.png": (1, 1), "part1/3.png": (40, 9)}
    with Image.open(tmp_path / "out" / "part0" / "0.png") as picture:
        assert picture.mode == "RGB"


def test_a_size_that_divides_is_not_touched_by_padding(tmp_path: Path) -> None:
    translator = Translator(load_generator(saved(tmp_path)))
    seen = torch.rand(2, 1, 20, 12) * 2 - 1
    torch.testing.assert_close(translator(seen), translator.network(seen, None))


def test_pictures_are_mirrored_up_to_what_the_network_takes() -> None:
    row = torch.arange(3.0).view(1, 1, 1, 3)
    assert mirrored(row, 1, 8).flatten().tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert mirrored(torch.ones(1, 1, 1, 1), 4, 4).shape == (1, 1, 4, 4)


def test_tiles_blend_into_what_a_local_network_makes_of_the_whole(tmp_path: Path) -> None:
    """Without norms a tile differs near its borders only, where it weighs least."""
    table = {"name": "unet_translator", "width": 4, "depth": 2, "norm": "none"}
    network = load_generator(saved(tmp_path, table, GREY, GREY))
    seen = torch.rand(1, 1, 70, 90) * 2 - 1
    whole = Translator(network)(seen)
    apart = {}
    for overlap in (0, 16):
        tiled = Translator(network, Tiles(32, overlap))
        assert tiled.warnings() == []
        apart[overlap] = (tiled(seen) - whole).abs()
        assert apart[overlap].isfinite().all(), "every pixel belongs to a tile"
        assert float(apart[overlap][:, :, :8, :8].max()) < 1e-6, "far from the borders between tiles"
    assert float(apart[16].max()) < 0.7 * float(apart[0].max())


def test_a_norm_over_the_whole_picture_is_said_where_tiles_are_wanted(tmp_path: Path) -> None:
    said: list[str] = []
    folder = pictures(tmp_path / "in", (40, 40))
    translate_files(saved(tmp_path), [folder], tmp_path / "out", tiles=Tiles(16, 8), say=said.append)
    assert len(said) == 1
    assert "InstanceNorm2d" in said[0]
    translate_files(saved(tmp_path), [folder], tmp_path / "whole", say=said.append)
    assert len(said) == 1


def test_results_beside_their_sources_enlarged_first_by_the_factor(tmp_path: Path) -> None:
    table = {"name": "unet_translator", "width": 4, "depth": 2}
    run = saved(tmp_path, table, DataSpec((1, 32, 32)), DataSpec((1, 8, 8)))
    folder = pictures(tmp_path / "in", (5, 7))
    translate_files(run, [folder / "part0" / "0.png"], tmp_path / "out", side=True)
    assert size_of(tmp_path / "out" / "0.png") == (20, 56)
    translate_files(run, [folder], tmp_path / "sized", size=10)
    assert size_of(tmp_path / "sized" / "part0" / "0.png") == (40, 56)


def test_the_same_command_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    run, out = saved(tmp_path), tmp_path / "out"
    folder = pictures(tmp_path / "in", (16, 16), (16, 20), (16, 24))
    translate_files(run, [folder], out)
    (out / "part1" / "1.png").unlink()
    assert translate_files(run, [folder], out) == f"1 picture in {out}; 2 were there already"
    with pytest.raises(GanforgeError, match="of other options"):
        translate_files(run, [folder], out, side=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("")
    with pytest.raises(GanforgeError, match="is not empty"):
        translate_files(run, [folder], tmp_path / "other")


def test_processes_share_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, folder = saved(tmp_path), pictures(tmp_path / "in", *[(16, 16)] * 5)
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, count in ((1, 2), (0, 3)):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        line = translate_files(run, [folder], tmp_path / "out")
        assert line.startswith(f"rank {rank} of 2: {count} pictures")
    assert len(list((tmp_path / "out").rglob("*.png"))) == 5


def test_two_pictures_of_one_name_and_files_that_are_none_are_refused(tmp_path: Path) -> None:
    run = saved(tmp_path)
    folder = pictures(tmp_path / "in", (16, 16))
    with pytest.raises(GanforgeError, match="would have the name"):
        translate_files(run, [folder / "part0" / "0.png", folder / "part0"], tmp_path / "out")
    with pytest.raises(GanforgeError, match="no such picture"):
        translate_files(run, [tmp_path / "nothing.png"], tmp_path / "out")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(GanforgeError, match=r"bad\.png"):
        translate_files(run, [tmp_path / "bad.png"], tmp_path / "bad")


def test_a_file_of_two_ways_gives_either(tmp_path: Path) -> None:
    both = BothWays(make(RESNET, RGB, GREY), make(RESNET, GREY, RGB, seed=1))
    path = tmp_path / "generator.safetensors"
    config = GeneratorConfig(generator=RESNET, spec=RGB, source=GREY, ways=("there", "back"), run="test")
    save_generator(path, flat_state(both), config)
    assert read_config(path) == config
    folder = pictures(tmp_path / "in", (16, 16))
    modes: dict[WayName, str] = {"there": "RGB", "back": "L"}
    for way, mode in modes.items():
        translate_files(path, [folder], tmp_path / way, way=way)
        with Image.open(tmp_path / way / "part0" / "0.png") as picture:
            assert picture.mode == mode
    seen = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(load_generator(path, way="back")(seen), both.back.eval()(seen))
    with pytest.raises(CheckpointError, match="holds one generator, from sources to targets"):
        load_generator(saved(tmp_path), way="back")


def test_generators_of_latents_translate_nothing_and_translators_draw_nothing(tmp_path: Path) -> None:
    run = saved(tmp_path)
    with pytest.raises(GanforgeError, match="use `ganforge translate`"):
        open_generator(run)
    with pytest.raises(GanforgeError, match="does not say what to translate"):
        evaluate_saved(run, metrics=["ssim"], against="digits")
    table = {"name": "dcgan", "width": 4, "latent_dim": 8}
    network = register.generator.make("dcgan", GREY, width=4, latent_dim=8)
    path = tmp_path / "latents" / "generator.safetensors"
    path.parent.mkdir()
    save_generator(path, flat_state(network), GeneratorConfig(generator=table, spec=GREY))
    with pytest.raises(GanforgeError, match="use `ganforge sample`"):
        translate_files(path, [pictures(tmp_path / "in", (16, 16))], tmp_path / "out")


@pytest.mark.parametrize(
    "table", [RESNET, {"name": "unet_translator", "width": 4, "depth": 2}], ids=lambda t: t["name"]
)
def test_an_exported_translator_takes_any_size(tmp_path: Path, table: dict[str, Any]) -> None:
    run = saved(tmp_path, table)
    line = export(run, "torch-export", out=tmp_path / "translator.pt2")
    assert "checked" in line
    program = torch.export.load(tmp_path / "translator.pt2").module()
    network = load_generator(run)
    for height, width in ((16, 16), (24, 40), (64, 12)):
        seen = torch.rand(3, 1, height, width)
        torch.testing.assert_close(program(seen), network(seen, None), rtol=0, atol=1e-5)


def test_a_unet_down_to_one_position_is_exported_at_its_own_size(tmp_path: Path) -> None:
    """A graph that has seen one position takes no other number of them."""
    run = saved(tmp_path, {"name": "unet_translator", "width": 4, "depth": 4})
    export(run, "torch-export", out=tmp_path / "translator.pt2")
    program, network = torch.export.load(tmp_path / "translator.pt2").module(), load_generator(run)
    seen = torch.rand(5, 1, 16, 16)
    torch.testing.assert_close(program(seen), network(seen, None), rtol=0, atol=1e-5)


def test_a_translator_fills_holes_in_one_forward(tmp_path: Path) -> None:
    run = saved(tmp_path, RESNET, RGB, RGB)
    given = tmp_path / "given.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(given)
    line = write_inpainted(run, [given], mask="4,4,12,12", out=tmp_path / "out")
    assert line.startswith("1 filled picture")
    with Image.open(given) as before, Image.open(tmp_path / "out" / "given.png") as after:
        same = (np.asarray(before) == np.asarray(after)).all(axis=2)
    assert same[:4].all()
    assert same[:, 12:].all()
    assert not same[4:12, 4:12].all()
    with pytest.raises(GanforgeError, match="targets with holes"):
        write_inpainted(saved(tmp_path), [given], mask="4,4,12,12", out=tmp_path / "other")


def test_a_card_says_how_to_translate(tmp_path: Path) -> None:
    run = saved(tmp_path)
    export(run, "hub", out=tmp_path / "hub")
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "pipeline_tag: image-to-image" in card
    assert "ganforge translate" in card
    assert "torch.rand(16, 1, 16, 16)" in card
