"""The parts of a page that can be read without its script."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import Any

from ganforge.doctor.diagnosis import NOTHING_TO_JUDGE, NOTHING_WRONG, Episode
from ganforge.lookup import table_at, tables_at, text, whole
from ganforge.recipe import difference
from ganforge.report.facts import Evaluation, RunFacts
from ganforge.report.markup import dot, table
from ganforge.run_files import RECIPE
from ganforge.wording import printable

MOST_ROWS = 12
"""Evaluations that a table shows: the last ones; the curves have all."""


def overview(runs: list[RunFacts]) -> str:
    """A card a run: how far it is, how good, how fast, how healthy."""
    return f'<div class="cards">{"".join(_card(index, run) for index, run in enumerate(runs))}</div>'


def _card(index: int, run: RunFacts) -> str:
    speed = run.series.get("images_per_second")
    usual = f"{sorted(speed.values)[len(speed.values) // 2]:,.0f}" if speed else "unknown"
    facts = [
        ("steps", f"{run.last_step:,} of {run.steps:,}" if run.steps else f"{run.last_step:,}"),
        ("images", f"{run.last_step * run.batch_size:,}" if run.batch_size else "unknown"),
        ("images a second", usual),
        ("best", run.best or "not measured"),
        ("health", _health_in_words(run)),
    ]
    is_ill = any(episode.end is None for episode in run.episodes)
    rows = "".join(
        f"<div><dt>{name}</dt><dd{' class=ill' * (name == 'health' and is_ill)}>{escape(value)}</dd></div>"
        for name, value in facts
    )
    bar = min(1.0, run.last_step / run.steps) if run.steps else 0.0
    return (
        f'<article class="card"><h3>{dot(index)}{escape(run.name)}</h3>'
        f'<div class="bar"><i style="width:{bar:.1%}"></i></div><dl>{rows}</dl></article>'
    )


def _health_in_words(run: RunFacts) -> str:
    lasting = [episode.name.replace("_", " ") for episode in run.episodes if episode.end is None]
    if lasting:
        return ", ".join(dict.fromkeys(lasting))
    if run.episodes:
        return f"{len(run.episodes)} passed"
    return NOTHING_WRONG if run.lines_judged else NOTHING_TO_JUDGE


def samples(runs: list[RunFacts]) -> str:
    """A slider over the steps; the script puts the pictures in."""
    shown = [(index, run) for index, run in enumerate(runs) if run.pictures]
    if not shown:
        return ""
    places = "".join(
        f'<figure data-run="{index}"><img alt="samples of {escape(run.name)}">'
        f"<figcaption>{dot(index)}{escape(run.name)}<span></span></figcaption></figure>"
        for index, run in shown
    )
    return (
        '<div class="slider"><button id="play" type="button" aria-label="play">&#9654;</button>'
        '<input id="when" type="range" min="0" max="0" value="0" aria-label="step"><output for="when"></output></div>'
        f'<div class="pictures">{places}</div>'
    )


def health(runs: list[RunFacts]) -> str:
    """A bar an illness over the run, then what the doctor says."""
    parts = []
    for index, run in enumerate(runs):
        title = f"<h3>{dot(index)}{escape(run.name)}</h3>" if len(runs) > 1 else ""
        if not run.episodes and not run.lines_judged:
            parts.append(f"{title}<p>{NOTHING_TO_JUDGE.capitalize()}.</p>")
            continue
        unwatched = "" if run.was_watched else "<p>Training was not watched; its figures were looked at afterwards.</p>"
        if not run.episodes:
            parts.append(f'{title}<p class="well">{NOTHING_WRONG.capitalize()}.</p>{unwatched}')
            continue
        timeline = "".join(_bar(episode, run.last_step) for episode in run.episodes)
        details = "".join(_finding(episode) for episode in run.episodes)
        parts.append(f'{title}{unwatched}<div class="timeline">{timeline}</div>{details}')
    return "".join(parts)


def _bar(episode: Episode, last: int) -> str:
    begin, end = episode.begin.step, last if episode.end is None else episode.end
    left, width = 100 * begin / max(last, 1), 100 * max(end - begin, 0) / max(last, 1)
    return (
        f"<div><span>{escape(episode.name.replace('_', ' '))}</span>"
        f'<b><i style="left:{min(left, 99):.2f}%;width:{max(width, 1):.2f}%"></i></b></div>'
    )


def _finding(episode: Episode) -> str:
    begin = episode.begin
    until = "it has not ended" if episode.end is None else f"to step {episode.end:,}"
    evidence = "".join(
        f"<tr><td>{escape(name)}</td><td>{value:.4g}</td></tr>" for name, value in begin.evidence.items()
    )
    remedies = "".join(f"<li>{escape(remedy)}</li>" for remedy in begin.remedies)
    helps = f"<div><h4>What helps</h4><ul>{remedies}</ul></div>" if remedies else ""
    return (
        f'<details class="finding" open><summary><strong>{escape(begin.name.replace("_", " "))}</strong> '
        f"from step {begin.step:,}, {until}</summary><p>{escape(begin.message)}.</p>"
        f'<div class="columns"><div><h4>Evidence</h4><table>{evidence}</table></div>{helps}</div></details>'
    )


def metrics(runs: list[RunFacts]) -> str:
    """A table a run, and the protocol under it."""
    parts = []
    for index, run in enumerate(runs):
        if not run.evaluations:
            continue
        usual = _usual_protocol(run)
        columns = _columns(run, usual)
        head = "".join(f"<th>{escape(name)}</th>" for name, _ in columns)
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(cell(evaluation))}</td>' for _, cell in columns)}</tr>"
            for evaluation in run.evaluations[-MOST_ROWS:]
        )
        earlier = len(run.evaluations) - MOST_ROWS
        note = f"<p>The last {MOST_ROWS} of {len(run.evaluations)} evaluations.</p>" if earlier > 0 else ""
        title = f"<h3>{dot(index)}{escape(run.name)}</h3>" if len(runs) > 1 else ""
        parts.append(f"{title}{table(head, rows)}{note}{_protocol(usual)}")
    return "".join(parts)


def _columns(run: RunFacts, usual: Mapping[str, Any]) -> list[tuple[str, Callable[[Evaluation], str]]]:
    """Columns of the table: titles, and the cell of an evaluation."""
    names = list(dict.fromkeys(name for evaluation in run.evaluations for name in evaluation.figures))
    columns: list[tuple[str, Callable[[Evaluation], str]]] = [
        ("step", lambda evaluation: f"{evaluation.step:,}"),
        ("of", lambda evaluation: evaluation.of),
        ("by", lambda evaluation: evaluation.by),
        *((name, partial(_figure, name)) for name in names),
    ]
    if any(_differs_in(evaluation.protocol, usual) for evaluation in run.evaluations):
        columns.append(("another protocol", lambda evaluation: _differs_in(evaluation.protocol, usual)))
    return columns


def _figure(name: str, evaluation: Evaluation) -> str:
    value = evaluation.figures.get(name)
    return "" if value is None else f"{value:.4g}"


def _usual_protocol(run: RunFacts) -> Mapping[str, Any]:
    """The protocol of training's last evaluation, which most figures have; without one, that of the last evaluation."""
    by_training = [evaluation for evaluation in run.evaluations if evaluation.by == "training"]
    return (by_training or run.evaluations)[-1].protocol


def _differs_in(protocol: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """How a protocol differs from the usual one in ways that change figures; empty if figures are comparable.

    Metrics computed in the same evaluation and the generator's path change no figure, and a dataset is identified by
    its digest, not by its name.
    """
    if not protocol or not usual:
        return "" if protocol == usual else "not written down"
    found = []
    extractors = [table.get("extractor") for table in (protocol, usual)]
    if None not in extractors and extractors[0] != extractors[1]:  # without one, no figure is common to both
        found.append("extractor")
    for name, words in (("num_reals", "number of reals"), ("num_fakes", "number of fakes")):
        if protocol.get(name) != usual.get(name):
            found.append(words)
    reals, usual_reals = ({**table_at(table, "reals"), "dataset": None} for table in (protocol, usual))
    if reals != usual_reals:
        found.append("reals")
    metrics, usual_metrics = (
        {text(one, "name") or "?": one for one in tables_at(table, "metrics")} for table in (protocol, usual)
    )
    found += [name for name, options in metrics.items() if options != usual_metrics.get(name, options)]
    return ", ".join(found)


def _protocol(protocol: Mapping[str, Any]) -> str:
    if not protocol:
        return "<p>The protocol of these figures was not written down.</p>"
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(_shown(value))}</td></tr>" for name, value in protocol.items()
    )
    table = f'<div class="wide"><table class="keys">{rows}</table></div>'
    return f"<details><summary>Protocol</summary>{table}</details>"


def curves(runs: list[RunFacts]) -> str:
    """Switches; the script draws the charts."""
    if not any(run.series for run in runs):
        return ""
    legend = "".join(
        f'<button type="button" class="chip" data-toggle="{index}" aria-pressed="true">{dot(index)}{escape(run.name)}'
        "</button>"
        for index, run in enumerate(runs)
    )
    return (
        '<div class="switches"><div class="switch" data-switch="scale"><button type="button" aria-pressed="true">linear'
        '</button><button type="button" aria-pressed="false">log</button></div>'
        '<div class="switch" data-switch="along"><button type="button" aria-pressed="true">steps</button>'
        f'<button type="button" aria-pressed="false">images</button></div>{legend if len(runs) > 1 else ""}</div>'
        '<div id="charts"></div><noscript>The curves are drawn by a script, which this browser does not run.</noscript>'
    )


def recipes(runs: list[RunFacts]) -> str:
    """What differs between the recipes, then each in full."""
    parts = [_differences(runs)] if len(runs) > 1 else []
    for index, run in enumerate(runs):
        is_open = " open" if len(runs) == 1 else ""
        parts.append(
            f"<details{is_open}><summary>{dot(index)}{escape(run.name)}: {RECIPE}</summary>"
            f"<pre>{escape(run.recipe_text)}</pre></details>"
        )
    return "".join(parts)


def _differences(runs: list[RunFacts]) -> str:
    first, *others = runs
    changed: dict[str, None] = {}
    for other in others:
        changed.update(dict.fromkeys(difference(first.recipe, other.recipe)))
    if not changed:
        return "<p>The recipes are the same.</p>"
    values = [difference({}, run.recipe) for run in runs]
    head = "".join(f"<th>{dot(index)}{escape(run.name)}</th>" for index, run in enumerate(runs))
    rows = "".join(
        f"<tr><td>{escape(key)}</td>"
        + "".join(f"<td>{escape(_shown(table.get(key, (None, None))[1]))}</td>" for table in values)
        + "</tr>"
        for key in changed
    )
    return table(f"<th>differs</th>{head}", rows)


def environment(runs: list[RunFacts]) -> str:
    """Versions and ranks, from the newest checkpoint of each run."""
    tables = [_environment_of(run) for run in runs]
    keys = list(dict.fromkeys(key for table in tables for key in table))
    head = "".join(f"<th>{dot(index)}{escape(run.name)}</th>" for index, run in enumerate(runs))
    rows = "".join(
        f"<tr><td>{escape(key)}</td>" + "".join(f"<td>{escape(table.get(key, '-'))}</td>" for table in tables) + "</tr>"
        for key in keys
    )
    return table(f"<th></th>{head}", rows)


def _environment_of(run: RunFacts) -> dict[str, str]:
    found = {
        "folder": printable(str(run.folder)),
        "seed": _known(whole(run.recipe, "seed")),
        "precision": _known(text(run.recipe, "training", "precision")),
    }
    if run.checkpoint:
        found["ranks"] = _known(whole(run.checkpoint, "world_size"))
        found |= {name: str(version) for name, version in table_at(run.checkpoint, "versions").items()}
        if (step := whole(run.checkpoint, "step")) is not None:
            found["newest checkpoint"] = f"step {step:,}"
        if rollbacks := whole(run.checkpoint, "rollbacks"):
            found["rollbacks"] = str(rollbacks)
    return found


def _known(value: int | str | None) -> str:
    return "unknown" if value is None else str(value)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


SECTIONS: tuple[tuple[str, Callable[[list[RunFacts]], str]], ...] = (
    ("Overview", overview),
    ("Samples", samples),
    ("Health", health),
    ("Metrics", metrics),
    ("Curves", curves),
    ("Recipe", recipes),
    ("Environment", environment),
)
"""Titles and bodies of the sections; empty ones are left out."""
