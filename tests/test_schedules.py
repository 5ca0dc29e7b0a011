"""Who moves when: phases follow the discriminator's accuracy, and only that."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ganforge.schedules import Fixed, TwoPhase


def turn(player: str, real: list[float] | None, fake: list[float]) -> Any:
    """What a schedule looks at of a turn."""
    logits = {"real_logits": None if real is None else torch.tensor(real), "fake_logits": torch.tensor(fake)}
    return SimpleNamespace(player=player, computed=logits.get)


def identity(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def test_fixed_lets_both_move():
    assert Fixed().moves("discriminator")
    assert Fixed().moves("generator")


def test_the_discriminator_pauses_above_and_returns_below():
    schedule = TwoPhase(high=0.9, low=0.6, window=2)
    said = []
    for step, fake in enumerate([[-1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [-1.0, -1.0]], 1):
        assert schedule.moves("discriminator")
        schedule.observe(turn("discriminator", [1.0, 1.0], fake))
        schedule.observe(turn("generator", None, [1.0, 1.0]))  # its own turns count only while it pauses
        said.append(schedule.adapt(step, identity))
    assert [bool(line) for line in said] == [False, False, False, True]
    assert "100% and pauses" in said[-1]
    assert not schedule.moves("discriminator")
    assert schedule.moves("generator")
    assert schedule.figures() == {"discriminator_pauses": 1.0, "accuracy": 1.0}
    # On reals it stays at 100%, on fakes 50% and then 0%: 75% is not below 60%, 50% is.
    for step, fake, line in ((5, [-1.0, 1.0], ""), (6, [-1.0, 1.0], ""), (7, [1.0], ""), (8, [1.0], "50%")):
        schedule.observe(turn("generator", None, fake))
        assert line in schedule.adapt(step, identity)
    assert schedule.moves("discriminator")


def test_ranks_decide_by_their_mean():
    schedule = TwoPhase(high=0.9, low=0.5, window=1)
    schedule.observe(turn("discriminator", [1.0], [-1.0]))
    assert schedule.adapt(1, lambda mine: 0.5 * mine) == ""  # another rank's accuracy was 0


def test_a_saved_schedule_goes_on_where_it_was():
    schedule = TwoPhase(high=0.9, low=0.5, window=3)
    schedule.observe(turn("discriminator", [1.0], [-1.0]))
    again = TwoPhase(high=0.9, low=0.5, window=3)
    again.load_state_dict(schedule.state_dict())
    for each in (schedule, again):
        each.observe(turn("discriminator", [-1.0], [1.0]))
        assert each.adapt(3, identity) == ""
    assert again.state_dict() == schedule.state_dict()


def test_thresholds_the_wrong_way_round_are_refused():
    with pytest.raises(ValueError, match="low"):
        TwoPhase(high=0.5, low=0.6)
