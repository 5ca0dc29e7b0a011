import json
import os
import signal
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import pythons
import torch

from ganforge.data.shards.dataset import ShardDataset
from ganforge.data.shards.registered import shards
from ganforge.data.verify import verify
from ganforge.errors import DataError, GanforgeError
from ganforge.grid import to_uint8
from ganforge.sampling import Sampler, open_generator
from ganforge.sampling.shards import write_shards

NUM, PER_SHARD = 700, 300  # a shard is more than one batch


@pytest.fixture
def sampler(make_generator):
    return Sampler(open_generator(make_generator(conditional="embedding"), device="cpu"), seed=3)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_shards_are_a_dataset_of_the_samples_and_their_labels(sampler, tmp_path):
    write_shards(sampler, tmp_path / "made", num=NUM, per_shard=PER_SHARD)
    dataset = shards(tmp_path / "cache", path=str(tmp_path / "made"))
    assert dataset.shard_sizes == (300, 300, 100)
    assert dataset.spec == sampler.config.spec
    rows = np.empty((NUM, 8, 8, 1), np.uint8)
    assert dataset.read(np.arange(NUM), rows) == {}
    np.testing.assert_array_equal(dataset.labels, sampler.labels(range(NUM)))
    inside = []
    for path in sorted((tmp_path / "made").glob("*.tar")):
        with tarfile.open(path) as tar:
            members = [member for member in tar.getmembers() if member.name.endswith(".cls")]
            inside += [int(tar.extractfile(member).read()) for member in members]  # type: ignore[union-attr]
    np.testing.assert_array_equal(inside, dataset.labels)  # for other readers of WebDataset
    differing = np.abs(rows.astype(int) - to_uint8(sampler.many(NUM)).numpy().astype(int))
    assert differing.max() <= 1  # another batch size may round another way
    assert (differing == 0).mean() > 0.999
    assert sorted(content(tmp_path / "made")) == [
        "dataset.json",
        "labels.npy",
        *(f"shard-{number:06d}.{ending}" for number in range(3) for ending in ("idx", "tar")),
    ]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_any_number_of_ranks_in_any_order_writes_the_same_bytes(sampler, tmp_path, order):
    write_shards(sampler, tmp_path / "one", num=NUM, per_shard=PER_SHARD)
    for rank in order:
        assert not (tmp_path / "three").exists(), "complete before all ranks have made their part"
        write_shards(sampler, tmp_path / "three", num=NUM, per_shard=PER_SHARD, rank=rank, world_size=3)
    assert content(tmp_path / "three") == content(tmp_path / "one")


def test_what_was_killed_goes_on_and_keeps_finished_shards(sampler, tmp_path, monkeypatch):
    write_shards(sampler, tmp_path / "whole", num=NUM, per_shard=PER_SHARD)
    calls = []

    def die_in_the_third_shard(indices):
        calls.append(indices)
        if indices.start >= 600:
            raise KeyboardInterrupt
        return Sampler.__call__(sampler, indices)

    class Dying(Sampler):
        def __call__(self, indices):
            return die_in_the_third_shard(indices)

    with pytest.raises(KeyboardInterrupt):
        write_shards(Dying(sampler.network, 3), tmp_path / "killed", num=NUM, per_shard=PER_SHARD)
    with pytest.raises(DataError, match="not written to the end; run the same command again"):
        shards(tmp_path / "cache", path=str(tmp_path / "killed"))
    partial = tmp_path / "killed.partial"
    with open(partial / "shard-000001.tar", "r+b") as file:
        file.truncate(1000)  # and a disk that lost the end of one
    kept = (partial / "shard-000000.tar").stat().st_mtime_ns
    made = []
    write_shards(sampler, tmp_path / "killed", num=NUM, per_shard=PER_SHARD, progress=lambda *now: made.append(now))
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert (tmp_path / "killed" / "shard-000000.tar").stat().st_mtime_ns == kept
    assert made[-1] == (NUM, NUM)


def test_another_command_does_not_go_on_in_the_same_folder(sampler, tmp_path):
    write_shards(sampler, tmp_path / "made", num=NUM, per_shard=PER_SHARD, rank=0, world_size=2)
    other = Sampler(sampler.network, seed=4, truncation=0.5)
    with pytest.raises(GanforgeError, match="begun with another seed, truncation"):
        write_shards(other, tmp_path / "made", num=NUM, per_shard=PER_SHARD)
    write_shards(sampler, tmp_path / "made", num=NUM, per_shard=PER_SHARD, rank=1, world_size=2)
    assert "complete already" in write_shards(sampler, tmp_path / "made", num=NUM, per_shard=PER_SHARD)
    with pytest.raises(GanforgeError, match="holds something else"):
        write_shards(other, tmp_path / "made", num=NUM, per_shard=PER_SHARD)


def test_other_weights_do_not_go_on_in_the_same_folder(sampler, tmp_path):
    write_shards(sampler, tmp_path / "made", num=NUM, per_shard=PER_SHARD, rank=0, world_size=2)
    with torch.no_grad():
        next(sampler.network.parameters()).add_(1e-3)
    with pytest.raises(GanforgeError, match="begun with another weights"):
        write_shards(sampler, tmp_path / "made", num=NUM, per_shard=PER_SHARD)


def test_labels_that_the_generator_ignores_are_not_written(make_generator, tmp_path):
    plain = Sampler(open_generator(make_generator(conditional="none"), device="cpu"))
    write_shards(plain, tmp_path / "made", num=10)
    assert shards(tmp_path / "cache", path=str(tmp_path / "made")).labels is None


def test_large_colour_pictures_are_png_and_verify(make_generator, tmp_path):
    large = Sampler(open_generator(make_generator(shape=(3, 72, 72), conditional="none"), device="cpu"))
    write_shards(large, tmp_path / "made", num=20)
    dataset = shards(tmp_path / "cache", path=str(tmp_path / "made"))
    assert isinstance(dataset, ShardDataset)
    assert dataset.codec == "png"
    rows = np.empty((20, 72, 72, 3), np.uint8)
    assert dataset.read(np.arange(20), rows) == {}
    np.testing.assert_array_equal(rows, to_uint8(large(range(20))).numpy())
    assert verify(dataset).problems == []


def test_points_do_not_become_shards(make_generator, tmp_path):
    points = Sampler(open_generator(make_generator(shape=(2,)), device="cpu"))
    with pytest.raises(GanforgeError, match=r"points in 2 dimensions; leave out `shards=...`"):
        write_shards(points, tmp_path / "made", num=10)


def test_a_recipe_trains_on_generated_shards(sampler, tmp_path, ganforge):
    write_shards(sampler, tmp_path / "made", num=64)
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        f'name = "tiny"\noutput = "{tmp_path}"\ngenerator = "mlp"\ndiscriminator = "mlp"\n'
        f'[data]\nname = "shards"\npath = "{tmp_path / "made"}"\n[training]\nsteps = 2\nbatch_size = 16\n'
    )
    done = ganforge("train", recipe)
    assert done.code == 0, done.err
    assert "64 samples of 8x8 grey, 3 classes" in done.out


@pytest.mark.slow
def test_processes_that_are_killed_and_started_again_complete_the_set(make_generator, tmp_path):
    """Two ranks as a launcher starts them; one is killed, the other is late, and the same command goes on."""
    path = make_generator(shape=(3, 64, 64), conditional="embedding")
    command = ("-m", "ganforge", "sample", path, "--shards", "--n", 8000, "--per-shard", 256)

    def start(rank: int) -> pythons.Python:
        environment = os.environ | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        return pythons.start(*command, "--out", tmp_path / "made", env=environment)

    killed = start(0)
    partial = tmp_path / "made.partial"
    deadline = time.monotonic() + 60
    while not list(partial.glob("shard-*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    kept = {note.name for note in partial.glob("shard-*.json")}
    assert kept
    assert len(kept) < 16, "the rank was done before the kill"
    for rank in (1, 0):
        process = start(rank)
        process.communicate()
        assert process.returncode == 0
    manifest = json.loads((tmp_path / "made" / "dataset.json").read_text())
    assert manifest["count"] == 8000
    dataset = shards(tmp_path / "cache", path=str(tmp_path / "made"))
    assert isinstance(dataset, ShardDataset)
    assert verify(dataset).problems == []
