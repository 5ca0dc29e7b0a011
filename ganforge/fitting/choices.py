"""From facts to the tables of a recipe: a pure function, so the same facts always give the same recipe."""

from ganforge.fitting import large, small
from ganforge.fitting.common import evaluation, rounded
from ganforge.fitting.facts import Facts
from ganforge.fitting.section import Section


def choose(facts: Facts) -> list[Section]:
    """All tables but `[data]`, each with the reason for it.

    Args:
        facts: with at least one family that can make such pictures.
    """
    on_gpu = facts.machine.device == "gpu" and "stylegan2" in facts.families
    chosen = (large if on_gpu else small).sections(facts)
    steps = next(section.values["steps"] for section in chosen if section.header == "training")
    sixth = max(1, rounded(steps / 6))
    every = {"samples": 1000, "evaluation": 5000, "checkpoint": 2000} if on_gpu else dict.fromkeys(_OFTEN, sixth)
    return [
        *chosen,
        Section("samples", {"every": every["samples"], "num": 64}, ("A grid of the same latents, now and then.",)),
        Section("checkpoint", {"every": every["checkpoint"]}, ("What a killed run loses at most, in steps.",)),
        evaluation(facts, every["evaluation"]),
    ]


_OFTEN = ("samples", "evaluation", "checkpoint")
