"""The doctor: it is given every log line, and reports when an illness begins and when it has ended."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ganforge.doctor.findings import Finding, still_open
from ganforge.doctor.history import APART, History, Line
from ganforge.doctor.illnesses import ILLNESSES
from ganforge.doctor.journal import figures_of, read_findings, read_lines
from ganforge.doctor.treatment import Treatment
from ganforge.jsonlines import SMALL, approximate_count, last_of, sampled
from ganforge.run_files import RunFolder

WELL_FOR = 6
"""Log lines without evidence after which an illness has ended, so that a figure on a border does not chatter."""


TAIL = 1_000
"""Lines at the end of a long log that are replayed when a run goes on."""


class Doctor:
    """Looks at a run line by line. Its state follows from the lines alone, so replaying them restores it.

    Args:
        recipe: the tables of the resolved recipe.
    """

    def __init__(self, recipe: Mapping[str, Any]) -> None:
        self._treatment = Treatment(recipe)
        self._history = History()
        self._well_for: dict[str, int] = {}
        self._last = 0

    @property
    def ill(self) -> list[str]:
        """Names of the illnesses that have begun and not ended."""
        return list(self._well_for)

    @property
    def against_divergence(self) -> tuple[str, ...]:
        """Remedies for a run whose losses are no longer finite."""
        return self._treatment.remedies("exploding_gradients")

    def look(self, line: Line) -> list[Finding]:
        """New findings after this log line; lines of evaluations have no losses and are ignored."""
        step = int(line["step"])
        if ("generator/loss" not in line and "discriminator/loss" not in line) or step // APART == self._last // APART:
            return []
        self._last = step
        self._history.add(line)
        found = []
        for illness in ILLNESSES:
            evidence = illness.rule(self._history, self._treatment)
            name = illness.name
            if evidence is not None:
                if name not in self._well_for:
                    remedies = self._treatment.remedies(name)
                    found.append(Finding(step, name, "begins", illness.begins, evidence, remedies))
                self._well_for[name] = 0
            elif name in self._well_for:
                self._well_for[name] += 1
                if self._well_for[name] >= WELL_FOR:
                    del self._well_for[name]
                    found.append(Finding(step, name, "ends", illness.ends, {}))
        return found

    def replay(self, lines: Iterable[Line]) -> list[Finding]:
        """All findings of a run from its log lines."""
        return [finding for line in lines for finding in self.look(line)]

    def catch_up(self, folder: Path, step: int) -> None:
        """Restore the state of a doctor that has watched a run up to a step.

        A log of up to 16 MB is replayed. Of a longer one only the end is; the illnesses that had begun before it are
        read from `health.jsonl`, and the largest gradients from a sample of all its lines.
        """
        path = RunFolder(folder).metrics
        if approximate_count(path) <= TAIL or path.stat().st_size <= SMALL:
            self.replay(read_lines(folder, until=step))
            return
        tail = [line for line in last_of(path, TAIL) if line["step"] <= step]
        begin = tail[0]["step"] if tail else step
        earlier = History()
        for line in sampled(path):
            if line["step"] < begin:
                earlier.add(figures_of(line))
        self._history.largest = earlier.largest
        self._well_for = {finding.name: 0 for finding in still_open(read_findings(folder), before=begin)}
        self.replay(map(figures_of, tail))
