"""Illnesses of the game itself: one player wins, both run in circles, the discriminator learns by heart."""

from itertools import pairwise

from ganforge.doctor.history import Evidence, History, Line, Window, known
from ganforge.doctor.treatment import Treatment

GAPS = {"bce": 6.0, "minimax": 6.0, "relativistic": 6.0, "relativistic_average": 6.0, "hinge": 3.0, "lsgan": 0.9}
"""Difference of D's mean logits on reals and fakes from which it has won: both are then classified with more than 95%
certainty (logistic losses), both lie beyond their margins (hinge), or sit on their targets (lsgan). A Wasserstein
critic has no such border: its scale is free, and it is meant to be ahead."""

SURE = 0.97
SURER = 0.9


def discriminator_wins(history: History, treatment: Treatment) -> Evidence | None:
    """D tells nearly every fake from every real, by a wide margin or so that G's gradient has all but gone."""
    window = history.last(
        "health/separation", "discriminator/logits_real", "discriminator/logits_fake", lines=4, steps=100
    )
    if window is None or window.mean("health/separation") < SURER:
        return None
    separation = window.mean("health/separation")
    gap = window.mean("discriminator/logits_real") - window.mean("discriminator/logits_fake")
    last = window.lines[-1]
    evidence = {
        "health/separation": separation,
        "logit_gap": gap,
        "discriminator/accuracy_real": last.get("discriminator/accuracy_real", float("nan")),
        "discriminator/accuracy_fake": last.get("discriminator/accuracy_fake", float("nan")),
        "health/gradient_generator": last.get("health/gradient_generator", float("nan")),
    }
    border = GAPS.get(treatment.objective, float("inf"))
    # A translation's other terms go on teaching G where D has won.
    wide = not treatment.translates and gap > (border if separation >= SURE else 2 * border)
    return known(evidence) if wide or _has_vanished(history) else None


def _has_vanished(history: History) -> bool:
    """Whether G's gradient is below a fiftieth of its earlier maximum."""
    name = "health/gradient_generator"
    window = history.last(name, lines=4, steps=100)
    return window is not None and window.median(name) < 0.02 * history.largest[name]


def generator_wins(history: History, treatment: Treatment) -> Evidence | None:
    """D takes fakes for more real than reals, or does not see fakes that are far from every real."""
    names = ["health/separation"] if treatment.translates else ["health/separation", "health/coverage"]
    window = history.last(*names, lines=4, steps=100)
    if window is None:
        return None
    separation = window.mean("health/separation")
    coverage = float("nan") if treatment.translates else window.mean("health/coverage")
    is_blind = separation < 0.55 and coverage < 0.1
    if separation > 0.35 and not is_blind:
        return None
    last = window.lines[-1]
    return known(
        {
            "health/separation": separation,
            "health/coverage": coverage,
            "discriminator/accuracy_fake": last.get("discriminator/accuracy_fake", float("nan")),
            "health/gradient_discriminator": last.get("health/gradient_discriminator", float("nan")),
        }
    )


def copies_source(history: History, treatment: Treatment) -> Evidence | None:
    """Translations are as good as their sources, though targets are far from those (the identity term's failure)."""
    window = history.last("health/change", lines=4, steps=300)
    if window is None or not window.always("health/change", below=0.02):
        return None
    return {"health/change": window.mean("health/change")}


def oscillation(history: History, treatment: Treatment) -> Evidence | None:
    """From line to line G moves to other classes, or a loss doubles and halves again and again."""
    # Fakes wander at the start of healthy games, too; hence the many steps.
    window = history.last("generator/loss", lines=8, steps=600)
    if window is None:
        return None
    if (classes := window.classes()) and all(name in line for line in window.lines for name in classes):
        moved = [_moved(before, after, classes) for before, after in pairwise(window.lines)]
        share = sum(moved) / len(moved)
        if share > 0.6:
            return {"class_share_moved": share, "health/average_distance": _last(window, "health/average_distance")}
    for name in ("generator/loss", "discriminator/loss"):
        long = history.last(name, lines=12, steps=600)
        if long is not None and (count := reversals(long.values(name))) >= 6:
            return {
                f"{name} lowest": min(long.values(name)),
                f"{name} highest": max(long.values(name)),
                "reversals": count,
            }
    return None


def _moved(before: Line, after: Line, classes: list[str]) -> float:
    """Share of the fakes that would have to change class between two lines: the total variation distance."""
    return 0.5 * sum(abs(before[name] - after[name]) for name in classes)


def reversals(values: list[float], factor: float = 2.0) -> int:
    """How often a positive figure reversed after it had changed by more than a factor; 0 where it is not positive.

    A smaller change back is not counted, so noise does not add up.
    """
    if min(values) <= 0:
        return 0
    turns, direction, low, high = 0, 0, values[0], values[0]
    for value in values[1:]:
        low = min(low, value) if direction <= 0 else low
        high = max(high, value) if direction >= 0 else high
        if direction <= 0 and value > low * factor:
            turns += direction < 0
            direction, high = 1, value
        elif direction >= 0 and value < high / factor:
            turns += direction > 0
            direction, low = -1, value
    return turns


def memorising(history: History, treatment: Treatment) -> Evidence | None:
    """D takes reals that it never saw for fakes (only with `[health.held_out]`)."""
    window = history.last("health/overfitting", "health/separation", lines=4, steps=100)
    if window is None or window.mean("health/overfitting") < 0.5 or window.mean("health/separation") < 0.6:
        return None
    return {
        "health/overfitting": window.mean("health/overfitting"),
        "health/separation": window.mean("health/separation"),
    }


def _last(window: Window, name: str) -> float:
    return window.lines[-1].get(name, 0.0)
