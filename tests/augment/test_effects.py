"""What each augmentation does to pictures on which one can see it."""

import math

import pytest
import torch
from torch import Tensor

from ganforge.augment.colour import Color
from ganforge.augment.cutout import Cutout
from ganforge.augment.diffaugment import DiffAugment
from ganforge.augment.geometry import Flip, Rotate, Translate, rotation, shifted
from ganforge.augment.resample import matrices, resample
from ganforge.spec import DataSpec

SPEC = DataSpec((3, 8, 8))


def ramp(batch: int = 1) -> Tensor:
    """All pixels different."""
    return torch.linspace(-1, 1, 3 * 8 * 8).view(1, 3, 8, 8).repeat(batch, 1, 1, 1)


def test_flip_mirrors_left_to_right_and_twice_is_nothing() -> None:
    flip = Flip(SPEC, probability=1.0)
    assert torch.equal(flip(ramp())[..., 0], ramp()[..., -1])
    assert torch.equal(flip(flip(ramp())), ramp())


def test_a_shift_to_the_right_and_down_moves_a_pixel_there() -> None:
    picture = torch.zeros(2, 1, 4, 4)
    picture[:, 0, 1, 1] = 1
    shift = torch.tensor([1, -1])
    moved = shifted(shifted(picture, shift, 2, "zeros"), 2 * shift, 3, "zeros")
    assert moved[0, 0, 2, 3] == 1
    assert moved[0].sum() == 1
    assert moved[1].sum() == 0, "this one left over the edge"


def test_reflection_continues_a_picture_at_its_edge() -> None:
    row = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 4)
    assert shifted(row, torch.tensor([2]), 3, "reflect").flatten().tolist() == [3, 2, 1, 2]
    assert shifted(row, torch.tensor([2]), 3, "zeros").flatten().tolist() == [0, 0, 1, 2]


def test_translations_reach_an_eighth_to_all_sides_and_no_farther() -> None:
    torch.manual_seed(0)
    picture = torch.zeros(400, 1, 16, 16)
    picture[:, 0, 8, 8] = 1
    moved = Translate(DataSpec((1, 16, 16)))(picture)
    places = moved.flatten(1).argmax(1)
    rows, columns = places // 16 - 8, places % 16 - 8
    assert {*rows.tolist()} == {-2, -1, 0, 1, 2}
    assert {*columns.tolist()} == {-2, -1, 0, 1, 2}
    assert abs(torch.corrcoef(torch.stack([rows, columns]).float())[0, 1]) < 0.2, "both directions are drawn apart"


@pytest.mark.parametrize(("side", "reach"), [(12, 2), (20, 3), (28, 4), (36, 5)])
def test_half_a_pixel_of_reach_is_a_whole_one_as_in_diffaugments_code(side: int, reach: int) -> None:
    """Python rounds 2.5 to 2 and 3.5 to 4."""
    torch.manual_seed(0)
    picture = torch.zeros(300, 1, side, side)
    picture[:, 0, side // 2, side // 2] = 1
    rows = Translate(DataSpec((1, side, side)))(picture).flatten(1).argmax(1) // side - side // 2
    assert (int(rows.min()), int(rows.max())) == (-reach, reach)


@pytest.mark.parametrize(("side", "length"), [(16, 8), (17, 9), (15, 8)])
def test_half_a_pixel_of_a_hole_is_a_whole_one_as_in_diffaugments_code(side: int, length: int) -> None:
    torch.manual_seed(0)
    holes = Cutout(DataSpec((1, side, side)))(torch.ones(100, 1, side, side)) == 0
    assert int(holes.sum(dim=2).amax()) == length


def test_a_quarter_turn_is_rot90_and_the_identity_is_exact() -> None:
    seen = ramp(2)
    turned = resample(seen, rotation(torch.full((2,), math.pi / 2, dtype=torch.float64)), "zeros")
    torch.testing.assert_close(turned, seen.rot90(1, (2, 3)), atol=1e-5, rtol=0)
    assert torch.equal(resample(seen, torch.eye(3).repeat(2, 1, 1), "zeros"), seen)


def test_half_a_pixel_is_the_mean_of_two() -> None:
    row = torch.tensor([0.0, 1.0, 3.0, 7.0]).view(1, 1, 1, 4)
    one = torch.ones(1)
    to_source = matrices(((1.0, 0.0, 0.5), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), one)
    assert resample(row, to_source, "zeros").flatten().tolist() == [0.5, 2.0, 5.0, 3.5]
    assert resample(row, to_source, "reflect").flatten().tolist() == [0.5, 2.0, 5.0, 5.0]


def test_a_rotation_keeps_the_middle_and_is_no_larger_than_asked_for() -> None:
    torch.manual_seed(0)
    picture = torch.zeros(200, 1, 33, 33)
    picture[:, 0, 16, 16:] = 1  # a hand that points to the right
    turned = Rotate(DataSpec((1, 33, 33)), degrees=30.0, padding="zeros")(picture)
    assert (turned[:, 0, 16, 16] > 0.9).all()
    x = torch.arange(33) - 16.0
    centre = torch.stack([(turned.sum(2) * x).sum((1, 2)), (turned.sum(3) * x).sum((1, 2))])
    degrees = torch.rad2deg(torch.atan2(centre[1], centre[0]))
    assert degrees.abs().max() <= 31
    assert degrees.min() < -20
    assert degrees.max() > 20


def test_cutout_leaves_three_quarters_in_the_middle_of_its_range() -> None:
    torch.manual_seed(0)
    changed = Cutout(DataSpec((2, 16, 16)))(torch.ones(500, 2, 16, 16))
    cut = (changed == 0).flatten(1).float().mean(1)
    assert cut.max() == 0.25
    assert cut.min() >= 0.0625, "a hole with its centre in a corner"
    assert torch.equal(changed[:, 0], changed[:, 1]), "one hole for all channels"
    assert (changed.sum(0) < 2 * 500).all(), "any pixel may be cut"


def test_brightness_is_the_same_for_a_whole_picture_and_contrast_keeps_its_mean() -> None:
    torch.manual_seed(0)
    seen = ramp(300)
    bright = Color(SPEC, saturation=0.0, contrast=0.0)(seen) - seen
    assert (bright.flatten(1).std(1) < 1e-6).all()
    assert 0.45 < bright.max() <= 0.5
    assert -0.5 <= bright.min() < -0.45
    contrast = Color(SPEC, brightness=0.0, saturation=0.0)(seen)
    torch.testing.assert_close(contrast.mean((1, 2, 3)), seen.mean((1, 2, 3)), atol=1e-5, rtol=0)
    factor = contrast.flatten(1).std(1) / seen.flatten(1).std(1)
    assert 0.5 <= factor.min() < 0.55
    assert 1.45 < factor.max() <= 1.5001


def test_saturation_moves_colours_along_their_distance_from_grey() -> None:
    torch.manual_seed(0)
    seen = torch.rand(300, 3, 8, 8) * 2 - 1
    changed = Color(SPEC, brightness=0.0, contrast=0.0)(seen)
    torch.testing.assert_close(changed.mean(1), seen.mean(1), atol=1e-6, rtol=0)
    spread = changed.std(1).mean((1, 2)) / seen.std(1).mean((1, 2))
    assert spread.min() < 0.1
    assert 1.9 < spread.max() < 2.001
    grey = torch.rand(4, 1, 8, 8)
    assert torch.allclose(Color(DataSpec((1, 8, 8)), brightness=0.0, contrast=0.0)(grey), grey)


def test_diffaugment_applies_its_policy_and_nothing_else() -> None:
    torch.manual_seed(0)
    seen = torch.full((64, 3, 16, 16), 0.7)
    spec = DataSpec((3, 16, 16))
    cut = DiffAugment(spec, policy=("cutout",))(seen)
    assert cut.unique().tolist() == [0.0, pytest.approx(0.7)]
    coloured = DiffAugment(spec, policy=("color",))(seen)
    assert (coloured.flatten(1).std(1) < 1e-5).all()
    everything = DiffAugment(spec)(seen)
    assert (everything == 0).any()
    assert len(everything.unique()) > 64
    with pytest.raises(ValueError, match="policy names a change twice"):
        DiffAugment(spec, policy=("color", "color"))
