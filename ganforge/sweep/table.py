"""What `ganforge sweep` prints at the end."""

from rich.table import Table

from ganforge.sweep.results import Outcome


def outcome_table(outcome: Outcome) -> Table:
    """One row a trial: its values, and the best figure that it reached."""
    table = Table(title="trials", title_justify="left")
    table.add_column("trial", justify="right")
    options = list(dict.fromkeys(path for row in outcome.rows for path in row.values))
    for path in options:
        table.add_column(".".join(path.split(".")[-2:]), justify="right")
    table.add_column(outcome.figure, justify="right")
    table.add_column("at step", justify="right")
    table.add_column("state")
    for row in outcome.rows:
        is_best = row.number == outcome.best
        table.add_row(
            str(row.number),
            *(_shown(row.values.get(path, "")) for path in options),
            "" if row.figure is None else f"{row.figure:.5g}",
            "" if row.step is None else f"{row.step:,}",
            f"{row.state}{', the best' if is_best else ''}{f': {row.note}' if row.note else ''}",
            style="bold" if is_best else None,
        )
    return table


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
