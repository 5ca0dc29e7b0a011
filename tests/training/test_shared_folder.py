"""Ranks that see a shared folder late, and ranks that do not see it at all."""

import threading
import time
from pathlib import Path

import pytest
import torch.distributed
from two_processes import launch_two

from ganforge.errors import GanforgeError
from ganforge.parallel.start import make_accelerator
from ganforge.recipe import resolve
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.training.saving import shared_folder
from ganforge.training.saving.resume import find_checkpoint
from ganforge.training.saving.shared_folder import agree_on_checkpoint, wait_for
from ganforge.training.session import run_session


def session(folder: str, steps: int, resume: bool) -> None:
    """Both ranks train; rank 1 sees the run folder under another name, which comes to be there two seconds late."""
    accelerator = make_accelerator("no")
    rank = accelerator.process_index
    own = Path(folder) / "runs" if rank == 0 else Path(folder) / "late"
    table = {
        "name": "tiny", "output": str(own), "data": {"name": "ring", "samples": 200, "cache_dir": folder},
        "generator": {"name": "mlp", "width": 8}, "discriminator": {"name": "mlp", "width": 8},
        "training": {"steps": steps, "batch_size": 8}, "samples": {"every": 0, "num": 16},
    }  # fmt: skip
    if rank == 1 and not resume:

        def appear() -> None:
            time.sleep(2)
            own.symlink_to(Path(folder) / "runs")

        threading.Thread(target=appear).start()
    assert run_session(resolve(table)) == 0


def test_a_rank_that_sees_the_run_folder_late_waits_for_it(tmp_path: Path) -> None:
    launch_two(session, (str(tmp_path), 3, False))
    checkpoint = Checkpoint(whole_checkpoints(tmp_path / "runs" / "tiny" / "checkpoints")[-1])
    assert checkpoint.rank(1) is not None


def stale(folder: str) -> None:
    """Rank 1 looks through an old copy of the folder, whose newest checkpoint is not the newest."""
    accelerator = make_accelerator("no")
    rank = accelerator.process_index
    own = Path(folder) / ("new" if rank == 0 else "old")
    found = find_checkpoint(own, "auto")
    assert found is not None
    if rank == 1:
        threading.Thread(target=lambda: (time.sleep(1.0), own.unlink(), own.symlink_to(Path(folder) / "new"))).start()
    agreed = agree_on_checkpoint(accelerator, own, found)
    assert agreed is not None
    assert agreed.path.name == "step-00000002"


def whole(folder: Path, step: int) -> None:
    path = folder / "checkpoints" / f"step-{step:08d}"
    path.mkdir(parents=True)
    (path / "checkpoint.json").write_text(f'{{"step": {step}, "files": {{}}}}')


def test_all_ranks_take_the_checkpoint_that_rank_0_sees(tmp_path: Path) -> None:
    whole(tmp_path / "new", 1)
    whole(tmp_path / "new", 2)
    whole(tmp_path / "older", 1)
    (tmp_path / "old").symlink_to(tmp_path / "older")
    launch_two(stale, (str(tmp_path),))


def unshared(folder: str) -> None:
    accelerator = make_accelerator("no")
    own = Path(folder) / str(accelerator.process_index)
    own.mkdir()
    shared_folder.PATIENCE = 0.5
    if accelerator.process_index == 0:  # rank 1 leaves, and takes the connection with it
        with pytest.raises(RuntimeError):
            agree_on_checkpoint(accelerator, own, None)
        return
    with pytest.raises(GanforgeError, match=r"rank 1 on .* does not see what rank 0 writes there; the folder must lie"):
        agree_on_checkpoint(accelerator, own, None)
    torch.distributed.destroy_process_group()
    raise SystemExit(0)


def test_a_run_folder_that_the_ranks_do_not_share_is_told(tmp_path: Path) -> None:
    launch_two(unshared, (str(tmp_path),))


def test_waiting_ends(tmp_path: Path) -> None:
    began = time.monotonic()
    assert not wait_for(tmp_path / "never", Path.exists, patience=0.3)
    assert not wait_for(tmp_path / "neither" / "this", Path.exists, patience=0.3)
    assert time.monotonic() - began < 5
