"""Each rule on figures written by hand: what it sees, what it lets pass, and how long it waits."""

import random
from typing import Any

import pytest

from ganforge.doctor.balance import reversals
from ganforge.doctor.doctor import WELL_FOR, Doctor
from ganforge.doctor.variety import classes_shown
from ganforge.recipe import resolve

BASE = {"data": "ring", "generator": "mlp", "discriminator": "mlp", "training": {"steps": 1000}}
WELL = {
    "generator/loss": 0.9,
    "discriminator/loss": 1.3,
    "discriminator/logits_real": 0.3,
    "discriminator/logits_fake": -0.3,
    "discriminator/accuracy_real": 0.7,
    "discriminator/accuracy_fake": 0.7,
    "health/separation": 0.7,
    "health/spread": 0.95,
    "health/spread_features": 0.95,
    "health/duplicates": 0.0,
    "health/coverage": 0.7,
    "health/gradient_generator": 1.0,
    "health/gradient_discriminator": 1.0,
    "health/average_distance": 0.05,
    **{f"health/class_{number}": 0.125 for number in range(8)},
}


def doctor(objective="bce") -> Doctor:
    return Doctor(resolve({"name": "test", "objective": objective, **BASE}).to_dict())


def lines(count: int, every: int = 50, begin: int = 0, **figures: Any) -> list[dict[str, Any]]:
    """Log lines of a healthy run with some figures changed; a function of the line's number is called."""
    changed = {name.replace("__", "/"): value for name, value in figures.items()}
    return [
        {"step": begin + (number + 1) * every, **WELL}
        | {name: value(number) if callable(value) else value for name, value in changed.items()}
        for number in range(count)
    ]


ONE_CLASS: dict[str, Any] = {f"health__class_{number}": float(number == 3) for number in range(8)}
HOPPING: dict[str, Any] = {
    f"health__class_{number}": (lambda line, own=number: float(line % 8 == own)) for number in range(8)
}
ILL: dict[str, dict[str, Any]] = {
    "discriminator_wins": {
        "health__separation": 0.99,
        "discriminator__logits_real": 5.0,
        "discriminator__logits_fake": -4.0,
    },
    "generator_wins": {"health__separation": 0.2},
    "copies_source": {"health__change": 0.01},
    "collapse": {"health__spread": 0.3},
    "missing_classes": {"health__class_3": 0.0, "health__class_4": 0.25},
    "oscillation": HOPPING,
    "memorising": {"health__overfitting": 0.7},
    "exploding_gradients": {"health__gradient_generator": 1e6},
    "dead_gradients": {"health__gradient_discriminator": 0.0},
    "average_far": {"health__average_distance": 0.4},
}


def names(found):
    return {finding.name for finding in found}


@pytest.mark.parametrize("illness", ILL)
def test_an_illness_is_named_with_evidence_and_remedies(illness):
    found = [finding for finding in doctor().replay(lines(20, **ILL[illness])) if finding.name == illness]
    assert [finding.event for finding in found] == ["begins"]
    assert found[0].evidence
    assert found[0].remedies


@pytest.mark.parametrize("illness", sorted(ILL.keys() - {"collapse", "oscillation", "missing_classes"}))
def test_an_illness_is_not_taken_for_another(illness):
    assert names(doctor().replay(lines(20, **ILL[illness]))) == {illness}


def test_a_healthy_run_with_noise_on_every_figure_names_nothing():
    noise = random.Random(0)

    def shaken(value):
        return lambda line: value * noise.uniform(0.75, 1.25)

    figures: dict[str, Any] = {name.replace("/", "__"): shaken(value) for name, value in WELL.items()}
    assert doctor().replay(lines(200, **figures)) == []


@pytest.mark.parametrize("illness", ILL)
def test_two_bad_lines_are_noise(illness):
    bad = lines(2, begin=1000, **ILL[illness])
    assert doctor().replay([*lines(20), *bad, *lines(20, begin=1100)]) == []


@pytest.mark.parametrize("illness", ILL)
def test_a_few_steps_are_noise_however_many_lines_they_fill(illness):
    assert doctor().replay(lines(40, every=1, **ILL[illness])) == []


def test_a_lasting_illness_is_said_once_and_its_end_once():
    ill, well = lines(30, **ILL["collapse"]), lines(30, begin=1500)
    found = doctor().replay([*ill, *well])
    assert [(finding.name, finding.event) for finding in found] == [("collapse", "begins"), ("collapse", "ends")]
    assert found[1].step == 1500 + WELL_FOR * 50


def test_an_illness_that_flickers_is_one_illness():
    flickering = lines(60, health__separation=lambda line: 0.2 if line % 6 < 4 else 0.7)
    assert [finding.event for finding in doctor().replay(flickering)] in (["begins"], ["begins", "ends"])


def test_an_illness_that_comes_back_is_said_again():
    found = doctor().replay(
        [*lines(10, **ILL["collapse"]), *lines(10, begin=500), *lines(10, begin=1000, **ILL["collapse"])]
    )
    assert [finding.event for finding in found] == ["begins", "ends", "begins"]


def test_state_follows_from_the_lines_alone_so_a_resumed_run_says_what_an_unbroken_one_says():
    whole = [*lines(30, **ILL["collapse"]), *lines(30, begin=1500, **ILL["average_far"])]
    unbroken = doctor().replay(whole)
    for cut in (1, 17, 31, 44):
        resumed = doctor()
        resumed.replay(whole[:cut])
        later = [finding for finding in unbroken if finding.step > whole[cut - 1]["step"]]
        assert resumed.replay(whole[cut:]) == later


def test_lines_of_evaluations_tell_nothing():
    evaluations = [{"step": 50 * number, "evaluation/fid": 10.0} for number in range(1, 40)]
    assert doctor().replay(evaluations) == []


def test_a_run_without_the_probes_figures_is_judged_by_what_it_has():
    old = [{name: value for name, value in line.items() if not name.startswith("health/")} for line in lines(40)]
    assert doctor().replay(old) == []


def test_a_wasserstein_critic_may_be_far_ahead_and_a_hinge_discriminator_may_not():
    ahead = lines(20, health__separation=0.99, discriminator__logits_real=20.0, discriminator__logits_fake=-20.0)
    assert doctor("wasserstein").replay(ahead) == []
    assert names(doctor("hinge").replay(ahead)) == {"discriminator_wins"}


def test_a_sure_discriminator_whose_generator_gets_no_gradient_has_won_whatever_the_objective():
    fading = lines(20, health__separation=0.95, health__gradient_generator=lambda line: 10.0 if line < 5 else 0.01)
    assert names(doctor("wasserstein").replay(fading)) == {"discriminator_wins"}


def test_a_blind_discriminator_loses_though_it_guesses_at_chance():
    blind = lines(20, health__separation=0.5, health__coverage=0.01)
    assert names(doctor().replay(blind)) == {"generator_wins"}
    assert doctor().replay(lines(20, health__separation=0.5)) == []  # the game's own goal


def test_gradients_that_grow_a_hundredfold_explode_though_they_are_small():
    growing = lines(30, health__gradient_discriminator=lambda line: 0.5 if line < 20 else 80.0)
    assert names(doctor().replay(growing)) == {"exploding_gradients"}


def test_a_loss_that_doubles_and_halves_oscillates_without_classes():
    swinging = [
        {name: value for name, value in line.items() if "class" not in name}
        for line in lines(20, generator__loss=lambda line: 0.5 if line % 2 else 2.0)
    ]
    assert names(doctor().replay(swinging)) == {"oscillation"}


@pytest.mark.parametrize(
    ("values", "turns"),
    [
        ([1.0, 3.0, 1.0, 3.0], 2),
        ([1.0, 1.5, 1.0, 1.5, 1.0], 0),
        ([1.0, 2.5, 5.0, 10.0], 0),
        ([8.0, 4.5, 2.0, 4.5, 1.0], 2),
        ([1.0, -1.0, 1.0], 0),
    ],
)
def test_only_large_turns_count(values, turns):
    assert reversals(values) == turns


def test_copies_are_a_collapse_though_they_lie_far_apart():
    copies = lines(10, health__duplicates=0.9, health__spread=1.1)
    assert names(doctor().replay(copies)) == {"collapse"}


def test_showing_one_class_at_a_time_is_a_collapse_though_that_class_is_wide():
    found = doctor().replay(lines(10, **ONE_CLASS))
    assert "collapse" in names(found)
    (collapse,) = [finding for finding in found if finding.name == "collapse"]
    assert collapse.evidence["classes_shown"] == pytest.approx(1.0)


def test_a_class_is_missed_also_where_the_first_classes_are_too_small_to_be_seen():
    healthy = {key: value for key, value in WELL.items() if not key.startswith("health/class_")}
    seen = {"health/class_3": 0.5, "health/class_5": 0.0, "health/class_6": 0.5}
    found = doctor().replay([{**healthy, **seen, "step": 50.0 * number} for number in range(1, 21)])
    assert "missing_classes" in names(found)


def test_shares_that_do_not_sum_to_one_show_as_many_classes_as_they_are_in_proportion():
    classes = [f"health/class_{number}" for number in range(5)]
    assert classes_shown(dict.fromkeys(classes, 0.1), classes) == pytest.approx(5)


def test_a_translation_has_no_variety_of_its_own_and_learns_where_d_has_won():
    """Its figures lack variety, and a wide gap of D's logits is no loss where other terms teach the generator."""
    recipe = {
        "name": "test",
        "data": "digits",
        "degrade": ["downsample"],
        "generator": "unet_translator",
        "discriminator": "unet_patch",
        "training": {"steps": 1000},
    }
    watched = Doctor(resolve(recipe).to_dict())
    left_out = ("health/spread", "health/spread_features", "health/duplicates", "health/coverage")
    seen = [
        {name: value for name, value in line.items() if name not in left_out and "class_" not in name}
        for line in lines(20, **ILL["discriminator_wins"])
    ]
    assert watched.replay(seen) == []
    assert names(watched.replay([{**line, "health/separation": 0.2} for line in seen])) == {"generator_wins"}
