"""LeCam: the anchors' course, the distance from them, and that a checkpoint keeps them."""

import torch
from turns import FAKE, REAL, turn_of

from ganforge.penalties.lecam import LeCam


def test_the_first_batch_is_held_to_the_means_of_the_other_kind() -> None:
    value = LeCam(strength=0.5)(turn_of("discriminator", REAL, FAKE))
    expected = 0.5 * ((REAL - FAKE.mean()).square().mean() + (FAKE - REAL.mean()).square().mean())
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


def test_anchors_follow_with_the_decay() -> None:
    penalty = LeCam(strength=1.0, decay=0.9)
    penalty(turn_of("discriminator", REAL, FAKE))
    value = penalty(turn_of("discriminator", REAL + 10.0, FAKE - 10.0))
    anchor_real, anchor_fake = REAL.mean() + 0.1 * 10.0, FAKE.mean() - 0.1 * 10.0
    expected = (REAL + 10.0 - anchor_fake).square().mean() + (FAKE - 10.0 - anchor_real).square().mean()
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


def test_anchors_are_constants_to_the_gradient() -> None:
    real = REAL.clone().requires_grad_()
    LeCam(strength=1.0)(turn_of("discriminator", real, FAKE)).backward()
    assert real.grad is not None
    torch.testing.assert_close(real.grad, 2 * (REAL - FAKE.mean()) / 4, rtol=1e-12, atol=0)


def test_a_checkpoint_keeps_the_anchors_and_a_fresh_run_has_none() -> None:
    first, fresh = LeCam(), LeCam()
    fresh.load_state_dict(LeCam().state_dict())
    first(turn_of("discriminator", REAL, FAKE))
    second = LeCam()
    second.load_state_dict(first.state_dict())
    turn = turn_of("discriminator", REAL + 1.0, FAKE)
    same = second(turn)
    assert first(turn) == same
    assert fresh(turn) != same


def test_bf16_logits_have_float32_anchors() -> None:
    """An average of 0.99 would stand still in bf16."""
    penalty = LeCam()
    value = penalty(turn_of("discriminator", REAL.bfloat16(), FAKE.bfloat16()))
    assert value.dtype == penalty.state_dict()["anchors"].dtype == torch.float32


def test_without_memory_the_anchors_are_this_batchs_means() -> None:
    penalty = LeCam(strength=1.0, decay=0.0)
    for _ in range(2):
        penalty(turn_of("discriminator", REAL, FAKE))
    moved = penalty(turn_of("discriminator", REAL + 3.0, FAKE))
    torch.testing.assert_close(moved, LeCam(strength=1.0)(turn_of("discriminator", REAL + 3.0, FAKE)))
