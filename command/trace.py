"""`engrain trace JOB`: the spans that the processes wrote to `ENGRAIN_TRACE_FILE`, as one tree."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from command.screen import Screen
from knowledge.errors import InvalidSettings, NotFound
from knowledge.tracing import PREFIX


@dataclass(frozen=True)
class Span:
    """One hop. `parent` is the id of the span below which it hangs; `attributes` without our prefix."""

    id: str
    parent: str | None
    trace: str
    name: str
    part: str
    began: datetime
    ended: datetime
    failed: bool
    attributes: dict[str, Any]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended - self.began).total_seconds()


def show(job_id: str, files: Sequence[Path], *, as_json: bool) -> int:
    """Prints the tree of every trace in which the job occurs. Raises `NotFound`, and `InvalidSettings` for no file."""
    spans = of_job(job_id, read(files))
    if not spans:
        raise NotFound(f"No trace of {job_id} is in {', '.join(map(str, files))}.")
    if as_json:
        print(json.dumps([asdict(span) for span in spans], default=str))
        return 0
    screen = Screen()
    for tree in trees(spans):
        screen.console.print(tree)
    return 0


def read(files: Iterable[Path]) -> Iterator[Span]:
    """The spans in the files. A line that a crash cut off is left out."""
    for file in files:
        try:
            lines = file.read_text().splitlines()
        except OSError as error:
            raise InvalidSettings(
                f"No spans can be read from {file}: set ENGRAIN_TRACE_FILE for every process, or give --file."
            ) from error
        for line in lines:
            try:
                yield _span(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue


def of_job(job_id: str, spans: Iterable[Span]) -> list[Span]:
    """All spans of the traces that name the job, in the order of their beginnings."""
    known = list(spans)
    traces = {span.trace for span in known if span.attributes.get("job_id") == job_id}
    return sorted((span for span in known if span.trace in traces), key=lambda span: span.began)


def trees(spans: Sequence[Span]) -> list[Tree]:
    """One tree for each trace; what hangs below a span that nobody wrote hangs at the root."""
    found = []
    for trace in dict.fromkeys(span.trace for span in spans):
        own = [span for span in spans if span.trace == trace]
        start = own[0].began
        total = (max(span.ended for span in own) - start).total_seconds()
        tree = Tree(f"[bold]trace {trace}[/]  {len(own)} spans, {total:.2f} s")
        ids = {span.id for span in own}
        _grow(tree, [span for span in own if span.parent not in ids], own, start)
        found.append(tree)
    return found


def _grow(tree: Tree, spans: Iterable[Span], among: Sequence[Span], start: datetime) -> None:
    for span in spans:
        told = " ".join(f"{name}={value}" for name, value in span.attributes.items())
        name = f"[red]{escape(span.name)}[/]" if span.failed else f"[bold]{escape(span.name)}[/]"
        at = (span.began - start).total_seconds()
        branch = tree.add(f"{name}  +{at:.3f} s, {span.seconds:.3f} s  [dim]{escape(f'{span.part} {told}')}[/]")
        _grow(branch, [each for each in among if each.parent == span.id], among, start)


def _span(data: dict[str, Any]) -> Span:
    return Span(
        id=data["context"]["span_id"],
        parent=data["parent_id"],
        trace=data["context"]["trace_id"].removeprefix("0x"),
        name=data["name"],
        part=data["resource"]["attributes"]["service.name"].removeprefix("engrain-"),
        began=datetime.fromisoformat(data["start_time"]),
        ended=datetime.fromisoformat(data["end_time"]),
        failed=data["status"]["status_code"] == "ERROR",
        attributes={name.removeprefix(PREFIX): value for name, value in data["attributes"].items()},
    )
