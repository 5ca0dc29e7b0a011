"""For a CPU: narrow networks that learn in minutes what wide ones would take days for."""

from typing import Any

from ganforge.fitting.common import AUGMENTED, few_pictures, looks_at_classes, rounded
from ganforge.fitting.facts import Facts
from ganforge.fitting.section import Section

MOST_SIDE = 64
"""Side of a square of as many pixels as pictures are packed to: at 128 a step takes four times as long."""

BATCH = 32
PASSES = 32
"""Times that each picture is shown: 1,800 steps of 32 for the 1,797 digits of digits32."""
LEAST, MOST = 50_000, 1_000_000
"""Pictures shown in all: the length of the test with 200 digits, and about 40 minutes of two cores at 64x64."""

BYTES_A_PIXEL = 600
"""Of memory for each pixel of a batch, counted from the maps of these widths: three copies of each, and gradients."""


def sections(facts: Facts) -> list[Section]:
    """The tables of networks, losses and training."""
    network, name = (_dcgan, "dcgan") if "dcgan" in facts.families else (_stylegan2, "stylegan2")
    assert name in facts.families, "nobody asks for a size that no network can make"
    return [*network(facts), _training(facts, ramp=0.05)]


def batch_size(facts: Facts) -> int:
    """The batch of digits32, halved while it would take more than a quarter of the memory."""
    batch = max(BATCH, facts.machine.processes)
    while batch > 4 * facts.machine.processes and batch * facts.pixels * BYTES_A_PIXEL > facts.machine.memory / 4:
        batch //= 2
    return -(-batch // facts.machine.processes) * facts.machine.processes


def steps(facts: Facts) -> int:
    images = min(max(PASSES * facts.count, LEAST), MOST)
    return rounded(images / batch_size(facts))


def _dcgan(facts: Facts) -> list[Section]:
    is_conditional, why_classes = looks_at_classes(facts)
    generator: dict[str, Any] = {"name": "dcgan", "latent_dim": 100, "width": 24}
    discriminator: dict[str, Any] = {"name": "dcgan", "width": 16, "norm": "none", "init_std": 0.05}
    if is_conditional:
        generator["conditional"], discriminator["conditional"] = "norm", "embedding"
        why_classes += (
            " G has gains and biases of batch norm for each class (de Vries et al. 2017), D a learned map of it (Mirza "
            "and Osindero 2014), as in digits32-conditional."
        )
    return [
        Section(
            "generator",
            generator,
            (
                "A DCGAN (Radford et al. 2016) of about a third of its width, as in digits32: what a CPU trains in a "
                "given time is better than what it begins to train at full width (measured on digits and emoji, see "
                "the changelog).",
                *_on_gpu(facts),
                why_classes,
            ),
        ),
        Section(
            "discriminator",
            discriminator,
            (
                "Without batch norm, which costs most of the quality on few pictures; its first weights are wider to "
                "make up for it (measured on digits, as in digits32).",
            ),
        ),
        Section(
            "objective",
            {"name": "bce", "real_label": 0.9},
            ("Smoothed labels of real pictures keep D from being too sure (Salimans et al. 2016, section 3.4).",),
        ),
        *_augmentation(facts),
        *_optimizers({"name": "adam", "lr": 1e-3, "betas": [0.5, 0.999], "decay": "linear"}, _WHY_RATE),
    ]


def _augmentation(facts: Facts) -> list[Section]:
    """As for any network, but for grey pictures, where it was measured."""
    if facts.spec.channels > 1:
        return few_pictures(facts)
    why = (
        "No [[augment]]: so narrow a D learns no picture by heart in so few steps. With 200 digits, shifts made the "
        "Fréchet distance to unseen digits 39 instead of 26 in the same time (measured here); a D of three times the "
        "width gains from them."
    )
    return [Section("", why=(why,))] if facts.count <= AUGMENTED else []


def _on_gpu(facts: Facts) -> list[str]:
    if facts.machine.device == "cpu":
        return []
    size = f"{facts.spec.height}x{facts.spec.width}"
    return [
        f"A GPU can do with more: StyleGAN2 makes no pictures of {size}, but of sides that halve to a small map, such "
        "as 96 or 128: pack the pictures again with `ganforge data pack --size 96`."
    ]


_WHY_RATE = (
    "Five times DCGAN's learning rate, falling to 0: narrow networks take it, and the run is short (measured on "
    "digits, as in digits32). beta1 is DCGAN's."
)


def _stylegan2(facts: Facts) -> list[Section]:
    is_conditional, why_classes = looks_at_classes(facts)
    shared: dict[str, Any] = {"channel_base": 512, "channel_max": 48}
    generator = {"latent_dim": 64, "w_dim": 64, "mapping_layers": 2, **shared, "mixing": 0.0, "output": "linear"}
    return [
        Section(
            "generator",
            {"name": "stylegan2", **generator, **({"conditional": "embedding"} if is_conditional else {})},
            (
                "StyleGAN2 (Karras et al. 2020), since dcgan has no pictures of "
                f"{facts.spec.height}x{facts.spec.width}; as narrow as in digits32-stylegan2, for a CPU.",
                why_classes,
            ),
        ),
        Section(
            "discriminator",
            {"name": "stylegan2", **shared, **({"conditional": "projection"} if is_conditional else {})},
        ),
        Section("objective", {"name": "bce"}),
        Section(
            "[penalties]",
            {"name": "r1", "gamma": 1.0, "interval": 4},
            (
                "Without R1 this network does not converge (Mescheder et al. 2018); strength and interval of "
                "digits32-stylegan2.",
            ),
        ),
        *few_pictures(facts),
        *_optimizers(
            {"name": "adam", "lr": 1e-2, "betas": [0.0, 0.99], "decay": "linear"},
            "With an equalised learning rate Adam's lr is the relative speed of all weights; the paper's 2e-3 is for "
            "days of training, 1e-2 for minutes (measured on digits, as in digits32-stylegan2).",
        ),
    ]


def _optimizers(table: dict[str, Any], why: str) -> list[Section]:
    return [Section("optimizer.generator", table, (why,)), Section("optimizer.discriminator", table)]


def _training(facts: Facts, ramp: float) -> Section:
    batch, number = batch_size(facts), steps(facts)
    times = number * batch / facts.count
    why_batch = f"Batches of {BATCH}, as in digits32."
    if batch != BATCH:
        why_batch = (
            f"Batches of {batch}, so that a turn takes no more than a quarter of the memory, alike on every process."
        )
    return Section(
        "training",
        {"steps": number, "batch_size": batch, "ema": 2000.0, "ema_rampup": ramp, "log_every": 50},
        (
            f"{why_batch} The {number:,} steps show each picture {times:,.0f} times: {PASSES} as in digits32, but "
            f"{LEAST:,} pictures in all at least and {MOST:,} at most.",
            "The averaged generator has a half-life of 2,000 pictures, short enough for a short run (digits32).",
        ),
    )
