"""How a figure was computed: everything that would change it."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import torch

from ganforge.metrics.metric import Extractor, View
from ganforge.version import __version__

FORMAT = 1
"""Format version of cached references; raised when their content changes in a way that the other keys do not show."""


@dataclass(frozen=True)
class Protocol:
    """What goes with every figure into logs and saved generators.

    Args:
        metrics: the metrics' tables: name and every option.
        extractor: the extractor's table, the name and sha256 of its weights, and what becomes of its input.
        reals: dataset, its digest, and which of its samples are used.
        num_reals: number of real samples.
        fakes: where generated samples come from: latents of a seed, or a folder.
        num_fakes: number of generated samples.
        versions: versions of the libraries that compute the figures.
    """

    metrics: tuple[Mapping[str, Any], ...]
    extractor: Mapping[str, Any] | None
    reals: Mapping[str, Any]
    num_reals: int
    fakes: Mapping[str, Any]
    num_fakes: int
    versions: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The protocol as plain JSON values."""
        return json.loads(json.dumps(asdict(self)))

    def reference(self, view: View) -> dict[str, Any]:
        """What the view of the real samples depends on: the key of the cache."""
        return {
            "format": FORMAT,
            "view": view,
            "extractor": self.extractor,
            "reals": {key: value for key, value in self.reals.items() if key != "dataset"},  # the digest counts
            "num_reals": self.num_reals,
            "torch-fidelity": self.versions["torch-fidelity"],
        }


def describe_extractor(extractor: Extractor, table: Mapping[str, Any]) -> dict[str, Any]:
    """The extractor's part of the protocol. Where its weights lie does not matter, what they are does."""
    kept = {key: value for key, value in table.items() if key != "weights"}
    return {
        **kept,
        "weights": extractor.name_of_weights,
        "sha256": extractor.sha256,
        "input": extractor.input,
    }


def versions() -> dict[str, str]:
    """Versions of ganforge, torch and torch-fidelity."""
    return {"ganforge": __version__, "torch": str(torch.__version__), "torch-fidelity": version("torch-fidelity")}


def fingerprint(table: Mapping[str, Any]) -> str:
    """Hex sha256 of a table of plain values."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def record(figures: Mapping[str, float], protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Figures and protocol for `evaluations.jsonl`; a value that is not a number becomes null, as JSON requires."""
    numbers = {name: value if math.isfinite(value) else None for name, value in figures.items()}
    return {"figures": numbers, "protocol": dict(protocol)}
