"""Flips and shifts against the same written plainly, a picture at a time."""

import numpy as np
import pytest
import torch

from ganforge.data.batches.source import RankSlice
from ganforge.data.transform import Transform, uniform

SEED, START = 5, 1000


def plainly(rows: np.ndarray, flip: bool, crop: int) -> np.ndarray:
    """uint8 `(batch, height, width, channels)` of the samples from START on, flipped and then shifted."""
    positions = np.arange(START, START + len(rows))
    mirrored = uniform(SEED, positions, 1) < 0.5
    down, across = ((uniform(SEED, positions, stream) * (2 * crop + 1)).astype(int) for stream in (2, 3))
    found = []
    for number, picture in enumerate(rows):
        if flip and mirrored[number]:
            picture = picture[:, ::-1]
        height, width = picture.shape[:2]
        padded = np.pad(picture, ((crop, crop), (crop, crop), (0, 0)), mode="reflect")
        found.append(padded[down[number] :, across[number] :][:height, :width])
    return np.stack(found)


@pytest.mark.parametrize("crop", [0, 1, 3, 8])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shape", [(9, 14, 3), (16, 9, 1)])
def test_pixels_move_as_if_each_picture_were_flipped_then_shifted(
    shape: tuple[int, int, int], flip: bool, crop: int
) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (40, *shape), dtype=np.uint8)
    transform = Transform(SEED, RankSlice(40), torch.device("cpu"), flip=flip, crop=crop)
    found = transform(torch.tensor(rows), START)
    expected = torch.tensor(plainly(rows, flip, crop)).permute(0, 3, 1, 2).float().mul_(1 / 127.5).sub_(1)
    assert torch.equal(found, expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("options", [{"flip": True}, {"crop": 3}, {"flip": True, "crop": 3}])
def test_a_gpu_moves_the_same_pixels(options: dict) -> None:
    rows = torch.randint(0, 256, (40, 16, 16, 3), dtype=torch.uint8)
    found = [Transform(SEED, RankSlice(40), torch.device(at), **options)(rows.to(at), START) for at in ("cpu", "cuda")]
    assert torch.equal(found[0], found[1].cpu())
