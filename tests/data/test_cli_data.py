"""`ganforge data` and `ganforge bench data` do what they say, on the command line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import typer
from conftest import encoded, smooth_pictures
from PIL import Image
from typer.testing import CliRunner

from ganforge.cli.bench_data import bench_data
from ganforge.cli.data import app
from ganforge.data.shards.registered import open_folder
from ganforge.errors import DataError

runner = CliRunner()


def run(*arguments: object) -> str:
    result = runner.invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_pack_inspect_verify_export_round_trip(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = ("--cache-dir", tmp_path / "cache")
    said = run("pack", picture_folder, "packed", "--size", "32", "--workers", "1", *cache)
    assert re.search(r"packed: 300 samples, 32x32 RGB, 3 classes, codec raw, 1 shard,", said)
    shown = run("inspect", "packed", "--num", "9", *cache)
    for part in ("300", "32x32 RGB", "raw", "ant (100), bee (100), cat (100)", "packed-sheet.png"):
        assert part in shown
    with Image.open("packed-sheet.png") as sheet:
        assert sheet.width > 3 * 32
        assert len(set(np.asarray(sheet).ravel().tolist())) > 50
    assert "300 samples in 1 shard, as the manifest says" in run("verify", "packed", *cache)
    run("export", "packed", "back", *cache)
    assert sorted(path.name for path in Path("back").iterdir()) == ["ant", "bee", "cat"]
    run("pack", "back", "again", "--size", "32", "--workers", "1", *cache)
    first, second = open_folder(Path("packed")), open_folder(Path("again"))
    left, right = (np.empty((300, 32, 32, 3), np.uint8) for _ in range(2))
    first.read(np.arange(300), left)
    second.read(np.arange(300), right)
    assert np.array_equal(np.unique(left, axis=0), np.unique(right, axis=0))


def test_verify_ends_with_an_error_that_counts(raw_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in raw_folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    data = bytearray((copy / "shard-000001.tar").read_bytes())
    data[3000] ^= 255
    (copy / "shard-000001.tar").write_bytes(data)
    with pytest.raises(DataError, match=r"1 problem in 300 samples of \d shards"):
        run("verify", copy, "--cache-dir", tmp_path / "cache")


def test_index_writes_idx_beside_foreign_tars(tmp_path: Path) -> None:
    from webdataset.writer import TarWriter

    with TarWriter(str(tmp_path / "x.tar")) as sink:
        sink.write({"__key__": "a", "png": encoded(smooth_pictures(1, 8)[0]), "cls": 1})
    assert ": 1 sample\n" in run("index", tmp_path)
    assert re.fullmatch(r"v1\.2 1\ncls \d+ 1 a\.cls png \d+ \d+ a\.png\n", (tmp_path / "x.idx").read_text())


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="`channels=2`"):
        run("pack", "digits", tmp_path / "x", "--channels", "2")
    with pytest.raises(DataError, match="`max_bad="):
        run("pack", "digits", tmp_path / "x", "--max-bad", "few")
    with pytest.raises(DataError, match="a share up to 100%"):
        run("pack", "digits", tmp_path / "x", "--max-bad", "150%")
    with pytest.raises(DataError, match="no such file or folder"):
        run("inspect", tmp_path / "none")


def test_digits_are_packed_by_name(tmp_path: Path) -> None:
    assert "1,797 samples, 28x28 grey, 10 classes" in run("pack", "digits", tmp_path / "digits", "--size", "28")


def test_the_manifest_says_how_it_was_made(raw_folder: Path) -> None:
    assert json.loads((raw_folder / "dataset.json").read_text())["made_with"]["codec"] == "raw"


def test_bench_names_every_reader_and_the_choice(jpeg_folder: Path, tmp_path: Path) -> None:
    bench = typer.Typer()
    bench.command()(bench_data)
    result = runner.invoke(
        bench, [str(jpeg_folder), "--seconds", "0.1", "--batch-size", "16", "--cache-dir", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    for part in ("device", "host", "encoded", "webdataset", "'raw' needs shards of raw arrays", "auto takes:"):
        assert part in result.output, part


def test_bench_takes_a_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'name = "r"\n[data]\nname = "digits"\nsize = 16\n[generator]\nname = "dcgan"\n'
        '[discriminator]\nname = "dcgan"\n[training]\nsteps = 1\nbatch_size = 20\n'
    )
    bench = typer.Typer()
    bench.command()(bench_data)
    result = runner.invoke(bench, [str(recipe), "--seconds", "0.1", "--cache-dir", str(tmp_path / "cache")])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "batch 20 on" in result.output
