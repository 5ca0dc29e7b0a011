"""Consistency of D under mirroring and moving: formula, invariance, and what the moves do to a picture."""

import pytest
import torch
from torch import Tensor
from turns import turn_of

from ganforge.errors import GanforgeError
from ganforge.penalties.consistency import Consistency, flipped, shifted


def pictures(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(6, 2, 8, 8, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def left(samples: Tensor, labels: Tensor | None = None) -> Tensor:
    """Looks at the left half only."""
    return samples[..., :4].sum((1, 2, 3))


def test_it_is_the_squared_difference_of_logits_on_both_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every picture mirrored and none moved, the left half's place is taken by the right half."""
    monkeypatch.setattr(torch, "rand", lambda *size, device=None: torch.zeros(size))
    real, fake = pictures(0), pictures(1)
    value = Consistency(real=2.0, fake=3.0, shift=0.0)(turn_of("discriminator", real, fake, left))
    differences = [x[..., :4].sum((1, 2, 3)) - x[..., 4:].sum((1, 2, 3)) for x in (real, fake)]
    expected = 2 * differences[0].square().mean() + 3 * differences[1].square().mean()
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


def test_a_discriminator_that_does_not_mind_costs_nothing() -> None:
    turn = turn_of("discriminator", pictures(0), pictures(1), lambda x, labels: x.square().sum((1, 2, 3)))
    assert Consistency(shift=0.0)(turn).item() == pytest.approx(0.0, abs=1e-20)
    assert Consistency(shift=0.25)(turn) > 0


def test_the_weights_of_one_kind_may_be_none() -> None:
    turn = turn_of("discriminator", pictures(0), pictures(1), left)
    assert Consistency(real=0.0, fake=0.0)(turn) == 0


def test_half_of_the_pictures_are_mirrored_each_on_its_own() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(4.0).expand(1000, 1, 4, 4)
    mirrored = flipped(ramp)[:, 0, 0, 0] == 3
    assert mirrored.double().mean().item() == pytest.approx(0.5, abs=0.05)


def test_pictures_move_by_whole_pixels_up_to_the_share_and_reflect_at_the_border() -> None:
    torch.manual_seed(0)
    rows = torch.arange(8.0).view(1, 1, 8, 1).expand(2000, 1, 8, 8)
    down = shifted(rows, 0.25)[:, 0, :, 0]
    assert sorted(set(down[:, 4].tolist())) == [2, 3, 4, 5, 6]
    (moved,) = (row for row in down.unique(dim=0) if row[4] == 2)
    assert moved.tolist() == [2, 1, 0, 1, 2, 3, 4, 5]
    across = shifted(rows.transpose(2, 3), 0.25)[:, 0, 0, :]
    assert sorted(set(across[:, 4].tolist())) == [2, 3, 4, 5, 6]
    assert torch.equal(shifted(rows, 0.0), rows)


def test_both_directions_move_independently_and_all_channels_together() -> None:
    torch.manual_seed(0)
    numbered = torch.arange(64.0).view(1, 1, 8, 8).expand(500, 2, 8, 8)
    moved = shifted(numbered, 0.125)
    assert len(moved[:, 0, 4, 4].unique()) == 9
    assert torch.equal(moved[:, 0], moved[:, 1])


def test_points_are_refused_in_words() -> None:
    turn = turn_of("discriminator", torch.ones(3, 2), torch.ones(3, 2), lambda x, labels: x.sum(1))
    with pytest.raises(GanforgeError, match=r"pictures; these samples have shape \(2,\)"):
        Consistency()(turn)


def test_differences_of_bf16_logits_are_squared_in_float32() -> None:
    real, fake = pictures(0, torch.float32), pictures(1, torch.float32)
    turn = turn_of("discriminator", real, fake, lambda x, labels: left(x).bfloat16())
    assert Consistency()(turn).dtype == torch.float32
