"""`engrain drill`: kills each part that runs here once, while a fact is being taught, and reports what was lost."""

import json
import random
import time
from pathlib import Path

import typer

from command.address import api_url
from command.drill.full import show
from command.drill.harm import Parts, random_deck
from command.drill.history import History
from command.drill.story import Drill, told
from command.ownership import owner_pid
from command.screen import Screen
from knowledge.errors import Conflict
from knowledge.settings import Settings


def short(settings: Settings, *, yes: bool, seed: int, as_json: bool) -> int:
    """0 when nothing was lost. Raises `Conflict` when no `engrain up` of this data folder runs here."""
    pid = owner_pid(settings.data_folder)
    if pid is None:
        raise Conflict(f"No `engrain up` holds {settings.data_folder}: only what runs here can be killed.")
    screen = Screen(to_errors=as_json)
    parts = Parts(pid)
    blows = random_deck(random.Random(seed), parts.names())
    space = f"drill-{int(time.time())}"
    screen.say(
        f"This kills, once each and without warning: {', '.join(blow.part for blow in blows)}. Questions fail\n"
        f"meanwhile, for up to a minute. A few invented facts are taught in namespaces {space}-…, and stay there."
    )
    if not yes and not typer.confirm("Go on?"):
        return 1
    history = History(Path(settings.data_folder) / "logs" / f"{space}.jsonl")
    story = Drill(settings, api_url(settings), parts, history, screen.say, seed=seed, prefix=space)
    report = story.run(blows, [])
    show(screen, report)
    if as_json:
        print(json.dumps({"history": str(history.path), **told(report)}, ensure_ascii=False), flush=True)
    return 1 if report.violations else 0
