"""The two files of a run folder that the doctor works with: it reads `metrics.jsonl` and writes `health.jsonl`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganforge.doctor.findings import Finding
from ganforge.doctor.history import Line
from ganforge.files import write_text
from ganforge.jsonlines import StepLines
from ganforge.lookup import is_number
from ganforge.run_files import RunFolder


def read_lines(folder: Path, until: float = float("inf")) -> list[Line]:
    """The lines of `metrics.jsonl` up to a step, for a log that is not long; damaged lines are skipped."""
    return [figures_of(line) for line in StepLines(RunFolder(folder).metrics) if line["step"] <= until]


def figures_of(line: Mapping[str, Any]) -> Line:
    """The numbers of a line, its step among them."""
    return {name: value for name, value in line.items() if is_number(value)}


def read_findings(folder: Path) -> list[Finding]:
    """The findings in `health.jsonl`, oldest first."""
    found = (Finding.from_table(line) for line in StepLines(RunFolder(folder).health))
    return [finding for finding in found if finding is not None]


class Journal:
    """Writes `health.jsonl`; a run that goes on from a step writes what came after it again.

    Args:
        folder: of the run.
        start: the step that the run goes on from; later findings are dropped.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self._path = RunFolder(folder).health
        self.rewind(start)

    def rewind(self, step: int) -> None:
        """Forget the findings after a step. The file is there from the start, as a sign that somebody watches."""
        kept = [finding for finding in read_findings(self._path.parent) if finding.step <= step]
        write_text(self._path, "".join(f"{finding.to_json()}\n" for finding in kept))

    def write(self, finding: Finding) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(finding.to_json() + "\n")
