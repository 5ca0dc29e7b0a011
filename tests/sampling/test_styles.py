"""Sampling and walking in the space of styles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ganforge.errors import GanforgeError
from ganforge.sampling import Sampler, open_generator
from ganforge.sampling.interpolate import walk


def test_psi_makes_samples_less_varied_and_0_makes_one_of_them(styled: Path) -> None:
    spread = []
    for psi in (None, 0.5, 0.0):
        sampler = Sampler(open_generator(styled, device="cpu"), psi=psi)
        spread.append(sampler.many(50).std(dim=0).mean())
    assert spread[0] > spread[1] > spread[2]
    assert spread[2] < 1e-5


def test_psi_of_a_generator_without_styles_is_refused_with_the_remedy(make_generator: Callable[..., Path]) -> None:
    network = open_generator(make_generator(), device="cpu")
    with pytest.raises(
        GanforgeError, match=r"`psi=0.7`: this generator has no space of styles .*; `truncation=...` bounds"
    ):
        Sampler(network, psi=0.7)


def test_a_walk_is_straight_between_styles_and_stops_at_the_samples(styled: Path) -> None:
    network = open_generator(styled, device="cpu")
    sampler = Sampler(network, psi=0.8)
    frames = walk(sampler, walks=2, stops=3, frames=4, loop=False)
    samples = sampler.many(6)
    assert frames.shape == (9, 2, 1, 16, 16)
    for stop in range(3):
        torch.testing.assert_close(frames[4 * stop], samples[[stop, 3 + stop]], rtol=1e-4, atol=1e-5)
    styles: Any = network.styles(sampler.latents(range(2)))  # type: ignore[operator]
    with torch.no_grad():
        halfway = network.pictures(styles.mean(dim=0, keepdim=True))  # type: ignore[operator]
    torch.testing.assert_close(frames[2, :1], halfway, rtol=1e-4, atol=1e-5)


def test_shards_that_go_on_under_another_psi_are_refused(
    ganforge: Callable[..., Any], styled: Path, tmp_path: Path
) -> None:
    command = ("sample", styled, "--shards", "--n", "8", "--out", tmp_path / "made")
    assert ganforge(*command, "--psi", "0.7").code == 0
    assert ganforge(*command, "--psi", "0.7").code == 0
    done = ganforge(*command, "--psi", "0.5")
    assert done.code == 2
    assert "holds something else" in done.err


def test_the_command_walks_and_draws_with_psi(ganforge: Callable[..., Any], styled: Path, tmp_path: Path) -> None:
    assert ganforge("sample", styled, "--n", "4", "--psi", "0.5", "--out", tmp_path / "a.png").code == 0
    assert ganforge("interpolate", styled, "--psi", "0.5", "--out", tmp_path / "walk.png").code == 0
