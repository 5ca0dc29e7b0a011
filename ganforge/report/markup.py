"""Pieces of markup that the sections of a page share."""

NUM_COLOURS = 8
"""Number of colours for lines and dots, as in page.css and page.js."""


def table(head: str, rows: str) -> str:
    return f'<div class="wide"><table class="figures"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def dot(index: int) -> str:
    """A dot in a run's colour; the ninth run has the first one's colour in half a dot."""
    again = " again" * (index >= NUM_COLOURS)
    return f'<span class="dot run-{index % NUM_COLOURS}{again}"></span>'
