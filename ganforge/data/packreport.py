"""`pack_report.json`: what a pack decided, changed and left out, for people."""

import json
from collections.abc import Sequence
from pathlib import Path

from ganforge.data.conversions import Conversions
from ganforge.wording import counted

REPORT_NAME = "pack_report.json"


def format_report(
    packed: int,
    rules: Sequence[str],
    left_out: Sequence[tuple[str, str]],
    conversions: Conversions,
    fingerprint: str = "",
) -> str:
    """The text of the report.

    Args:
        packed: number of samples.
        rules: what was decided before, in sentences.
        left_out: name and reason of each picture that is not a sample.
        conversions: what was done to pictures, by kind.
        fingerprint: of the source.
    """
    table = {
        "packed": packed,
        "source": fingerprint,
        "rules": list(rules),
        "conversions": {
            kind: {"pictures": count, "first": name} for kind, (count, name) in sorted(conversions.items())
        },
        "left_out": [{"name": name, "reason": reason} for name, reason in left_out],
    }
    return json.dumps(table, indent=2) + "\n"


def lines_of_report(folder: Path) -> list[str]:
    """The report of a packed folder in a few lines."""
    table = json.loads((folder / REPORT_NAME).read_text())
    lines = list(table["rules"])
    if table["conversions"]:
        done = (f"{kind} ({row['pictures']:,})" for kind, row in table["conversions"].items())
        lines.append(f"pictures: {', '.join(done)}")
    count = len(table["left_out"])
    if count:
        first = table["left_out"][0]
        lines.append(
            f"{counted(count, 'picture was', 'pictures were')} left out, such as {first['name']}: {first['reason']}; "
            f"{folder / REPORT_NAME} says why"
        )
    return lines


def fingerprint_of(folder: Path) -> str:
    """Fingerprint of the source that a folder was packed from; empty where that is not known."""
    try:
        table = json.loads((folder / REPORT_NAME).read_text())
    except (OSError, ValueError):
        return ""
    return str(table.get("source", "")) if isinstance(table, dict) else ""
