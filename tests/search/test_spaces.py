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
from ganforge.search.noise import regularity
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


def noisy(styled: Path) -> tuple[StyledGenerator, torch.Tensor]:
    """The generator with noise that shows, and samples of it under other noise than its own."""
    network: Any = load_generator(styled)
    with torch.no_grad():
        for layer in network.modules():
            if hasattr(layer, "noise_strength"):
                layer.noise_strength.fill_(0.3)
    own = {name: buffer.clone() for name, buffer in network.named_buffers() if name.endswith("noise_const")}
    torch.manual_seed(7)
    network.load_state_dict({**network.state_dict(), **{name: torch.randn_like(noise) for name, noise in own.items()}})
    wanted = Sampler(network, seed=5).many(2)
    network.load_state_dict({**network.state_dict(), **own})
    return network, wanted


def test_a_search_for_the_noise_finds_what_no_style_has_and_leaves_it_white(styled: Path) -> None:
    network, wanted = noisy(styled)
    own = {name: buffer.clone() for name, buffer in network.named_buffers()}
    found, alike = {}, {}
    for weight in (None, 0.0, 0.1):
        options = SearchOptions(
            steps=120, restarts=1, space="w", optimise_noise=weight is not None, noise_weight=weight or 0.0
        )
        result = search(network, projection_loss(wanted), 2, options)
        found[weight] = decibels(result.samples, wanted)
        if weight is not None:
            alike[weight] = float(regularity(list(result.noise.values())).mean())
            maps = result.noise["synthesis.b16.conv1.noise_const"]
            assert maps.shape == (2, 1, 16, 16)
            torch.testing.assert_close(maps.std(dim=(2, 3), correction=0), torch.ones(2, 1), rtol=1e-4, atol=0)
    print(found, alike)
    assert found[0.1] > found[None] + 5
    assert alike[0.1] < 0.01 * alike[0.0]
    assert all(torch.equal(own[name], buffer) for name, buffer in network.named_buffers()), (
        "the generator keeps its own"
    )


def test_regularity_is_the_papers_on_every_scale() -> None:
    torch.manual_seed(0)
    noise = torch.randn(3, 1, 16, 16, dtype=torch.float64)
    half = 2 * noise.view(3, 1, 8, 2, 8, 2).mean(dim=(3, 5))
    expected = torch.zeros(3, dtype=torch.float64)
    for maps in (noise[:, 0], half[:, 0]):
        size = maps.shape[1]
        for across, down in ((1, 0), (0, 1)):
            products = [
                maps[:, y, x] * maps[:, (y - down) % size, (x - across) % size]
                for y in range(size)
                for x in range(size)
            ]
            expected += torch.stack(products).mean(dim=0) ** 2
    torch.testing.assert_close(regularity([noise]), expected)
    torch.testing.assert_close(half.std(), torch.tensor(1.0, dtype=torch.float64), rtol=0.1, atol=0)


def test_exploration_moves_styles_in_the_first_steps_and_none_in_the_last(styled: Path) -> None:
    network, wanted = noisy(styled)
    seen = []

    def loss(samples: torch.Tensor, picture: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        seen.append(samples.detach())
        return samples.flatten(1).mean(dim=1) * 0

    search(network, loss, 1, SearchOptions(steps=8, restarts=1, space="w", exploration=0.5))
    moved = [float((samples - seen[-1]).abs().mean()) for samples in seen]
    assert moved[0] > moved[4] > 0
    assert moved[6:] == [0.0] * 3
    for space in ("w", "w+"):
        options = SearchOptions(steps=150, restarts=1, space=space, exploration=0.05)  # type: ignore[arg-type]
        assert decibels(search(network, projection_loss(wanted), 2, options).samples, wanted) > 10
    with pytest.raises(GanforgeError, match=r"`exploration=\.\.\.` moves styles about"):
        search(network, loss, 1, SearchOptions(steps=1, space="z", exploration=0.5))


def test_a_generator_without_noise_has_none_to_search_for(tmp_path: Path) -> None:
    network = build_generator(GeneratorConfig({**TABLE, "noise": False}, DataSpec((1, 16, 16))))
    with pytest.raises(GanforgeError, match="`optimise_noise=True`: this generator adds no noise"):
        search(network, projection_loss(torch.zeros(1, 1, 16, 16)), 1, SearchOptions(optimise_noise=True))


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
    arguments = ("--space", "w+", "--steps", "3", "--restarts", "2", "--optimise-noise", "--out", tmp_path / "found")
    done = ganforge("project", styled, picture, *arguments)
    assert done.code == 0, done.err
    assert np.load(tmp_path / "found" / "picture.npy").shape == (6, 16)
    assert np.load(tmp_path / "found" / "picture.noise.npz")["synthesis.b4.conv1.noise_const"].shape == (4, 4)
