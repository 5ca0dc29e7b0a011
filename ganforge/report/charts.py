"""Which figures share a chart, and in which order the charts come."""

from typing import Any

from ganforge.doctor.history import class_number
from ganforge.report.facts import RunFacts

GROUPS: tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], ...] = (
    (
        "Losses",
        (
            ("Losses", ("discriminator/loss", "generator/loss")),
            ("Objectives, without penalties", ("discriminator/objective", "generator/objective")),
        ),
    ),
    (
        "Balance of the players",
        (
            ("D's logits", ("discriminator/logits_real", "discriminator/logits_fake")),
            ("D is right on", ("discriminator/accuracy_real", "discriminator/accuracy_fake")),
            ("D tells a real from a fake (0.5 is chance)", ("health/separation",)),
            ("D takes unseen reals for fakes (1 is always)", ("health/overfitting",)),
        ),
    ),
    (
        "Variety of samples",
        (
            ("Distance between fakes, against reals", ("health/spread", "health/spread_features")),
            ("Reals with a fake close by, near-duplicates", ("health/coverage", "health/duplicates")),
        ),
    ),
    (
        "Gradients and weights",
        (
            ("Gradient norm", ("health/gradient_generator", "health/gradient_discriminator")),
            ("Averaged generator from the generator", ("health/average_distance",)),
        ),
    ),
    (
        "Speed",
        (("Images per second", ("images_per_second",)), ("Share of time waiting for data", ("data/wait_share",))),
    ),
)
"""Titles of groups, their charts, and the figures of each chart."""

LEFT_OUT = ("images", "evaluation/seconds", "evaluation/share")


def groups_of(runs: list[RunFacts]) -> list[dict[str, Any]]:
    """For the page's script: groups of charts with those figures that any of the runs has."""
    present = dict.fromkeys(name for run in runs for name in run.series if not _says_nothing(name, runs))
    groups: list[dict[str, Any]] = []
    metrics = [name for name in present if name.startswith("evaluation/")]
    if metrics:
        groups.append({"title": "Metrics", "charts": [_chart(name.partition("/")[2], [name]) for name in metrics]})
    taken = set(metrics)
    for title, charts in GROUPS:
        shown = [
            _chart(chart, kept) for chart, names in charts if (kept := [name for name in names if name in present])
        ]
        taken |= {name for _, names in charts for name in names}
        numbers = {name: number for name in present if (number := class_number(name)) is not None}
        if title.startswith("Variety") and (classes := sorted(numbers, key=numbers.__getitem__)):
            shown.append(_chart("Share of fakes that look like each class", classes))
            taken |= set(classes)
        if shown:
            groups.append({"title": title, "charts": shown})
    if rest := [name for name in present if name not in taken]:
        groups.append({"title": "Other figures", "charts": [_chart(name, [name]) for name in rest]})
    return groups


def _says_nothing(name: str, runs: list[RunFacts]) -> bool:
    """Whether a figure is the axis itself, repeats another, or is a count of troubles that never came."""
    # Shares of classes are drawn for one run only, as many lines of several runs show nothing.
    if name in LEFT_OUT or (class_number(name) is not None and len(runs) > 1):
        return True
    all_series = [run.series[name] for run in runs if name in run.series]
    if name.endswith("/objective"):
        loss = name.replace("/objective", "/loss")
        return all(run.series[name] == run.series.get(loss) for run in runs if name in run.series)
    return name == "data/unreadable" and not any(any(series.values) for series in all_series)


def _chart(title: str, figures: list[str]) -> dict[str, Any]:
    return {"title": title, "figures": figures}
