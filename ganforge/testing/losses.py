"""Objectives and penalties: a scalar, a gradient for the player that moves, and the same again after a checkpoint."""

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganforge.game.turn import Role, Turn
from ganforge.registry import Component
from ganforge.spec import DataSpec
from ganforge.testing.small import BATCH, CLASSES, PICTURES, POINTS, Refusal, labels, latents, mlp, options_of, samples

Term = Callable[[Turn], Tensor]

every_objective = pytest.mark.ganforge_components("objective")
every_penalty = pytest.mark.ganforge_components("penalty")
every_term = pytest.mark.ganforge_components("objective", "penalty")
with_and_without_labels = pytest.mark.parametrize("classes", [(), CLASSES], ids=["no-labels", "labels"])


def terms_of(component: Component, seed: int = 0) -> tuple[Any, list[tuple[Role, Term]]]:
    """A new part, and its losses by player."""
    torch.manual_seed(seed)
    part = component.build(options_of(component))
    if component.kind == "objective":
        return part, [("discriminator", part.discriminator_loss), ("generator", part.generator_loss)]
    return part, [(part.player, part)]


def is_of_translations(component: Component) -> bool:
    """Whether a penalty looks at what only a translation has."""
    marks = ("needs_pairs", "needs_equal_sides", "goes_back")
    return component.kind == "penalty" and any(getattr(component.factory, mark, False) for mark in marks)


def turn_of(
    player: Role, spec: DataSpec, dtype: torch.dtype = torch.float32, times: int = 1, *, translates: bool = False
) -> Turn:
    """One move of a small game, the same each time; the same batch so many times over.

    The step is late enough that a term with a `start` step has begun. With `translates`, the generator is given
    pictures and there is a way back.
    """
    if translates:
        return _translating_turn(player, spec, dtype)
    generator = mlp("generator", spec).to(dtype)
    discriminator = mlp("discriminator", spec, conditional="classifier" if spec.classes else "none").to(dtype)
    (discriminator if player == "generator" else generator).requires_grad_(False)
    classes = labels(spec)
    repeated = None if classes is None else torch.cat([classes] * times)
    return Turn(
        player=player,
        step=100_000,
        generator=generator,
        discriminator=discriminator,
        source=torch.cat([latents(generator, dtype)] * times),
        fake_labels=repeated,
        real_samples=torch.cat([samples(spec, dtype)] * times),
        real_labels=repeated,
        augment=nn.Identity(),
    )


def _translating_turn(player: Role, spec: DataSpec, dtype: torch.dtype) -> Turn:
    """A move of a game from pictures to pictures and back, of one convolution each."""
    if not spec.is_image:
        raise ValueError("translations are of pictures")
    real, sources = samples(spec, dtype), samples(spec, dtype).flip(0)
    turns = []
    for seed, (given, wanted) in enumerate(((sources, real), (real, sources))):
        torch.manual_seed(seed)
        generator = _OneLayer(spec.channels).to(dtype)
        discriminator = mlp("discriminator", spec).to(dtype)
        (discriminator if player == "generator" else generator).requires_grad_(False)
        labelled = labels(spec)
        turns.append(
            Turn(
                player=player,
                step=100_000,
                generator=generator,
                discriminator=discriminator,
                source=given,
                fake_labels=labelled,
                real_samples=wanted,
                real_labels=labelled,
            )
        )
    turns[0].back, turns[1].back = turns[1], turns[0]
    return turns[0]


class _OneLayer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, pictures: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layer(pictures)


def spec_for(component: Component, classes: tuple[str, ...]) -> DataSpec:
    """Points, or the smallest pictures that the losses take."""
    refused = []
    for plain in (*POINTS, *PICTURES):
        spec = DataSpec(plain.shape, classes)
        try:
            for player, term in terms_of(component)[1]:
                term(turn_of(player, spec, translates=is_of_translations(component)))
        except Refusal as error:
            refused.append(f"{spec}: {error}")
        else:
            return spec
    raise AssertionError("fits none of the usual samples:\n" + "\n".join(refused))


@every_term
@with_and_without_labels
def test_a_loss_is_a_finite_scalar_whose_gradient_reaches_the_moving_player_only(
    component: Component, classes: tuple[str, ...]
) -> None:
    spec = spec_for(component, classes)
    for player, term in terms_of(component)[1]:
        turn = turn_of(player, spec, translates=is_of_translations(component))
        loss = term(turn)
        assert loss.shape == ()
        assert loss.isfinite()
        loss.backward()
        grads = [weight.grad for weight in turn.module.parameters() if weight.grad is not None]
        assert any(grad.abs().sum() > 0 for grad in grads), f"the {player} would learn nothing from it"
        assert all(grad.isfinite().all() for grad in grads)
        resting = turn.generator if player == "discriminator" else turn.discriminator
        assert isinstance(resting, nn.Module)
        assert all(weight.grad is None for weight in resting.parameters())


@every_term
@with_and_without_labels
def test_a_loss_under_bf16_is_near_that_in_float32_and_float64_stays(
    component: Component, classes: tuple[str, ...]
) -> None:
    spec = spec_for(component, classes)
    for player, _ in terms_of(component)[1]:
        double = _loss(component, turn_of(player, spec, torch.float64, translates=is_of_translations(component)))
        assert double.dtype == torch.float64
        assert double.isfinite()
        exact = _loss(component, turn_of(player, spec, translates=is_of_translations(component)))
        with torch.autocast("cpu", torch.bfloat16):
            turn = turn_of(player, spec, translates=is_of_translations(component))
            rough = _loss(component, turn)
        rough.backward()
        assert rough.dtype == torch.float32, "a sum in bf16 has three digits; compute it in float32"
        torch.testing.assert_close(rough, exact, rtol=0.1, atol=0.1)


@every_objective
@with_and_without_labels
def test_an_objective_is_a_mean_over_the_batch(component: Component, classes: tuple[str, ...]) -> None:
    """Losses are means, so that a batch in micro-batches, or on several ranks, gives the gradients of the whole."""
    spec = spec_for(component, classes)
    for player in ("discriminator", "generator"):
        once, thrice = (_loss(component, turn_of(player, spec, torch.float64, times)) for times in (1, 3))
        torch.testing.assert_close(once, thrice)


@every_objective
def test_an_objective_says_so_when_the_generators_loss_looks_at_real_samples(component: Component) -> None:
    spec = spec_for(component, ())
    part, terms = terms_of(component)
    turn = turn_of("generator", spec)
    if not part.generator_sees_real:
        turn.real_samples = None
    assert terms[1][1](turn).isfinite()


@every_penalty
def test_a_penalty_says_so_when_it_looks_at_real_samples(component: Component) -> None:
    spec = spec_for(component, ())
    part, ((player, term),) = terms_of(component)
    assert player in ("discriminator", "generator")
    turn = turn_of(player, spec, translates=is_of_translations(component))
    if not part.sees_real:
        turn.real_samples = None
    assert term(turn).isfinite()


@every_penalty
def test_a_penalty_says_so_when_it_looks_at_weights(component: Component, monkeypatch: pytest.MonkeyPatch) -> None:
    """Penalties that read weights say so, because ZeRO 3 has only a part of the weights on each rank."""
    spec = spec_for(component, ())
    part, ((player, term),) = terms_of(component)
    turn = turn_of(player, spec, translates=is_of_translations(component))
    looked = []

    def module(turn: Turn) -> object:
        looked.append(turn)
        return turn.discriminator if turn.player == "discriminator" else turn.generator

    monkeypatch.setattr(Turn, "module", property(module))
    term(turn)
    assert part.reads_weights or not looked, "set reads_weights"


@every_penalty
def test_a_penalty_goes_on_after_a_checkpoint_as_if_nothing_had_been(component: Component) -> None:
    spec = spec_for(component, ())
    first, ((player, term),) = terms_of(component)
    for _ in range(2):
        term(turn_of(player, spec, translates=is_of_translations(component))).backward()
    file = io.BytesIO()
    torch.save(copy.deepcopy(first.state_dict()), file)
    file.seek(0)
    second, ((_, again),) = terms_of(component, seed=1)
    second.load_state_dict(torch.load(file, weights_only=True))
    results = []
    for each in (term, again):
        torch.manual_seed(5)
        results.append(each(turn_of(player, spec, translates=is_of_translations(component))))
    torch.testing.assert_close(*results, rtol=0, atol=0)


def _loss(component: Component, turn: Turn) -> Tensor:
    """The loss of a new part, with the same random draws each time."""
    term = dict(terms_of(component)[1])[turn.player]
    torch.manual_seed(3)
    assert len(turn.source) % BATCH == 0
    return term(turn)
