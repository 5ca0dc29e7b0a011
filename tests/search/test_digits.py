"""Numbers of inpainting, projection and the memorisation check on real digits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.data.digits import digits
from ganforge.data.samples import real_samples
from ganforge.grid import single, to_uint8

pytestmark = pytest.mark.slow

LEFT, TOP, RIGHT, BOTTOM = BOX = (10, 10, 22, 22)
NUM = 12


@pytest.fixture(scope="module")
def reals(tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    dataset = digits(tmp_path_factory.mktemp("cache"))
    return real_samples(dataset, np.arange(len(dataset)))


@pytest.fixture(scope="module")
def given(reals: torch.Tensor) -> torch.Tensor:
    return reals[:: len(reals) // NUM][:NUM]


@pytest.fixture(scope="module")
def files(given: torch.Tensor, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("given")
    paths = [folder / f"digit-{index}.png" for index in range(NUM)]
    for path, pixels in zip(paths, to_uint8(given).numpy(), strict=True):
        single(pixels).save(path)
    return paths


def read(folder: Path, files: list[Path]) -> torch.Tensor:
    pictures = [np.asarray(Image.open(folder / file.name)) for file in files]
    return torch.from_numpy(np.stack(pictures))[:, None].float() / 127.5 - 1.0


def test_holes_are_filled_far_better_than_by_means(digits_run, reals, given, files, ganforge, tmp_path):
    """Mean absolute error inside the hole; 2 is the whole range from black to white."""
    box = ",".join(map(str, BOX))
    done = ganforge("inpaint", digits_run, *files, "--mask", box, "--steps", 100, "--lr", 0.1, "--out", tmp_path)
    assert (done.code, done.err) == (0, "")
    filled = read(tmp_path, files)
    hole = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    hole[..., TOP:BOTTOM, LEFT:RIGHT] = True

    known = (~hole).expand_as(given)
    assert torch.allclose(filled[known], given[known], atol=0.01), "known pixels must stay as they are"

    def error(pictures: torch.Tensor) -> float:
        return float((pictures - given).abs()[hole.expand_as(given)].mean())

    mean_of_known = ((given * ~hole).sum(dim=(1, 2, 3)) / (~hole).sum())[:, None, None, None].expand_as(given)
    mean_of_data = reals.mean(dim=0, keepdim=True).expand_as(given)
    figures = {"filled": error(filled), "mean of known": error(mean_of_known), "mean of data": error(mean_of_data)}
    print(figures)
    assert figures["filled"] < 0.6 * figures["mean of data"] < 0.6 * figures["mean of known"], figures


def test_the_nearest_picture_is_near_and_its_latent_makes_it(digits_run, given, files, ganforge, tmp_path):
    import ganforge as package

    done = ganforge("project", digits_run, *files[:6], "--steps", 100, "--lr", 0.1, "--out", tmp_path)
    assert (done.code, done.err) == (0, "")
    found = read(tmp_path, files[:6])
    error = float((found - given[:6]).square().mean())
    spread = float(given.var(dim=0).mean())
    print({"mean squared error": error, "variance of the digits": spread})
    assert error < 0.2 * spread
    generator = package.load_generator(digits_run)
    latents = torch.from_numpy(np.stack([np.load(tmp_path / f"digit-{index}.npy") for index in range(6)]))
    torch.testing.assert_close(generator(latents), found, atol=0.01, rtol=0)
    assert latents.norm(dim=1).max() <= generator.latent_dim**0.5 * 1.001


def test_a_digit_of_the_generator_is_found_again(digits_run, tmp_path, ganforge):
    ganforge("sample", digits_run, "--n", 4, "--out", tmp_path / "samples")
    samples = sorted((tmp_path / "samples").glob("*.png"))
    done = ganforge("project", digits_run, *samples, "--steps", 150, "--lr", 0.1, "--out", tmp_path / "found")
    errors = [float(line.split(":")[1].split()[0]) for line in done.out.splitlines()[1:]]
    print({"root mean square of 255": errors})
    assert len(errors) == 4
    assert sorted(errors)[1] < 8, "of 255; most starts should find the way back"


def test_the_digits_are_not_memorised(digits_run, ganforge, tmp_path):
    done = ganforge("neighbours", digits_run, "--n", 256, "--show", 4, "--out", tmp_path / "near.png")
    assert (done.code, done.err) == (0, "")
    assert "256 reals left out" in done.out
    assert Image.open(tmp_path / "near.png").size[0] > 400
