"""A process that stands still, as on a machine that has lost its power; needs no network of its own."""

import os
import signal
import time
from pathlib import Path

import pytest
from accelerate.state import PartialState
from torch.multiprocessing.spawn import ProcessExitedException
from two_processes import DDP, launch_two

from ganforge.game.penalty import Penalty
from ganforge.recipe import load
from ganforge.registry import register
from ganforge.training.session import run_session

RECIPE = """
name = "frozen"
generator = {name = "mlp", width = 16, latent_dim = 4}
discriminator = {name = "mlp", width = 16}
data = {name = "ring", samples = 1000}
penalties = ["test-freezes"]

[training]
steps = 100000
batch_size = 32
"""


class FreezesRankOne(Penalty):
    """Stops the process of rank 1, threads and all."""

    player = "generator"
    sees_real = False

    def __call__(self, turn):
        if turn.step == 50 and PartialState().process_index == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        return turn.fake.mean() * 0.0


def freeze_soon() -> None:
    register.penalty("test-freezes")(FreezesRankOne)


def train(path: str) -> None:
    run_session(load(path))


@pytest.mark.soak
def test_a_rank_that_stands_still_ends_the_others_with_the_exit_code_of_a_lost_host(tmp_path, monkeypatch):
    path = Path(tmp_path) / "frozen.toml"
    path.write_text(f'output = "{tmp_path}/runs"\n{RECIPE}')
    began = time.monotonic()
    with pytest.raises(ProcessExitedException) as end:
        launch_two(train, (str(path),), {**DDP, "GANFORGE_HOST_TIMEOUT": "4"}, freeze_soon)
    assert (end.value.error_index, end.value.exit_code) == (0, 2)
    assert time.monotonic() - began < 90
