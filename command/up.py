"""`engrain up`: everything on this machine until Ctrl-C."""

import json

from command.screen import Screen
from command.stack import Stack, run, running
from knowledge.settings import Settings


def up(settings: Settings, *, as_json: bool) -> int:
    """Runs until a signal; returns the exit status."""
    return run(_up(settings, Screen(to_errors=as_json), as_json=as_json))


async def _up(settings: Settings, screen: Screen, *, as_json: bool) -> int:
    async with running(settings, screen) as stack:
        if as_json:
            print(json.dumps({"url": stack.url, "start_seconds": round(stack.start_seconds, 1)}), flush=True)
        welcome(screen, settings, stack)
        await stack.supervisor.watch()
    return 0


def welcome(screen: Screen, settings: Settings, stack: Stack) -> None:
    """Says what runs where."""
    screen.say(f"\n[bold green]Engrain is ready[/] after {stack.start_seconds:.1f} s. Ctrl-C stops it.\n")
    for name, value in (
        ("API", stack.url),
        ("reference", f"{stack.url}/docs"),
        ("metrics", f"{stack.url}/metrics"),
        ("data", settings.data_folder),
        ("logs", settings.data_folder / "logs"),
    ):
        screen.say(f"  {name:<10} {value}")
    screen.say('\nTry: engrain add "…one sentence that no model knows…" --wait, then engrain ask "…"\n')
