"""What the doctor says: that an illness begins or ends, with its evidence and what helps."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """One line of `health.jsonl`.

    Args:
        step: when it was seen.
        name: of the illness, as `[health] stop_on` writes it.
        event: whether it begins or ends here.
        message: what is going on, a sentence.
        evidence: the figures that show it, by their name in `metrics.jsonl`.
        remedies: what to change in the recipe.
    """

    step: int
    name: str
    event: Literal["begins", "ends"]
    message: str
    evidence: Mapping[str, float]
    remedies: tuple[str, ...] = ()

    @property
    def figures(self) -> str:
        """The evidence on one line."""
        return ", ".join(f"{name} {value:.3g}" for name, value in self.evidence.items())

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Finding":
        """Raises ValueError, KeyError or TypeError for a line that is torn or of another kind."""
        read: dict[str, Any] = json.loads(line)
        return cls(**{**read, "remedies": tuple(read["remedies"])})


def said(finding: Finding) -> str:
    """A finding as the console shows it."""
    if finding.event == "ends":
        return f"doctor, step {finding.step:,}: {finding.message}"
    helps = "".join(f"\n  - {remedy}" for remedy in finding.remedies)
    return f"doctor, step {finding.step:,}: {finding.message} ({finding.figures}). What helps:{helps}"
