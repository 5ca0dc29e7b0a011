"""What the doctor says: that an illness begins or ends, with its evidence and what helps."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ganforge.lookup import is_number


@dataclass(frozen=True)
class Finding:
    """One line of `health.jsonl`.

    Args:
        step: step at which it was seen.
        name: name of the illness, as `[health] stop_on` writes it.
        event: whether it begins or ends here.
        message: what is happening, in one sentence.
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
    def from_table(cls, line: Mapping[str, Any]) -> "Finding | None":
        """A finding from an object with a step; None if it is something else."""
        event, name, message = line.get("event"), line.get("name"), line.get("message")
        evidence, remedies = line.get("evidence"), line.get("remedies", [])
        if event not in ("begins", "ends") or not isinstance(name, str) or not isinstance(message, str):
            return None
        if not isinstance(evidence, dict) or not isinstance(remedies, list):
            return None
        if not all(isinstance(remedy, str) for remedy in remedies):
            return None
        figures = {figure: value for figure, value in evidence.items() if is_number(value)}
        return cls(line["step"], name, event, message, figures, tuple(remedies))


def still_open(findings: Iterable[Finding], before: int) -> list[Finding]:
    """The illnesses of the list that have begun before a step and not ended before it."""
    found: dict[str, Finding] = {}
    for finding in findings:
        if finding.step < before:
            found.pop(finding.name, None)
            if finding.event == "begins":
                found[finding.name] = finding
    return list(found.values())


def said(finding: Finding) -> str:
    """A finding as text for the console."""
    if finding.event == "ends":
        return f"doctor, step {finding.step:,}: {finding.message}"
    helps = "".join(f"\n  - {remedy}" for remedy in finding.remedies)
    return f"doctor, step {finding.step:,}: {finding.message} ({finding.figures}). What helps:{helps}"
