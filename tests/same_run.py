"""Two run folders that must hold the same run, bit for bit."""

import json
from pathlib import Path
from typing import Any

import torch

from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints


def figures(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timings = ("images_per_second", "data/wait_share", "evaluation/seconds", "evaluation/share")
    return [{key: value for key, value in line.items() if key not in timings} for line in lines]


def assert_same_run(one: Path, other: Path) -> None:
    """Bit for bit: log, pictures, networks, optimizers, random states."""
    assert figures(one) == figures(other)
    pictures = sorted((one / "samples").glob("*.png"))
    assert pictures[-1].read_bytes() == (other / "samples" / pictures[-1].name).read_bytes()
    a, b = (Checkpoint(whole_checkpoints(folder / "checkpoints")[-1]) for folder in (one, other))
    for name in ("generator", "discriminator", "averaged"):
        mine, theirs = a.tensors(name), b.tensors(name)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert_equal(a.plain("training"), b.plain("training"))
    assert_equal(a.rank(0), b.rank(0))
    assert samples_read(a) == samples_read(b)
    for key in ("step", "images", "best"):
        assert a.state[key] == b.state[key]


def samples_read(checkpoint: Checkpoint) -> int:
    """Of the dataset; checkpoints of before 0.1.0 count batches, whose size never changed."""
    state = checkpoint.state
    return state["loader"]["samples"] if "loader" in state else state["batches"] * state["images"] // state["step"]


def assert_equal(one: Any, other: Any) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_equal(mine, theirs)
    else:
        assert one == other
