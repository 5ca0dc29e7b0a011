"""What the doctor says of a run folder, whether its training goes on, has ended, or was never watched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge.doctor.doctor import Doctor
from ganforge.doctor.findings import Finding
from ganforge.doctor.illnesses import DIVERGENCE
from ganforge.doctor.journal import figures_of, read_findings
from ganforge.jsonlines import StepLines, approximate_count
from ganforge.run_files import RunFolder
from ganforge.wording import counted

MOST_LOOKED_AT = 5_000
"""Lines of an unwatched run that the rules are asked about: they take two tenths of a millisecond each."""

NOTHING_WRONG, NOTHING_TO_JUDGE = "nothing wrong found", "nothing to judge yet"


@dataclass(frozen=True)
class Episode:
    """An illness from its beginning to its end.

    Args:
        begin: finding that marks its beginning.
        end: step of the finding that marks its end; None if it has not ended.
    """

    begin: Finding
    end: int | None

    @property
    def name(self) -> str:
        return self.begin.name


@dataclass(frozen=True)
class Diagnosis:
    """All that the doctor knows of a run.

    Args:
        folder: folder of the run.
        lines_seen: log lines that were examined.
        last_step: step of the last line; 0 without lines.
        episodes: illnesses in the order in which they began.
        was_watched: whether the findings come from `health.jsonl`, or from looking at the figures now.
        passed_over: damaged lines of `metrics.jsonl`, which were skipped.
        every: one in `every` lines was examined, where training was not watched and the log is long.
    """

    folder: Path
    lines_seen: int
    last_step: int
    episodes: tuple[Episode, ...]
    was_watched: bool
    passed_over: int = 0
    every: int = 1

    @property
    def is_ill(self) -> bool:
        return any(episode.end is None for episode in self.episodes)

    def lines(self) -> list[str]:
        """Text for the console: one paragraph an episode, with remedies for those that have not ended."""
        source = "findings of training" if self.was_watched else "looked at now; training was not watched"
        if not self.was_watched and self.every > 1:
            source = f"{source}, and of {self.every} lines one was looked at"
        if self.passed_over:
            file = RunFolder(self.folder).metrics.name
            source = f"{source}; {counted(self.passed_over, 'damaged line')} of {file} passed over"
        head = f"{self.folder}: {self.lines_seen} log lines up to step {self.last_step:,} ({source})"
        if not self.episodes:
            return [head, NOTHING_WRONG if self.lines_seen else NOTHING_TO_JUDGE]
        return [head, *(line for episode in self.episodes for line in _paragraph(episode))]


def _paragraph(episode: Episode) -> list[str]:
    begin = episode.begin
    when = f"since step {begin.step:,}"
    if begin.name == DIVERGENCE:
        when = f"at step {begin.step:,}"
    elif episode.end is not None:
        when = f"step {begin.step:,} to {episode.end:,}"
    lines = [f"{begin.name.replace('_', ' ')}, {when}: {begin.message}", f"    evidence: {begin.figures}"]
    lines.extend(f"    helps: {remedy}" for remedy in begin.remedies)
    return lines


def diagnose(folder: Path, each: Callable[[Mapping[str, Any]], object] | None = None) -> Diagnosis:
    """Read a run folder, whatever state it is in.

    Args:
        folder: folder of the run.
        each: called with every line of `metrics.jsonl` as it is read, so that a long file is read only once.

    Raises:
        GanforgeError: it is not a run folder, or a file of it cannot be read.
    """
    files = RunFolder(folder)
    recipe = files.read_recipe()
    was_watched = files.health.exists()
    findings = read_findings(folder)
    doctor = None if was_watched else Doctor(recipe)
    every = max(1, approximate_count(files.metrics) // MOST_LOOKED_AT)
    lines = StepLines(files.metrics)
    seen = last = 0
    for line in lines:
        if each is not None:
            each(line)
        if "generator/loss" in line or "discriminator/loss" in line:
            seen, last = seen + 1, line["step"]
            if doctor is not None and seen % every == 0:
                findings += doctor.look(figures_of(line))
    return Diagnosis(folder, seen, last, tuple(episodes(findings)), was_watched, lines.passed_over, every)


def episodes(findings: list[Finding]) -> list[Episode]:
    """Episodes, from findings that mark beginnings and ends."""
    found: list[Episode] = []
    for finding in findings:
        if finding.event == "begins":
            found.append(Episode(finding, None))
            continue
        for index in range(len(found) - 1, -1, -1):
            if found[index].name == finding.name and found[index].end is None:
                found[index] = Episode(found[index].begin, finding.step)
                break
    return found
