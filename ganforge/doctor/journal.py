"""The two files of a run folder that the doctor lives on: `metrics.jsonl`, and `health.jsonl`, which is its own."""

import json
from pathlib import Path

from ganforge.doctor.findings import Finding
from ganforge.doctor.history import Line
from ganforge.files import write_text

HEALTH = "health.jsonl"


def read_lines(folder: Path, until: float = float("inf")) -> list[Line]:
    """The lines of `metrics.jsonl` up to a step; one that a kill or a writer left in the middle is passed over."""
    return [line for line in read_objects(folder / "metrics.jsonl") if line["step"] <= until]


def read_objects(path: Path) -> list[dict]:
    """The whole JSON objects of a file of lines that have a `step`; none if there is no file."""
    found = []
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                read = json.loads(text)
            except ValueError:
                continue
            if isinstance(read, dict) and isinstance(read.get("step"), int):
                found.append(read)
    return found


def read_findings(folder: Path) -> list[Finding]:
    """The findings in `health.jsonl`, oldest first."""
    found = []
    path = folder / HEALTH
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(Finding.from_json(text))
            except (ValueError, KeyError, TypeError):
                continue
    return found


class Journal:
    """Writes `health.jsonl`; a run that goes on from a step writes what came after it again.

    Args:
        folder: of the run.
        start: the step that the run goes on from; later findings are dropped.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self._path = folder / HEALTH
        self.rewind(start)

    def rewind(self, step: int) -> None:
        """Forget the findings after a step. The file is there from the start, as a sign that somebody watches."""
        kept = [finding for finding in read_findings(self._path.parent) if finding.step <= step]
        write_text(self._path, "".join(f"{finding.to_json()}\n" for finding in kept))

    def write(self, finding: Finding) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(finding.to_json() + "\n")
