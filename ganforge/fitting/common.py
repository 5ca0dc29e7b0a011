"""What is chosen alike for all networks: whether they look at classes, and which metric there is."""

from typing import Any

from ganforge.fitting.facts import Facts
from ganforge.fitting.section import Section, inline
from ganforge.wording import counted

FEWEST_OF_A_CLASS = 100
"""With few of a class conditional training collapses (Shahbazi et al. 2022); 180 digits of each were enough."""

CLASSIFIER_SIDE, CLASSIFIER_PICTURES = 64, 64
"""What `digits-cnn` trains on: labelled pictures up to this side, and so many of them."""

FEW_FOR_FID = 10_000
"""Below it the bias of FID is large, and KID has none (Bińkowski et al. 2018; Karras et al. 2020, ADA, section 4.3)."""


FEW = 1_000
"""Up to so many pictures, DiffAugment has all three changes in its authors' settings."""
AUGMENTED = 10_000
"""Up to so many pictures it is used at all; its authors go up to a fifth of CIFAR-10."""

KID_SUBSET = 1000
"""Pictures in each random subset of KID, by default."""


def looks_at_classes(facts: Facts) -> tuple[bool, str]:
    """Whether both networks are conditional, and why."""
    classes = counted(facts.spec.num_classes, "class", "classes")
    if facts.spec.num_classes < 2:
        return False, "The pictures have no classes (folders of them would be), so no network looks at any."
    if not facts.class_counts:
        return False, f"How many pictures each of the {classes} has is not known, so no network looks at them."
    least = min(facts.class_counts)
    if least < FEWEST_OF_A_CLASS:
        return False, (
            f"No network looks at the {classes}, of which the smallest has {counted(least, 'picture')}: with few of a "
            f"class conditional training collapses (Shahbazi et al. 2022); the line is drawn at {FEWEST_OF_A_CLASS}."
        )
    return True, (
        f"Both networks look at the {classes}, of which the smallest has {counted(least, 'picture')}: with few of a "
        "class conditional training collapses (Shahbazi et al. 2022), with 180 digits of each it halved the Fréchet "
        "distance (measured here). `ganforge sample --class` makes pictures of one class."
    )


def few_pictures(facts: Facts) -> list[Section]:
    """DiffAugment where there are few pictures; nothing where there are many."""
    if facts.count > AUGMENTED:
        return []
    if facts.spec.channels == 1:
        policy = ["translation"]
        why = "Only shifts, since on 200 digits brightness and cutout did not help (measured here)."
    elif facts.count <= FEW:
        policy = ["color", "translation", "cutout"]
        why = "All three changes, as its authors take for 100 to 1,000 pictures."
    else:
        policy = ["translation", "cutout"]
        why = "Shifts and cutout, as its authors take for 5,000 and 10,000 of the pictures of CIFAR-10."
    few = f"{counted(facts.count, 'picture')} are few, and D would learn them by heart"
    why = f"{few} (DiffAugment, Zhao et al. 2020). {why}"
    return [Section("[augment]", {"name": "diffaugment", "policy": policy}, (why,))]


def evaluation(facts: Facts, every: int) -> Section:
    """A metric that can be had on this machine without a network, or the comment that says how to get one."""
    spec, machine = facts.spec, facts.machine
    learns = facts.count >= CLASSIFIER_PICTURES and max(spec.height, spec.width) <= CLASSIFIER_SIDE
    has_better = machine.device == "gpu" and machine.has_inception
    if spec.num_classes > 1 and facts.class_counts and learns and not has_better:
        return Section(
            "evaluation",
            {"metrics": ["fid"], "extractor": "digits-cnn", "every": every, "num_fakes": min(facts.count, 2048)},
            (
                "The labels train a small classifier in seconds, in whose features the Fréchet distance is measured. "
                "It compares runs on these pictures and is not the FID of papers, which needs Inception.",
            ),
        )
    if not machine.has_inception or spec.channels not in (1, 3):
        return Section(
            "",
            why=(
                "No [evaluation]: the weights of Inception (95 MB), in whose features FID and KID are measured, are "
                "not on this machine. Where there is a network they are fetched at first use, with",
                "[evaluation]",
                f"metrics = {inline([_inception_metric(facts)])}",
                f"every = {every}",
            ),
        )
    values: dict[str, Any] = {"metrics": [_inception_metric(facts)]}
    if machine.device == "gpu":
        values |= {"every": every, "num_fakes": 10_000}
        cost = "Papers take 50,000 fakes; 10,000 rank the steps of one run at a fifth of the time."
    else:
        values |= {"num_fakes": 2048}
        cost = "On a CPU Inception takes minutes, so it is asked at the end only."
    return Section("evaluation", values, (_why_inception(facts), cost))


def _inception_metric(facts: Facts) -> str | dict[str, Any]:
    if facts.count >= FEW_FOR_FID:
        return "fid"
    return "kid" if facts.count >= KID_SUBSET else {"name": "kid", "subset_size": max(2, facts.count)}


def _why_inception(facts: Facts) -> str:
    if facts.count < FEW_FOR_FID:
        return (
            f"KID, since FID is biased where there are few pictures ({facts.count:,}; Bińkowski et al. 2018; Karras et "
            "al. 2020, ADA, section 4.3)."
        )
    return "FID, as in the papers."


def rounded(steps: float) -> int:
    """Two leading digits, which people remember."""
    unit = max(1, 10 ** (len(str(int(steps))) - 2))
    return max(1, round(steps / unit) * unit)
