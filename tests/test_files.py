"""Everything that a run, a cache and an export leave can be read by whom the umask lets read it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ganforge.data.digits import digits
from ganforge.export.write import NAMES, export
from ganforge.files import replaced_folder
from ganforge.metrics import extractors
from ganforge.metrics.extractors import DigitsCNN
from ganforge.metrics.reference import ReferenceCache
from ganforge.saved.checkpoint_writer import CheckpointWriter
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import build_generator, flat_state, save_generator
from ganforge.spec import DataSpec


@pytest.fixture(params=[0o022, 0o007], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in files}


def generator_file(folder: Path) -> Path:
    config = GeneratorConfig({"name": "mlp", "width": 8, "latent_dim": 4}, DataSpec((1, 8, 8)))
    path = folder / "generator.last.safetensors"
    save_generator(path, flat_state(build_generator(config)), config)
    return path


def test_files_of_a_run_and_a_cache_have_the_mode_of_the_umask(tmp_path, umask):
    generator_file(tmp_path)
    writer = CheckpointWriter(tmp_path / "checkpoints", 1)
    writer.stage()
    writer.write_rank(0, {})
    writer.write_tensors("generator", {"weight": torch.zeros(3)})
    writer.commit({"step": 1})
    ReferenceCache(tmp_path).save({"reals": {"digest": "0"}, "view": "samples", "form": "rows"}, torch.zeros(3))
    dataset = digits(tmp_path, size=8, limit=64)
    DigitsCNN(dataset, tmp_path, epochs=1)
    found = modes(tmp_path)
    assert sum(name.endswith(".safetensors") for name in found) == 4
    assert found == dict.fromkeys(found, 0o666 & ~umask)


@pytest.mark.parametrize("to", NAMES)
def test_exports_have_the_mode_of_the_umask(tmp_path, umask, to):
    export(generator_file(tmp_path), to, out=tmp_path / "out" / NAMES[to])
    found = modes(tmp_path / "out")
    assert found
    assert found == dict.fromkeys(found, 0o666 & ~umask)


def test_a_cache_that_somebody_else_filled_is_read_without_a_lock(tmp_path, monkeypatch):
    """A lock file that another user has made cannot be opened for writing."""
    first = DigitsCNN(digits(tmp_path, size=8, limit=64), tmp_path, epochs=1)

    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr(extractors, "FileLock", refuse)
    monkeypatch.setattr("ganforge.data.digits.FileLock", refuse)
    again = DigitsCNN(digits(tmp_path, size=8, limit=64), tmp_path, epochs=1)
    assert np.array_equal(again(torch.zeros(1, 1, 8, 8)), first(torch.zeros(1, 1, 8, 8)))


def test_a_folder_that_fails_on_the_way_leaves_the_one_that_was_there(tmp_path: Path) -> None:
    for text in ("before", "after"):
        with replaced_folder(tmp_path / "out") as making:
            (making / text).write_text(text)
    with pytest.raises(IsADirectoryError), replaced_folder(tmp_path / "out") as making:
        making.write_text("half")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["after"]
