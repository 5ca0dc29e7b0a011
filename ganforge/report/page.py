"""The page itself: one file that needs nothing but a browser."""

import json
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path

from ganforge.arguments import argument
from ganforge.errors import GanforgeError
from ganforge.files import write_text
from ganforge.report.charts import groups_of
from ganforge.report.facts import RunFacts, names_of, read_run
from ganforge.report.pictures import embedded
from ganforge.report.sections import SECTIONS
from ganforge.version import __version__
from ganforge.wording import counted


def write_report(folders: list[Path], out: Path, *, most_pictures: int = 40) -> str:
    """Write a page about one or several runs.

    Args:
        folders: run folders.
        out: the page; its folder is made if it is missing.
        most_pictures: sample grids a run.

    Returns:
        a line that says where the page is and how large.

    Raises:
        GanforgeError: a folder is not a run folder, or the page cannot be written.
    """
    distinct = list(dict.fromkeys(folders))
    runs = [read_run(folder, name) for folder, name in zip(distinct, names_of(distinct), strict=True)]
    shown = [embedded(run.pictures, most_pictures) for run in runs]
    page = _page(runs, [pictures for pictures, _ in shown])
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, page)
    except OSError as error:
        raise GanforgeError(
            f"{out}: cannot be written: {error.strerror}; choose another file with {argument('out')}"
        ) from error
    said = f"{out}: {len(page) / 1e6:.1f} MB, about {', '.join(run.name for run in runs)}"
    for run, (_, unreadable) in zip(runs, shown, strict=True):
        grids = [counted(unreadable, "sample grid")] if unreadable else []
        if odd := [*run.passed_over, *grids]:
            said = f"{said}; left out of {run.name}: {', '.join(odd)}"
    return said


def render(runs: list[RunFacts], most_pictures: int, refresh: int = 0) -> str:
    """The HTML of a page; the data that its script draws is embedded as JSON.

    Args:
        runs: what it is about.
        most_pictures: sample grids a run.
        refresh: seconds after which it loads itself anew; 0 for never.
    """
    return _page(runs, [embedded(run.pictures, most_pictures)[0] for run in runs], refresh)


def _page(runs: list[RunFacts], pictures: list[list[dict[str, object]]], refresh: int = 0) -> str:
    here = files("ganforge.report")
    sections = [(number, title, body(runs)) for number, (title, body) in enumerate(SECTIONS)]
    shown = [(number, title, body) for number, title, body in sections if body]
    parts = {
        "title": (names := escape(", ".join(run.name for run in runs))),
        "headline": names,
        "count": "One run" if len(runs) == 1 else f"{len(runs)} runs compared",
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, ganforge {__version__}",
        "refresh": str(refresh),
        "live": f" · looks again every {refresh} seconds" if refresh else "",
        "style": (here / "page.css").read_text(encoding="utf-8"),
        "script": (here / "page.js").read_text(encoding="utf-8"),
        "menu": "".join(f'<a href="#part-{number}">{title}</a>' for number, title, _ in shown),
        "sections": "\n".join(
            f'<section id="part-{number}"><h2>{title}</h2>{body}</section>' for number, title, body in shown
        ),
        "data": _data(runs, pictures),
    }
    page = (here / "page.html").read_text(encoding="utf-8")
    for name, part in parts.items():
        page = page.replace(f"<!--{name}-->", part, 1)
    return page


def _data(runs: list[RunFacts], pictures: list[list[dict[str, object]]]) -> str:
    described = [
        {
            "name": run.name,
            "batch": run.batch_size or 1,
            "series": {
                name: [thin.steps, thin.values]
                for name, thin in ((name, series.thinned()) for name, series in run.series.items())
            },
            "pictures": grids,
        }
        for run, grids in zip(runs, pictures, strict=True)
    ]
    text = json.dumps({"runs": described, "groups": groups_of(runs)}, separators=(",", ":"))
    return text.replace("<", "\\u003c")  # so that no value can end the script element
