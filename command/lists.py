"""Lists on the screen: a row for each thing, statuses in colour."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_COLOURS = {"live": "green", "succeeded": "green", "weak": "yellow", "failed": "red", "dead": "red"}


def show_list(titles: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    """Prints a table; the first title says what the rows are, in the singular."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=title == titles[0])  # an id is of no use with its end cut off
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console(highlight=False).print(table if rows else f"No {titles[0]}s yet.")


def _cell(value: object) -> str:
    text = "" if value is None else escape(str(value))
    return f"[{_COLOURS[text]}]{text}[/]" if text in _COLOURS else text
