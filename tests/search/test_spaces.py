"""Searching in the space of styles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganforge.errors import GanforgeError
from ganforge.models.style_space import StyledGenerator
from ganforge.sampling import Sampler
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import build_generator, flat_state, load_generator, save_generator
from ganforge.search.latents import SearchOptions, search
from ganforge.search.losses import projection_loss
from ganforge.spec import DataSpec

TABLE = {
    "name": "stylegan2",
    "latent_dim": 16,
    "w_dim": 16,
    "mapping_layers": 8,
    "channel_base": 128,
    "channel_max": 16,
}


@pytest.fixture
def styled(tmp_path: Path) -> Path:
    """A file of a generator whose mean style is that of its latents."""
    config = GeneratorConfig(TABLE, DataSpec((1, 16, 16)))
    torch.manual_seed(0)
    network = build_generator(config)
    assert isinstance(network, StyledGenerator)
    with torch.no_grad():
        network.mapping.w_avg.copy_(network.mapping(torch.randn(2000, 16), None).mean(dim=0))
    save_generator(tmp_path / "styled.safetensors", flat_state(network), config)
    return tmp_path / "styled.safetensors"


def decibels(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Peak signal to noise ratio of pictures in [-1, 1], the mean over pictures."""
    return float((10 * (4 / (found - wanted).square().flatten(1).mean(dim=1)).log10()).mean())


def test_a_sample_of_the_generator_is_found_in_w_and_better_than_in_z(styled: Path) -> None:
    network = load_generator(styled)
    wanted = Sampler(network, seed=5).many(3)
    found = {}
    for space in ("z", "w", "w+"):
        options = SearchOptions(steps=200, restarts=2, space=space)  # type: ignore[arg-type]
        found[space] = decibels(search(network, projection_loss(wanted), 3, options).samples, wanted)
    print(found)
    assert found["w"] > 60
    assert found["w"] > found["z"] + 20
    assert found["w+"] > 30


def test_the_space_of_styles_is_what_is_searched_unless_another_is_asked_for(styled: Path) -> None:
    network = load_generator(styled)
    wanted = torch.zeros(2, 1, 16, 16)
    shapes = {}
    for space in ("auto", "z", "w", "w+"):
        options = SearchOptions(steps=2, restarts=2, space=space)  # type: ignore[arg-type]
        shapes[space] = tuple(search(network, projection_loss(wanted), 2, options).latents.shape)
    assert shapes == {"auto": (2, 1, 16), "z": (2, 16), "w": (2, 1, 16), "w+": (2, 6, 16)}


def test_the_search_begins_at_the_mean_style(styled: Path) -> None:
    network: Any = load_generator(styled)
    options = SearchOptions(steps=1, restarts=1, lr=1e-9)
    found = search(network, projection_loss(torch.zeros(1, 1, 16, 16)), 1, options)
    torch.testing.assert_close(found.latents[0, 0], network.mapping.w_avg)


def test_a_generator_without_styles_is_searched_in_latents_or_refused(tmp_path: Path) -> None:
    config = GeneratorConfig({"name": "mlp", "width": 8, "latent_dim": 4}, DataSpec((1, 8, 8)))
    save_generator(tmp_path / "a.safetensors", flat_state(build_generator(config)), config)
    network = load_generator(tmp_path / "a.safetensors")
    wanted = projection_loss(torch.zeros(1, 1, 8, 8))
    assert search(network, wanted, 1, SearchOptions(steps=1)).latents.shape == (1, 4)
    with pytest.raises(GanforgeError, match=r"`space='w\+'`: this generator has no styles"):
        search(network, wanted, 1, SearchOptions(steps=1, space="w+"))


def test_the_command_projects_into_w_plus_and_keeps_the_styles(
    ganforge: Callable[..., Any], styled: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "picture.png"
    assert ganforge("sample", styled, "--n", "1", "--out", picture).code == 0
    arguments = ("--space", "w+", "--steps", "3", "--restarts", "2", "--out", tmp_path / "found")
    done = ganforge("project", styled, picture, *arguments)
    assert done.code == 0, done.err
    assert np.load(tmp_path / "found" / "picture.npy").shape == (6, 16)
