"""What the doctor says of a run folder, whether its training goes on, has ended, or was never watched."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from ganforge.doctor.doctor import Doctor
from ganforge.doctor.findings import Finding
from ganforge.doctor.illnesses import DIVERGENCE
from ganforge.doctor.journal import HEALTH, read_findings, read_lines
from ganforge.errors import GanforgeError

NOTHING_WRONG, NOTHING_TO_JUDGE = "nothing wrong found", "nothing to judge yet"


@dataclass(frozen=True)
class Episode:
    """An illness from its beginning to its end.

    Args:
        begin: the finding that it began with.
        end: step of the finding that it ended with; None if it has not ended.
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
        folder: of the run.
        lines_seen: log lines that it has looked at.
        last_step: of the last line; 0 without lines.
        episodes: illnesses in the order in which they began.
        was_watched: whether the findings come from `health.jsonl`, or from looking at the figures now.
    """

    folder: Path
    lines_seen: int
    last_step: int
    episodes: tuple[Episode, ...]
    was_watched: bool

    @property
    def is_ill(self) -> bool:
        return any(episode.end is None for episode in self.episodes)

    def lines(self) -> list[str]:
        """For the console: one paragraph an episode, the open ones with what helps."""
        source = "findings of training" if self.was_watched else "looked at now; training was not watched"
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


def diagnose(folder: Path) -> Diagnosis:
    """Read a run folder.

    Raises:
        GanforgeError: it is not a run folder.
    """
    recipe = folder / "recipe.resolved.toml"
    if not recipe.is_file():
        raise GanforgeError(
            f"{folder}: is no run folder (it has no recipe.resolved.toml); name one, such as runs/digits32"
        )
    lines = read_lines(folder)
    was_watched = (folder / HEALTH).exists()
    if was_watched:
        findings = read_findings(folder)
    else:
        findings = Doctor(tomllib.loads(recipe.read_text(encoding="utf-8"))).replay(lines)
    losses = [line for line in lines if "generator/loss" in line or "discriminator/loss" in line]
    last = int(losses[-1]["step"]) if losses else 0
    return Diagnosis(folder, len(losses), last, tuple(episodes(findings)), was_watched)


def episodes(findings: list[Finding]) -> list[Episode]:
    """Beginnings with their ends."""
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
