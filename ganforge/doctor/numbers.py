"""Illnesses of the arithmetic: gradients that explode or die, an average that does not follow its generator."""

from ganforge.doctor.history import Evidence, History
from ganforge.doctor.treatment import Treatment

PLAYERS = ("generator", "discriminator")


def exploding_gradients(history: History, treatment: Treatment) -> Evidence | None:
    """A gradient of more than ten thousand, or a hundred times what it used to be."""
    evidence = {}
    for player in PLAYERS:
        name = f"health/gradient_{player}"
        recent = history.last(name, lines=3, steps=50)
        if recent is None:
            continue
        earlier = [line[name] for line in history.lines if name in line and line["step"] < recent.lines[0]["step"]]
        usual = sorted(earlier)[len(earlier) // 2] if len(earlier) >= 5 else float("inf")
        if recent.always(name, above=min(1e4, max(100 * usual, 10.0))):
            evidence[name] = recent.median(name)
            if usual < float("inf"):
                evidence[f"{name} before"] = usual
    return evidence or None


def dead_gradients(history: History, treatment: Treatment) -> Evidence | None:
    """A gradient that has vanished: the player no longer learns, whatever the other does."""
    evidence = {}
    for player in PLAYERS:
        name = f"health/gradient_{player}"
        window = history.last(name, lines=4, steps=100)
        if window is not None and window.always(name, below=max(1e-8, 1e-5 * history.largest[name])):
            evidence[name] = window.median(name)
            evidence[f"{name} before"] = history.largest[name]
    return evidence or None


def average_far(history: History, treatment: Treatment) -> Evidence | None:
    """The averaged generator's weights are far from the generator's: its samples are not what G makes now."""
    window = history.last("health/average_distance", lines=6, steps=200)
    if window is None or window.median("health/average_distance") < 0.2:
        return None
    return {"health/average_distance": window.median("health/average_distance")}
