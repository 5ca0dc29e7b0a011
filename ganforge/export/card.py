"""The model card of a generator: what it is, how it was made, what its figures are and how they were computed."""

import json
import re
from collections.abc import Mapping
from typing import Any

from ganforge.arguments import argument
from ganforge.errors import GanforgeError
from ganforge.registry import Component, register
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.hub import GENERATOR_NAME
from ganforge.version import __version__

PICTURE = "samples.png"
RECIPE = "recipe.toml"


def model_card(
    config: GeneratorConfig,
    *,
    repo: str,
    recipe: str | None,
    data: Mapping[str, Any] | None,
    parameters: int,
    license_name: str | None,
) -> str:
    """The text of README.md, with the front matter that the hub reads.

    Args:
        config: config of the generator, which has been loaded, so that its component is known.
        repo: `owner/name`, under which people will find it.
        recipe: the resolved recipe as TOML, or None where there is only a generator file.
        data: the recipe's table `[data]`, or None.
        parameters: number of the generator's parameters.
        license_name: identifier of a license, or None to leave it open.
    """
    spec, name = config.spec, str(config.generator["name"])
    weights = "averaged (EMA) weights" if config.averaged else "weights"
    sizes = ", ".join(map(str, spec.shape))
    lines = [
        "---",
        "library_name: ganforge",
        f"pipeline_tag: {'image-to-image' if config.source else 'unconditional-image-generation'}",
        "tags:",
        "- gan",
        "- ganforge",
        f"- {json.dumps(name)}",
        *([f"license: {_license(license_name)}"] if license_name else []),
        "---",
        "",
        f"# {_plain(repo.partition('/')[2] or repo)}",
        "",
        f"A GAN's generator, {_span(name)} with {parameters:,} parameters, trained with ganforge.",
        f"Data: {spec}." if config.source is None else f"It makes pictures of {spec} of pictures of {config.source}.",
        "",
        f"![Samples]({PICTURE})",
        "",
        "The first samples of seed 0, not selected." if config.source is None else _SHEET,
        "",
        "## Use",
        "",
        "```python",
        "import ganforge, torch",
        "",
        f"generator = ganforge.load_generator({json.dumps(repo)})",
        *_call(config),
        "```",
        "",
        f"Samples are {'pictures in [-1, 1]' if spec.is_image else 'points'}, `(batch, {sizes})`.",
        _command(config, repo),
        *_code(register.generator.get(config.generator["name"])),
        f"`{GENERATOR_NAME}` holds weights and config; opening it runs no code.",
        "",
        "## Training",
        "",
        "| | |",
        "|---|---|",
        f"| run | {_plain(config.run) or 'unnamed'} |",
        f"| steps | {config.step:,} |",
        f"| real images seen | {config.images:,} |",
        f"| seed | {config.seed} |",
        f"| these are | {weights} |",
        *([f"| data | {_span(_inline(data))} |"] if data else []),
        f"| ganforge | {__version__} |",
        "",
        *_metrics(config),
        *_recipe(recipe),
    ]
    return "\n".join(lines)


_SHEET = "Sources and their translations, with the targets where there are some, not selected."


def _command(config: GeneratorConfig, repo: str) -> str:
    """What to type for pictures."""
    if config.source is None:
        return f"{_span(f'ganforge sample {repo} --n 64 --out grid.png')} draws a grid."
    return f"{_span(f'ganforge translate {repo} PICTURES --out translated')} translates files of any size."


def _code(component: Component) -> list[str]:
    """What loading needs: a generator file holds no code, and ganforge has only its own components."""
    if component.origin.startswith("ganforge."):
        return []
    module = component.described.__module__
    return [f"Loading it needs the plugin `{module}` ({component.package}), installed beside ganforge."]


def _call(config: GeneratorConfig) -> list[str]:
    if config.source is not None:
        size = f"16, {config.source.channels}, {config.source.height}, {config.source.width}"
        return [f"sources = torch.rand({size}) * 2 - 1  # pictures in [-1, 1]", "samples = generator(sources)"]
    distribution = config.generator.get("latent_distribution", "normal")
    drawn = "torch.randn(16, generator.latent_dim)"
    latent = drawn if distribution == "normal" else "2 * torch.rand(16, generator.latent_dim) - 1"
    if config.generator.get("conditional", "none") in (False, "none"):
        return [f"samples = generator({latent})"]
    return [
        f"labels = torch.arange(16) % {config.spec.num_classes}",
        f"samples = generator({latent}, labels)",
    ]


def _metrics(config: GeneratorConfig) -> list[str]:
    """Figures of these very weights, and the protocol without which they mean nothing."""
    if not config.metrics:
        return ["## Figures", "", "These weights were not evaluated.", ""]
    figures = {name: value for name, value in config.metrics.items() if isinstance(value, int | float)}
    rows = [f"| {_plain(name)} | {value:.4g} |" for name, value in figures.items()]
    protocol: list[str] = []
    if config.protocol:
        protocol = [
            "Computed by this protocol; figures of another one do not compare.",
            "",
            *_block("json", json.dumps(config.protocol, indent=2)),
            "",
        ]
    return ["## Figures", "", "| figure | value |", "|---|---|", *rows, "", *protocol]


def _recipe(recipe: str | None) -> list[str]:
    if recipe is None:
        return []
    start = "`ganforge train recipe.toml` trains it again, given the data."
    return ["## Recipe", "", start, "", *_block("toml", recipe.rstrip()), ""]


def _inline(table: Mapping[str, Any]) -> str:
    """A table on one line, without the keys about how this machine reads the data."""
    shown = {key: value for key, value in table.items() if key not in _READING}
    return json.dumps(shown).replace("|", "\\|")


def _license(name: str) -> str:
    """A license identifier as the hub expects it.

    Raises:
        GanforgeError: the text is not an identifier, and could be read as more of the card's front matter.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", name):
        raise GanforgeError(
            f"{argument('license_name', name)}: is not the identifier of a license; write one such as apache-2.0 or mit"
        )
    return name


def _plain(text: str) -> str:
    """One line of text, escaped so that Markdown and HTML show it as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|!&])", r"\\\1", " ".join(text.split()))


def _span(text: str) -> str:
    """Code within a line, delimited by more backticks than it holds."""
    line = " ".join(text.split())
    ticks = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{ticks} {line} {ticks}" if len(ticks) > 1 else f"`{line}`"


def _block(language: str, text: str) -> list[str]:
    """A fenced code block whose fence does not occur in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return [f"{fence}{language}", text, fence]


_READING = ("cache_dir", "reader", "workers", "prefetch", "cache_limit_gb", "max_corrupt")
