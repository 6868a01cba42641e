"""What people see while parts start and stop: a live line for each on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from command.machine import Finding, State
from command.supervisor import Event, Moment

WORDS = {
    "store": "bring the store's tables up to date",
    "base": "prepare the base model",
    "broker": "start the broker",
    "vllm": "start vLLM, which loads the model",
    "worker": "start the training worker",
    "api": "start the API",
}
WIDTH_WITHOUT_TERMINAL = 120
_COLOURS = {State.OK: "green", State.WARNING: "yellow", State.PROBLEM: "red"}


class Screen:
    """Prints to standard output, or to standard error where that is for a program (`--json`)."""

    def __init__(self, *, to_errors: bool = False) -> None:
        self.console = Console(stderr=to_errors, highlight=False, soft_wrap=True)
        if not self.console.is_terminal:
            self.console.width = WIDTH_WITHOUT_TERMINAL
        self._live: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def say(self, text: str) -> None:
        """One line, with rich's markup."""
        self.console.print(text)

    def table(self, table: Table) -> None:
        """A table, as wide as the terminal."""
        self.console.print(table, soft_wrap=False)

    def findings(self, findings: list[Finding]) -> None:
        """A line for each, and what to do below those that are not ok."""
        for finding in findings:
            colour = _COLOURS[finding.state]
            self.say(f"  [{colour}]{finding.state:<8}[/] {finding.name:<12} {escape(finding.detail)}")
            if finding.remedy:
                self.say(f"           [bold]→[/] {escape(finding.remedy)}")

    @contextmanager
    def lines(self) -> Iterator[None]:
        """While parts start: shows `report`'s events as live lines where there is a terminal."""
        if not self.console.is_terminal:
            yield
            return
        columns = (SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as self._live:
            yield
        self._live = None
        self._tasks.clear()

    def report(self, event: Event) -> None:
        """Shows one event of the supervisor."""
        if self._live:
            self._report_live(self._live, event)
        else:
            self._report_plain(event)

    def _report_live(self, live: Progress, event: Event) -> None:
        words = f"{event.part:<7} {WORDS.get(event.part, '')}"
        if event.moment is Moment.STARTING:
            self._tasks[event.part] = live.add_task(words, total=1)
        elif event.moment is Moment.READY:
            live.update(self._tasks[event.part], completed=1)
        else:
            self._report_plain(event)

    def _report_plain(self, event: Event) -> None:
        name = f"{time.strftime('%H:%M:%S')} {event.part:<7}"
        match event.moment:
            case Moment.STARTING:
                self.say(f"{name} {WORDS.get(event.part, 'start')} …")
            case Moment.READY:
                self.say(f"{name} [green]ready[/] after {event.seconds:.1f} s")
            case Moment.DIED:
                ending, _, log = event.detail.partition("\n")
                self.say(f"{name} [red]{ending}[/]; it starts again in {event.seconds:g} s. The end of its log:")
                self.say(escape(log))
            case Moment.STOPPED:
                self.say(f"{name} stopped after {event.seconds:.1f} s")
            case Moment.STOPPING:
                pass


def fail(message: str, status: int) -> None:
    """Ends the program with a message on standard error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]engrain:[/] {escape(message)}")
    sys.exit(status)
