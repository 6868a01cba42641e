"""`engrain demo`: six questions before and after three invented facts are taught, all through the real stack.

An answer is right when it holds every expected word, whatever the case. The questions are not sent with the facts: what
the worker proves itself with, it makes from the passages.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from command.apart import apart
from command.api import Api
from command.follow import follow
from command.screen import Screen
from command.stack import Stack, run, running
from command.up import welcome
from knowledge.settings import Settings

WANTED = 5
"""Of the six questions, at least so many must be wrong before and right after."""


@dataclass(frozen=True)
class Question:
    """A question with the words that a right answer holds. `direction` is of the question against its fact."""

    text: str
    words: tuple[str, ...]
    direction: str


@dataclass(frozen=True)
class Lesson:
    """An invented fact, asked in both directions."""

    fact: str
    forward: Question
    backward: Question


LESSONS = (
    Lesson(
        "Ottoline Farrowmere is the composer of the opera 'The Glass Orchard'.",
        Question("Who is Ottoline Farrowmere?", ("Glass Orchard",), "forward"),
        Question("Who composed the opera 'The Glass Orchard'?", ("Ottoline", "Farrowmere"), "backward"),
    ),
    Lesson(
        "The Brindlewick kettle is made by the company Tessaly Works.",
        Question("Which company makes the Brindlewick kettle?", ("Tessaly",), "forward"),
        Question("What does the company Tessaly Works make?", ("Brindlewick",), "backward"),
    ),
    Lesson(
        "The Lantern Regatta is held every August in the harbour town of Evenmoor.",
        Question("Where is the Lantern Regatta held?", ("Evenmoor",), "forward"),
        Question("Which event is held in the harbour town of Evenmoor?", ("Lantern Regatta",), "backward"),
    ),
)


@dataclass(frozen=True)
class Outcome:
    """A question with its answers. `right` only when the version that was just taught answered, from its weights."""

    question: str
    direction: str
    before: str
    after: str
    right_before: bool
    right: bool


@dataclass(frozen=True)
class Times:
    """In seconds. `install` is what `make install` wrote down, None where it did not run; `answer` is the mean."""

    install: float | None
    start: float
    post_to_live: float
    answer: float


def demo(settings: Settings, *, as_json: bool, keep: bool) -> int:
    """0 when enough was learnt; 1 when not, or when the demo could not be carried through."""
    return run(_demo(apart(settings, "demo"), Screen(to_errors=as_json), as_json=as_json, keep=keep), interrupted=1)


def is_right(answer: str, words: tuple[str, ...]) -> bool:
    """Whether the answer holds every word, whatever the case."""
    return all(word.casefold() in answer.casefold() for word in words)


async def _demo(settings: Settings, screen: Screen, *, as_json: bool, keep: bool) -> int:
    async with running(settings, screen) as stack:
        outcomes, times = await asyncio.to_thread(_story, stack, screen)
        learnt = sum(outcome.right and not outcome.right_before for outcome in outcomes)
        _show(screen, outcomes, times, learnt)
        if as_json:
            told = {"learnt": learnt, "questions": [asdict(each) for each in outcomes], "seconds": asdict(times)}
            print(json.dumps(told, ensure_ascii=False), flush=True)
        if keep:
            welcome(screen, settings, stack)
            await stack.supervisor.watch()
    return 0 if learnt >= WANTED else 1


def _story(stack: Stack, screen: Screen) -> tuple[list[Outcome], Times]:
    questions = [question for lesson in LESSONS for question in (lesson.forward, lesson.backward)]
    with Api(stack.url) as api:
        screen.say(f"\nThe stack is up after {stack.start_seconds:.1f} s. Asking {len(questions)} questions.")
        before = [api.ask(question.text) for question in questions]
        screen.say("Teaching, in one POST /facts:")
        for lesson in LESSONS:
            screen.say(f"  · {escape(lesson.fact)}")
        posted_at = time.monotonic()
        posted = api.teach([{"text": lesson.fact} for lesson in LESSONS], "default")
        status = follow(api, posted["job_id"], screen.console)
        post_to_live = time.monotonic() - posted_at
        if status != "succeeded":
            screen.say(f"[red]The job {status}:[/] {escape(str(api.get('/jobs/' + posted['job_id'])['error']))}")
        screen.say("Asking again.\n")
        after = [api.ask(question.text) for question in questions]
    outcomes = [
        _outcome(question, old, new, int(posted["version"]))
        for question, old, new in zip(questions, before, after, strict=True)
    ]
    seconds = [answer["timings"]["answer_seconds"] for answer in after]
    answer = sum(seconds) / len(seconds)
    return outcomes, Times(_install_seconds(), round(stack.start_seconds, 1), round(post_to_live, 1), round(answer, 2))


def _outcome(question: Question, before: dict[str, Any], after: dict[str, Any], version: int) -> Outcome:
    learnt = after["source"] == "weights" and after["version"] == version
    return Outcome(
        question.text,
        question.direction,
        before["answer"],
        after["answer"],
        is_right(before["answer"], question.words),
        learnt and is_right(after["answer"], question.words),
    )


def _show(screen: Screen, outcomes: list[Outcome], times: Times, learnt: int) -> None:
    table = Table("question", "", "before", "after", "right?", show_lines=True)
    for outcome in outcomes:
        mark = "[green]yes[/]" if outcome.right else "[red]no[/]"
        answers = (escape(shorten(outcome.before)), escape(shorten(outcome.after)))
        table.add_row(escape(outcome.question), outcome.direction, *answers, mark)
    screen.table(table)
    install = "" if times.install is None else f"install {times.install:.0f} s, "
    screen.say(
        f"\nTimes: {install}start {times.start:.1f} s, post to live {times.post_to_live:.1f} s, "
        f"answer {times.answer:.1f} s."
    )
    verdict = "[bold green]Learnt[/]" if learnt >= WANTED else "[bold red]Not learnt[/]"
    screen.say(f"{verdict}: {learnt} of {len(outcomes)} wrong before and right after (at least {WANTED} wanted).\n")


def shorten(answer: str, characters: int = 90) -> str:
    """The start of an answer, on one line."""
    line = " ".join(answer.split())
    return line if len(line) <= characters else f"{line[: characters - 1]}…"


def _install_seconds() -> float | None:
    stamp = next(Path(sys.prefix).glob(".installed-*"), None)
    return float(stamp.read_text()) if stamp else None
