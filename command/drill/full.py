"""`make drill`: the crash drill over a stack of its own, in `drill/` of the data folder, on free ports."""

import argparse
import asyncio
import json
import os
import random
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from command.apart import apart
from command.drill.checker import Report
from command.drill.harm import Blow, Parts, deck, leave_disk, small_disk
from command.drill.history import History
from command.drill.story import Drill, told
from command.ownership import owner
from command.screen import Screen
from command.stack import Stack, run, running
from command.supervisor import Event, Moment
from knowledge import faults
from knowledge.errors import EngrainError
from knowledge.settings import Settings

Told = TypeVar("Told")

INCIDENTS = ("broker", "disk", "store")


class QuietScreen(Screen):
    """Says of a part only when it is ready again: that it died is what a drill is for."""

    def report(self, event: Event) -> None:
        """One line for a part that is ready."""
        if event.moment is Moment.READY:
            self.say(f"       {event.part} is ready after {event.seconds:.1f} s")


def drill(arguments: argparse.Namespace) -> int:
    """0 when nothing was lost, doubled, half loaded, stale or named wrongly; else 1."""
    settings = drill_settings(Settings.read(), arguments.store_url, arguments.broker_url)
    with small_disk(settings.adapters_folder) as mounted:
        return run(_drill(settings, QuietScreen(to_errors=True), arguments, mounted=mounted), interrupted=1)


def drill_settings(settings: Settings, store_url: str, broker_url: str) -> Settings:
    """A stack apart where all is quick: a job takes seconds, a dead worker's job is sent again after a few."""
    folder = settings.data_folder / "drill"
    if not owner(folder):
        leave_disk(folder / "adapters")  # of a drill that was killed
    own = apart(settings, "drill")
    faults_folder = own.data_folder / "faults"
    faults_folder.mkdir()
    return own.model_copy(
        update={
            "store_url": store_url,
            "broker_url": broker_url,
            "recipe": "drill",
            "fault_folder": str(faults_folder),
            "lease_seconds": 6.0,
            "resend_seconds": 4.0,
            "retry_seconds": 0.5,
            "max_attempts": 8,
            "training_threads": 1,
            "training_niceness": 0,
            "least_relevance": 0.0,
            "least_canaries": 0.0,
        }
    )


async def _drill(settings: Settings, screen: Screen, arguments: argparse.Namespace, *, mounted: bool) -> int:
    async with running(settings, screen, longest_pause_seconds=1.0) as stack:
        report = await beside(lambda: _story(settings, stack, screen, arguments, mounted))
    show(screen, report)
    place = {name: getattr(arguments, name) for name in ("seed", "first", "rounds")}
    print(json.dumps({**place, **told(report)}, ensure_ascii=False), flush=True)
    return 1 if report.violations else 0


async def beside(work: Callable[[], Told]) -> Told:
    """Runs it in a thread that does not keep the process: after Ctrl-C nobody waits for what a story waits for."""
    loop, outcome = asyncio.get_running_loop(), Future[Told]()

    def tell() -> None:
        outcome.set_running_or_notify_cancel()
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=tell, daemon=True).start()
    return await asyncio.wrap_future(outcome, loop=loop)


def _story(settings: Settings, stack: Stack, screen: Screen, arguments: argparse.Namespace, mounted: bool) -> Report:
    parts = Parts(os.getpid())
    whole = [Blow("self", point) for point in arguments.at] or deck(random.Random(arguments.seed), parts.names())
    blows = whole[arguments.first :][: arguments.rounds]
    history = History(settings.data_folder / "history.jsonl")
    screen.say(f"{len(blows)} kills, seed {arguments.seed}; the history is {history.path}")
    story = Drill(settings, stack.url, parts, history, screen.say, seed=arguments.seed, prefix="drill")
    wanted = {
        "broker": story.wipe_broker,
        "disk": lambda: story.fill_disk(mounted=mounted),
        "store": lambda: story.stop_store(arguments.restart_store),
    }
    return story.run(blows, [wanted[name] for name in arguments.incidents], minutes=arguments.minutes)


def show(screen: Screen, report: Report) -> None:
    """The report for people."""
    kills = ", ".join(f"{part} {number}" for part, number in sorted(report.kills.items()))
    screen.say(f"\n{sum(report.kills.values())} kills ({kills}) at {len(report.steps)} steps of a job.")
    for name, words in report.incidents.items():
        screen.say(f"{name}: {words}")
    operations = ", ".join(f"{number} × {kind}" for kind, number in report.operations.items())
    screen.say(f"{operations}; {report.unanswered} without an answer.")
    screen.say(
        f"{report.acknowledged} facts acknowledged: {report.live} live, {report.visibly_failed} visibly failed, "
        f"{report.superseded} superseded, {report.rolled_back} rolled back."
    )
    for name, found in (
        ("lost", report.lost),
        ("in two live versions, or stored twice", report.doubled),
        ("half adapters loaded", report.half_loaded),
        ("reads older than they may be", report.stale_reads),
        ("answers of another version than named", report.wrong_version),
        ("incidents not healed", report.not_healed),
    ):
        screen.say(f"  [{'red' if found else 'green'}]{len(found)}[/] {name}")
        for words in found[:10]:
            screen.say(f"      {words}")


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(prog="make drill", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000, help="at most so many kills; the deck has 119")
    parser.add_argument("--first", type=int, default=0, help="the first kill of the deck: to run it in slices")
    parser.add_argument("--seed", type=int, default=1, help="order of the deck, and everything else that is drawn")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no more kills after so long")
    parser.add_argument("--at", nargs="*", choices=faults.POINTS, default=[], help="kill at these points instead")
    parser.add_argument("--incidents", nargs="*", choices=INCIDENTS, default=list(INCIDENTS))
    parser.add_argument("--store-url", default="", help="an empty PostgreSQL instead of SQLite")
    parser.add_argument("--restart-store", default="", help="the command that restarts its server")
    parser.add_argument("--broker-url", default="", help="a Redis instead of the embedded broker; it is wiped")
    try:
        sys.exit(drill(parser.parse_args()))
    except EngrainError as error:
        sys.exit(f"engrain: {error}")


if __name__ == "__main__":
    main()
