"""ADA: p follows the signs of D's logits as the paper says, and its changes are what their names say."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from ganforge.augment.ada import ADA
from ganforge.augment.pipeline import COLOUR, GEOMETRY, augmented, colour, geometry
from ganforge.spec import DataSpec

SPEC = DataSpec((3, 16, 16))
ONE = torch.tensor(1.0)


def alone(tensor: Tensor) -> Tensor:
    """The mean over one rank."""
    return tensor


def play(ada: ADA, share_positive: float, steps: int, first: int = 1, batch: int = 100) -> None:
    positive = round(share_positive * batch)
    for step in range(first, first + steps):
        ada.observe(torch.cat([torch.ones(positive), -torch.ones(batch - positive)]))
        ada.adapt(alone, step, batch)


def test_p_rises_while_d_is_sure_of_reals_and_falls_to_zero_when_it_is_not() -> None:
    ada = ADA(SPEC, speed=4000)
    play(ada, share_positive=1.0, steps=20)
    assert ada.probability.item() == pytest.approx(5 * 0.1)
    play(ada, share_positive=0.5, steps=100, first=21)
    assert ada.probability.item() == 0.0
    play(ada, share_positive=0.9, steps=100, first=121)
    assert ada.probability.item() == 1.0, "a mean sign of 0.8 is above 0.6, and p ends at its limit"


def test_a_sequence_worked_out_by_hand() -> None:
    """Batch 64, interval 4, speed 500,000: an adjustment is 256 / 500,000 = 0.000512."""
    ada = ADA(SPEC, initial=0.1)
    expected = 0.1
    #                        mean sign of 4 steps: 1, 0.5, 0.625, 0.59375; the target is 0.6
    for index, positive in enumerate([64, 48, 52, 51]):
        for step in range(1, 5):
            ada.observe(torch.cat([torch.ones(positive), -torch.ones(64 - positive)]))
            ada.adapt(alone, 4 * index + step, 64)
            if step < 4:
                assert ada.probability.item() == pytest.approx(expected), "only every fourth step"
        mean_sign = (2 * positive - 64) / 64
        expected += math.copysign(0.000512, mean_sign - 0.6)
        assert ada.probability.item() == pytest.approx(expected, abs=1e-7)
        assert ada.figures()["mean_sign"].item() == pytest.approx(mean_sign)
    assert expected == pytest.approx(0.1)


def test_pieces_of_a_turn_count_as_one_and_a_pause_of_d_changes_nothing() -> None:
    whole, pieces = ADA(SPEC), ADA(SPEC)
    logits = torch.randn(8) + 3
    whole.observe(logits)
    for piece in logits.split(2):
        pieces.observe(piece)
    whole.adapt(alone, 4, 8)
    pieces.adapt(alone, 4, 8)
    assert torch.equal(whole.probability, pieces.probability)
    before = whole.probability.clone()
    whole.adapt(alone, 8, 8)
    assert torch.equal(whole.probability, before)


def test_ranks_agree_on_the_mean_of_all_their_signs() -> None:
    """Rank 0 has seen only positive logits, rank 1 only negative ones; alone they would go apart."""
    ranks = [ADA(SPEC, speed=1000, initial=0.5) for _ in range(2)]
    ranks[0].observe(torch.ones(8))
    ranks[1].observe(-torch.ones(8))
    mean = (ranks[0].signs + ranks[1].signs) / 2
    for rank in ranks:
        rank.adapt(lambda _: mean, 4, 16)
    assert ranks[0].probability == ranks[1].probability
    assert ranks[0].probability < 0.5


def test_ranks_are_asked_for_only_every_interval() -> None:
    calls = []
    ada = ADA(SPEC, interval=8)
    for step in range(1, 33):
        ada.observe(torch.ones(4))
        ada.adapt(lambda tensor: calls.append(1) or tensor, step, 4)
    assert len(calls) == 4


def test_p_and_its_counts_come_back_from_a_checkpoint() -> None:
    ada, again = ADA(SPEC), ADA(SPEC)
    play(ada, share_positive=1.0, steps=6)
    again.load_state_dict(ada.state_dict())
    for each in (ada, again):
        play(each, share_positive=1.0, steps=2, first=7)
    assert torch.equal(ada.probability, again.probability)
    assert torch.equal(ada.signs, again.signs)
    assert again.probability > 0


def test_limit_and_contradictions() -> None:
    ada = ADA(SPEC, limit=0.3, speed=100)
    play(ada, share_positive=1.0, steps=8)
    assert ada.probability.item() == pytest.approx(0.3)
    with pytest.raises(ValueError, match="initial"):
        ADA(SPEC, initial=0.9, limit=0.5)
    with pytest.raises(ValueError, match="policy is empty"):
        ADA(SPEC, policy=())


def test_every_change_by_itself_changes_something_and_p_says_how_often() -> None:
    torch.manual_seed(0)
    seen = (torch.rand(1, 3, 16, 16) * 2 - 1).expand(1000, -1, -1, -1)
    unchanged = {"flip": 1 / 2, "quarter_turn": 1 / 4, "shift": 1 / 16, "luma_flip": 1 / 2}
    for name in (*GEOMETRY, *COLOUR):
        changed = augmented(seen, torch.tensor(0.4), (name,))
        share = (changed - seen).flatten(1).abs().amax(1).gt(1e-6).float().mean().item()
        expected = 0.4 * (1 - unchanged.get(name, 0.0))
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / 1000), name


def test_exact_changes_of_geometry_only_move_pixels() -> None:
    torch.manual_seed(0)
    seen = (torch.rand(64, 3, 16, 16) * 2 - 1).double()
    changed = augmented(seen, ONE, ("flip", "quarter_turn"))
    turns = [seen.rot90(turn, (2, 3)) for turn in range(4)]
    same = torch.stack([(changed == each).flatten(1).all(1) for other in turns for each in (other, other.flip(-1))])
    assert same.any(0).all()
    assert (same.sum(1) > 0).all(), "each of the eight happens"


def test_a_picture_that_is_not_square_is_turned_by_half_or_not_at_all() -> None:
    torch.manual_seed(0)
    seen = torch.rand(32, 3, 8, 12)
    changed = augmented(seen, ONE, ("quarter_turn",))
    is_turned = (changed == seen.rot90(2, (2, 3))).flatten(1).all(1)
    assert (is_turned | (changed == seen).flatten(1).all(1)).all()
    assert 0 < is_turned.sum() < 32


def test_hue_keeps_grey_and_saturation_keeps_brightness() -> None:
    torch.manual_seed(0)
    seen = torch.rand(32, 3, 8, 8).double() * 2 - 1
    grey = seen[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(augmented(grey, ONE, ("hue",)), grey)
    turned = augmented(seen, ONE, ("hue",))
    torch.testing.assert_close(turned.mean(1), seen.mean(1))
    torch.testing.assert_close(turned.norm(dim=1), seen.norm(dim=1))
    saturated = augmented(seen, ONE, ("saturation",))
    torch.testing.assert_close(saturated.mean(1), seen.mean(1))
    flipped = augmented(grey, ONE, ("luma_flip",))
    is_same, is_negative = ((flipped - sign * grey).flatten(1).abs().amax(1) < 1e-9 for sign in (1, -1))
    assert (is_same | is_negative).all()
    assert 0 < is_negative.sum() < 32


@pytest.mark.parametrize("side", [16, 20, 32, 33])
def test_whole_shifts_come_as_often_as_in_the_authors_code(side: int) -> None:
    """It rounds a share drawn evenly from [-1/8, 1/8] of the side: at 16 pixels a shift by 2 has 1/8, by 1 has 1/4."""
    torch.manual_seed(side)
    matrix = geometry(torch.zeros(40_000, 1, side, side), ONE, ("shift",))
    most = side / 8
    reach = math.floor(most + 0.5)
    expected = [(min(shift + 0.5, most) - max(shift - 0.5, -most)) / (2 * most) for shift in range(-reach, reach + 1)]
    for axis in (0, 1):
        shifts = matrix[:, axis, 2]
        assert torch.equal(shifts, shifts.round())
        counts = torch.bincount((shifts + reach).long(), minlength=len(expected))
        kept = torch.tensor(expected) > 0
        assert counts[~kept].sum() == 0
        wanted = torch.tensor(expected)[kept].double()
        assert stats.chisquare(counts[kept].numpy(), (len(shifts) * wanted / wanted.sum()).numpy()).pvalue > 1e-4
    assert abs(torch.corrcoef(matrix[:, :2, 2].T)[0, 1]) < 0.02, "both axes are drawn apart"


def test_strengths_are_the_papers() -> None:
    torch.manual_seed(0)
    like = torch.zeros(20_000, 3, 16, 16)
    scale = torch.log2(geometry(like, ONE, ("scale",))[:, 0, 0])
    assert abs(scale.std() - 0.2) < 0.01
    stretch = geometry(like, ONE, ("stretch",))
    torch.testing.assert_close(stretch[:, 0, 0] * stretch[:, 1, 1], torch.ones(20_000))
    drift = geometry(like, ONE, ("drift",))[:, 0, 2]
    assert abs(drift.std() - 0.125 * 16) < 0.05
    assert abs(torch.log2(colour(like, ONE, ("contrast",))[:, 0, 0]).std() - 0.5) < 0.02
    assert abs(colour(like, ONE, ("brightness",))[:, 0, 3].std() - 0.2) < 0.01
    turned = geometry(like, torch.tensor(0.4), ("rotation",))
    unturned = (turned == torch.eye(3)).flatten(1).all(1).float().mean()
    assert abs(unturned - 0.6) < 0.02, "turned before or after the stretch, with p together"
