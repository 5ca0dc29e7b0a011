"""Illnesses of what the generator makes: always the same, or never certain classes."""

import math

from ganforge.doctor.history import CLASSES, Evidence, History, Line
from ganforge.doctor.treatment import Treatment


def collapse(history: History, treatment: Treatment) -> Evidence | None:
    """Fakes lie much closer together than reals, or are copies of each other, or show few of the classes at a time."""
    # A generator at the start of training also makes nearly one sample only, so many steps are needed.
    window = history.last("health/spread", "health/duplicates", lines=4, steps=300)
    if window is None:
        return None
    classes = window.classes()
    shown = [classes_shown(line, classes) for line in window.lines if all(name in line for name in classes)]
    is_narrow = window.always("health/spread", below=0.5)
    has_copies = window.always("health/duplicates", above=0.4)
    shows_few = len(classes) >= 4 and len(shown) == len(window.lines) and max(shown) < len(classes) / 3
    if not (is_narrow or has_copies or shows_few):
        return None
    evidence = {"health/spread": window.mean("health/spread"), "health/duplicates": window.mean("health/duplicates")}
    if all("health/spread_features" in line for line in window.lines):
        evidence["health/spread_features"] = window.mean("health/spread_features")
    if classes and shown:
        evidence |= {"classes_shown": sum(shown) / len(shown), "classes": len(classes)}
    return evidence


def missing_classes(history: History, treatment: Treatment) -> Evidence | None:
    """Over many lines together, a class has less than a seventh of its share of the data among the fakes."""
    any_class = next((name for line in reversed(history.lines) for name in line if name.startswith(CLASSES)), CLASSES)
    window = history.last(any_class, lines=8, steps=400)
    if window is None:
        return None
    classes = window.classes()
    shares = {name: window.mean(name) for name in classes}
    missing = {name: share for name, share in shares.items() if share < 0.15 / len(classes)}
    return {**missing, "classes": len(classes)} if missing else None


def classes_shown(line: Line, classes: list[str]) -> float:
    """How many classes the fakes of a line are as varied as: the exponential of the entropy of their shares."""
    shares = [line[name] for name in classes if line.get(name, 0.0) > 0]
    whole = sum(shares)  # not 1 where classes are of different sizes
    shares = [share / whole for share in shares if math.isfinite(whole)]
    return math.exp(-sum(share * math.log(share) for share in shares))
