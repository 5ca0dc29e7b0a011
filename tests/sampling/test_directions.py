"""Directions in the space of styles, and styles of one sample in another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.errors import GanforgeError
from ganforge.models.style_space import StyledGenerator
from ganforge.sampling import Sampler, open_generator
from ganforge.sampling.directions import Layers, along, directions, mixed


def opened(path: Path) -> StyledGenerator:
    network = open_generator(path, device="cpu")
    assert isinstance(network, StyledGenerator)
    return network


def test_the_first_direction_is_the_one_that_layers_read_most(styled: Path) -> None:
    network = opened(styled)
    with torch.no_grad():
        for weight in network.style_weights()[1:3]:
            weight.mul_(0.01)
            weight[:, 5] += 2.0
    first = directions(network, 2, range(1, 3))[0]
    assert first.argmax() == 5
    assert first[5] > 0.99
    others = directions(network, 1, range(4, 6))[0]
    assert others[5].abs() < 0.9, "other layers read other directions"


def test_directions_are_of_length_1_and_at_right_angles(styled: Path) -> None:
    found = directions(opened(styled), 8, range(6))
    torch.testing.assert_close(found @ found.t(), torch.eye(8), rtol=0, atol=1e-5)


def test_a_row_has_the_sample_itself_in_the_middle_and_only_the_layers_asked_for_move(styled: Path) -> None:
    network = opened(styled)
    sampler = Sampler(network)
    found = directions(network, 2, range(2, 4))
    pictures = along(sampler, 3, found, range(2, 4), steps=5, reach=2.0)
    assert pictures.shape == (2, 5, 1, 16, 16)
    torch.testing.assert_close(pictures[0, 2], sampler(range(3, 4))[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(pictures[0, 0], pictures[0, 4], atol=1e-3)
    seen = []
    network.synthesis.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    along(sampler, 3, found[:1], range(2, 4), steps=3, reach=2.0)
    differs = (seen[-1][0] != seen[-1][2]).any(dim=1)
    assert differs.tolist() == [False, False, True, True, False, False]


def test_a_mix_has_the_rows_sample_with_the_columns_styles(styled: Path) -> None:
    network = opened(styled)
    sampler = Sampler(network)
    everything = mixed(sampler, [0, 1], [2, 3, 4], range(network.num_ws))
    torch.testing.assert_close(everything[0], sampler(range(2, 5)), rtol=1e-4, atol=1e-5)
    some = mixed(sampler, [0, 1], [0, 3], range(2))
    assert some.shape == (2, 2, 1, 16, 16)
    torch.testing.assert_close(some[0, 0], sampler(range(1))[0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(some[0, 1], some[1, 1], atol=1e-3)


@pytest.mark.parametrize(("text", "expected"), [("0-3", (0, 4)), ("4-", (4, 6)), ("5", (5, 6)), ("0-", (0, 6))])
def test_layers_are_given_by_number(text: str, expected: tuple[int, int], styled: Path) -> None:
    found = Layers.parse(text).of(opened(styled))
    assert (found.start, found.stop) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [("low", r"`layers='low'`: give numbers"), ("0-6", r"layers 0 to 5"), ("7-", r"layers 0 to 5"), ("3-2", r"0 to 5")],
)
def test_layers_that_there_are_not_are_told(text: str, message: str, styled: Path) -> None:
    with pytest.raises(GanforgeError, match=message):
        Layers.parse(text).of(opened(styled))


def test_the_commands_write_what_they_say(
    ganforge: Callable[..., Any], styled: Path, make_generator: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "directions.png"
    done = ganforge("directions", styled, "--n", "3", "--steps", "5", "--psi", "0.7", "--out", out)
    assert done.code == 0, done.err
    assert np.load(out.with_suffix(".npy")).shape == (3, 8)
    assert Image.open(out).size == (5 * 98 + 2, 3 * 98 + 2)
    done = ganforge("mix", styled, "--rows", "2", "--columns", "3", "--out", tmp_path / "mixed.png")
    assert done.code == 0, done.err
    assert Image.open(tmp_path / "mixed.png").size == (4 * 98 + 2, 3 * 98 + 2)
    for arguments, message in (
        (("directions", styled, "--n", "9"), "--n 9: this generator's styles have 8 directions"),
        (("mix", make_generator()), "mix is about generators with styles, such as 'stylegan2'; this one has none"),
    ):
        done = ganforge(*arguments)
        assert (done.code, message in done.err) == (2, True), done.err
