"""For a GPU: StyleGAN2 with adaptive augmentation in the settings that its authors' code chooses by itself.

The rules are those of `--cfg=auto` in the authors' StyleGAN2-ADA (Karras et al. 2020, "Training Generative Adversarial
Networks with Limited Data"; README and train.py of stylegan2-ada-pytorch): batch, widths, learning rate, strength of R1
and half-life of the average by resolution and number of GPUs. Where they speak of a resolution, this has the side of a
square of as many pixels.
"""

from typing import Any

from ganforge.fitting.common import looks_at_classes
from ganforge.fitting.facts import Facts
from ganforge.fitting.section import Section

MOST_SIDE = 256
"""Side of a square of as many pixels as pictures are packed to: a week of one V100 (README)."""

MOST_A_GPU, MOST_TOGETHER = 32, 64

GIGABYTES_A_PICTURE = {128: 7.2 / 32, 256: 5.0 / 16, 512: 7.6 / 8, 1024: 8.1 / 4}
"""Memory of one V100 over its batch, by resolution: "Expected training time" in the authors' README."""

USABLE = 0.8
"""Share of a GPU's memory that is counted on, since others and the allocator take some."""

MANY = 50_000
"""Pictures from which a run is given the authors' full length."""
FULL_LENGTH, SHORT_LENGTH = 25_000_000, 5_000_000
"""Pictures shown until convergence "in typical cases", and until results are "already quite reasonable" (README)."""


def sections(facts: Facts) -> list[Section]:
    """The tables of networks, losses and training."""
    side, batch = facts.side, batch_size(facts)
    group = _largest_divisor(batch // facts.machine.processes // micro_batches(facts), 4)
    is_conditional, why_classes = looks_at_classes(facts)
    shared: dict[str, Any] = {"channel_base": 32_768 if side >= 512 else 16_384}
    rate, sizes = (2e-3, "from") if side >= 1024 else (2.5e-3, "below")
    optimizer = {"name": "adam", "lr": rate, "betas": [0.0, 0.99]}
    return [
        Section(
            "generator",
            {
                "name": "stylegan2", "mapping_layers": 2, **shared, "output": "linear", "half_blocks": 4,
                **({"conditional": "embedding"} if is_conditional else {}),
            },
            (
                "StyleGAN2 with adaptive augmentation (ADA, Karras et al. 2020), of which its authors say that "
                "`auto` is a good starting point for new datasets. All figures below follow the rules of that "
                "configuration: half the channels below 512x512, two mapping layers, 16 bits in the four highest "
                "resolutions.",
                *_another(facts),
                why_classes,
            ),
        ),
        Section(
            "discriminator",
            {
                "name": "stylegan2", **shared, "minibatch_std": group, "half_blocks": 4,
                **({"conditional": "projection"} if is_conditional else {}),
            },
            (
                f"It sees how much the pictures in groups of {group} differ (4 in `auto`, which a micro-batch has to "
                "allow).",
            ),
        ),
        Section("objective", {"name": "bce"}, ("The non-saturating loss of the paper.",)),
        Section(
            "[penalties]",
            {"name": "r1", "gamma": float(f"{gamma(facts):.3g}"), "interval": 16},
            (
                f"R1 of 0.0002 * {side:.0f}^2 / {batch}, the heuristic of `auto`, every 16th step as in the paper. The "
                "authors recommend to try a few values for each dataset.",
            ),
        ),
        Section(
            "[penalties]",
            {"name": "path_length", "strength": 2.0, "interval": 4},
            ("The paper's regularisation of path lengths (section 3.2).",),
        ),
        _augmentation(facts),
        Section("optimizer.generator", optimizer, (f"Adam with {rate:g}, as `auto` has it {sizes} 1024x1024.",)),
        Section("optimizer.discriminator", optimizer),
        _training(facts),
    ]  # fmt: skip


def _another(facts: Facts) -> list[str]:
    """The network that is worth its time where there are many small pictures."""
    if facts.count < MANY or facts.side > 64 or "r3gan" not in facts.families:
        return []
    return [
        "For so many pictures of this size R3GAN has a low published FID (1.95 on FFHQ-64, Huang et al. 2024), on 8 "
        "GPUs: `ganforge new mine.toml --like ffhq64-r3gan --data PATH`, or celeba64-r3gan for one GPU."
    ]


def batch_size(facts: Facts) -> int:
    """Pictures of a turn on all GPUs together."""
    gpus = facts.machine.processes
    a_gpu = min(int(4096 // facts.side), MOST_A_GPU)
    a_gpu = min(a_gpu, MOST_TOGETHER // gpus)
    return gpus * max(1, 1 << (a_gpu.bit_length() - 1) if a_gpu else 1)  # powers of 2, as the authors' sides give


def gamma(facts: Facts) -> float:
    """Strength of R1."""
    return 0.0002 * facts.pixels / batch_size(facts)


def micro_batches(facts: Facts) -> int:
    """Pieces of a turn that fit the GPU's memory, by what the authors measured."""
    a_gpu = batch_size(facts) // facts.machine.processes
    a_picture = next((each for side, each in GIGABYTES_A_PICTURE.items() if facts.side <= side), None)
    if a_picture is None:
        a_picture = GIGABYTES_A_PICTURE[1024] * facts.pixels / 1024**2
    pieces = 1
    while pieces < a_gpu and a_gpu // pieces * a_picture * 1e9 > USABLE * facts.machine.memory:
        pieces *= 2
    return pieces


def _augmentation(facts: Facts) -> Section:
    why = (
        f"D's overfitting to {facts.count:,} pictures decides how much of the paper's changes (`bgc`) it sees; while "
        "there are enough pictures, none. With a probability below 0.8 they do not leak into the samples (ADA, section "
        "2.2)."
    )
    return Section("[augment]", {"name": "ada", "target": 0.6}, (why,))


def _training(facts: Facts) -> Section:
    batch, pieces = batch_size(facts), micro_batches(facts)
    images = FULL_LENGTH if facts.count >= MANY else SHORT_LENGTH
    values: dict[str, Any] = {"steps": images // batch, "batch_size": batch}
    why = [
        f"Batches of {batch} on {facts.machine}, by the rule of `auto`: 4096 / {facts.side:.0f} a GPU, at most "
        f"{MOST_A_GPU}, and at most {MOST_TOGETHER} together.",
    ]
    if pieces > 1:
        values |= {"discriminator_micro_batches": pieces, "generator_micro_batches": pieces}
        why.append(
            f"In {pieces} pieces, since by the authors' table of GPU memory the whole would take more than "
            f"{USABLE:.0%} of {facts.machine.memory / 1e9:.0f} GB."
        )
    millions, full = images // 1_000_000, FULL_LENGTH // 1_000_000
    why.append(
        f"{millions} million pictures shown, until convergence in typical cases (README of the authors)."
        if images == FULL_LENGTH
        else f"{millions} million pictures shown, where results are quite reasonable; {full} million, until "
        f"convergence in typical cases (README of the authors), are for {MANY:,} pictures and more."
    )
    values |= {"ema": batch * 10_000 / 32, "ema_rampup": 0.05, "log_every": 100}
    return Section("training", values, tuple(why))


def _largest_divisor(number: int, most: int) -> int:
    return next(size for size in range(min(number, most), 0, -1) if number % size == 0)
