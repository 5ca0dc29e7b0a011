"""What each degradation makes of a picture, against what it says."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ganforge.degradations import Degradations
from ganforge.degradations.noise import hashed
from ganforge.errors import RecipeError
from ganforge.registry import register
from ganforge.spec import DataSpec

RGB = DataSpec((3, 32, 48))


def make(name: str, spec: DataSpec = RGB, **options: Any) -> Any:
    return register.degradation.make(name, spec, **options)


def pictures(count: int = 4) -> Tensor:
    """Smooth ones, as photos are."""
    coarse = torch.rand(count, 3, 5, 7, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return nn.functional.interpolate(coarse, size=(32, 48), mode="bilinear", align_corners=False)


def numbers(part: Any, count: int = 4) -> Tensor:
    return torch.rand(count, part.numbers, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_a_row_of_degradations_has_the_last_ones_spec_and_numbers_by_place() -> None:
    blur = make("blur")
    grey = make("grey", blur.spec)
    small = make("downsample", grey.spec, factor=4)
    row = Degradations([blur, grey, small], seed=3)
    assert row.spec == DataSpec((1, 8, 12))
    places = np.arange(10, 14)
    whole = row(pictures(), places)
    torch.testing.assert_close(row(pictures()[2:], places[2:]), whole[2:])
    assert not torch.equal(row(pictures(), places + 1), whole)
    assert not torch.equal(row(pictures(), places, "/shown"), whole)
    assert not torch.equal(Degradations([blur, grey, small], seed=4)(pictures(), places), whole)


def test_downsampling_is_the_mean_over_squares_or_bicubic() -> None:
    seen = pictures()
    area = make("downsample", factor=4)(seen, torch.empty(4, 0))
    torch.testing.assert_close(area[:, :, 0, 0], seen[:, :, :4, :4].mean(dim=(2, 3)))
    bicubic = make("downsample", factor=4, method="bicubic")(seen, torch.empty(4, 0))
    assert 0 < (bicubic - area).abs().mean() < 0.1


def test_grey_is_the_luma() -> None:
    red = torch.full((1, 3, 2, 2), -1.0)
    red[:, 0] = 1.0
    assert make("grey")(red, torch.empty(1, 0))[0, 0, 0, 0] == pytest.approx(2 * 0.299 - 1)


def test_a_box_is_missing_in_the_middle_or_anywhere() -> None:
    ones = torch.ones(64, 3, 32, 48)
    middle = make("box", share=0.5)
    holes = middle(ones, numbers(middle, 64)) == 0
    assert holes[:, :, 8:24, 12:36].all()
    assert int(holes[0, 0].sum()) == 16 * 24
    anywhere = make("box", share=0.5, anywhere=True)
    holes = anywhere(ones, numbers(anywhere, 64)) == 0
    assert (holes[:, 0].sum(dim=(1, 2)) == 16 * 24).all()
    assert len({tuple(hole.flatten().tolist()) for hole in holes[:, 0]}) > 40


def test_strokes_are_missing_along_lines() -> None:
    ones = torch.ones(32, 3, 32, 48)
    part = make("strokes", count=3, thickness=0.15)
    holes = part(ones, numbers(part, 32))[:, 0] == 0
    assert 0.02 < float(holes.float().mean()) < 0.5


def test_noise_is_normal_with_the_deviation_that_was_drawn() -> None:
    part = make("noise", sigma=(0.2, 0.2))
    zero = torch.zeros(4, 3, 32, 48)
    noise = part(zero, numbers(part))
    assert float(noise.std()) == pytest.approx(0.2, rel=0.05)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert abs(float((noise[0] * noise[1]).mean())) < 0.005


def test_hashed_numbers_are_uniform() -> None:
    drawn = hashed(torch.rand(8, dtype=torch.float64), 4096)
    assert 0 < float(drawn.min()) < float(drawn.max()) < 1
    counts = torch.histc(drawn, bins=16, min=0, max=1)
    assert (counts - 2048).abs().max() < 250


def test_blur_is_a_gaussian_of_the_width_that_was_drawn() -> None:
    part = make("blur", sigma=(1.5, 1.5))
    point = torch.full((1, 3, 32, 48), -1.0)
    point[:, :, 16, 24] = 1.0
    spread = (part(point, numbers(part, 1))[0, 0] + 1) / 2
    assert float(spread.sum()) == pytest.approx(1, abs=1e-4)
    variance = float((spread.sum(dim=1) * (torch.arange(32) - 16.0) ** 2).sum())
    assert variance**0.5 == pytest.approx(1.5, rel=0.03)


def test_edges_are_dark_where_brightness_changes_only() -> None:
    half = torch.full((1, 3, 32, 48), -1.0)
    half[:, :, :, 24:] = 1.0
    drawn = make("edges")(half, torch.empty(1, 0))[0, 0]
    assert (drawn[:, 23:25] < -0.9).all()
    assert (drawn[:, :22] == 1).all()


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_jpeg_loses_what_libjpeg_loses(quality: int) -> None:
    part = make("jpeg", quality=(quality, quality))
    seen = pictures(1)
    made = part(seen, numbers(part, 1))
    stored = io.BytesIO()
    pixels = ((seen[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(stored, format="JPEG", quality=quality, subsampling=0)
    theirs = torch.from_numpy(np.asarray(Image.open(stored)).copy()).permute(2, 0, 1)[None] / 127.5 - 1
    lost, apart = (theirs - seen).abs().mean(), (made - theirs).abs().mean()
    assert apart < 0.35 * lost + 0.006, (lost, apart)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("downsample", {"factor": 5}, "use one of 2, 4, 8, 16"),
        ("blur", {"sigma": (2.0, 1.0)}, "name the least"),
        ("blur", {"sigma": (1.0, 20.0)}, "lower it"),
        ("noise", {"sigma": (0.5, 0.1)}, "name the least"),
        ("jpeg", {"quality": (90, 10)}, "name the least"),
    ],
)
def test_options_that_cannot_be_are_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        make(name, **options)


def test_grey_pictures_cannot_lose_their_colour() -> None:
    with pytest.raises(RecipeError, match="grey already"):
        make("grey", DataSpec((1, 8, 8)))
