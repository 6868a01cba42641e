"""The `engrain` command. Each function here is one command's arguments; what it does is imported when it runs."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from command.address import api_url
from knowledge.errors import Conflict, EngrainError, InvalidSettings
from knowledge.keys import Scope
from knowledge.settings import PREFIX, Settings

if TYPE_CHECKING:
    from command.talk import Talk

CANNOT_START = 2

app = typer.Typer(
    help="Teaches a running language model new facts, in its weights.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

keys_app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Url = Annotated[str, typer.Option(help="Where Engrain runs. Default: host and port of the settings.")]
ElseStore = Annotated[str, typer.Option("--url", help="Ask the service there. Default: the store of the settings.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="The body of facts.")]
AnyNamespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Only this namespace.")]


@app.command()
def up(json_: Json = False) -> None:
    """Run everything on this machine until Ctrl-C: broker, vLLM, worker and API."""
    from command.up import up as run

    sys.exit(run(Settings.read(), as_json=json_))


@app.command()
def demo(
    json_: Json = False,
    keep: Annotated[bool, typer.Option(help="Leave it running afterwards, until Ctrl-C.")] = False,
) -> None:
    """Teach three invented facts and ask about them before and after. Exit status 0 only if they were learnt."""
    from command.demo import demo as run

    sys.exit(run(Settings.read(), as_json=json_, keep=keep))


@app.command()
def add(
    text: Annotated[str | None, typer.Argument(help="The document; - reads standard input.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", exists=True, dir_okay=False, help="Read it here.")
    ] = None,
    namespace: Namespace = "default",
    key: Annotated[str | None, typer.Option(help="Identity over time: the key's former fact is superseded.")] = None,
    title: Annotated[str | None, typer.Option(help="What the document is about.")] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Follow the job until the facts are live.")] = False,
    url: Url = "",
    json_: Json = False,
) -> None:
    """Teach a document."""
    if (text is None) == (file is None):
        raise typer.BadParameter("give the text, - for standard input, or --file")
    words = file.read_text() if file else sys.stdin.read() if text == "-" else str(text)
    sys.exit(_talk(url, json_).add(words, namespace, key, title, wait=wait))


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    namespace: Namespace = "default",
    version: Annotated[int | None, typer.Option(help="Ask this version, not the live one.")] = None,
    min_version: Annotated[int | None, typer.Option(help="Not from an older version than this.")] = None,
    wait: Annotated[float | None, typer.Option(help="Seconds to wait for --min-version.")] = None,
    url: Url = "",
    json_: Json = False,
) -> None:
    """Ask a question."""
    options = {"namespace": namespace, "version": version, "min_version": min_version, "wait_seconds": wait}
    sys.exit(_talk(url, json_).ask(question, **options))


@app.command()
def facts(namespace: AnyNamespace = None, url: Url = "", json_: Json = False) -> None:
    """List facts with their status."""
    sys.exit(_talk(url, json_).facts(namespace))


@app.command()
def forget(
    fact: Annotated[str, typer.Argument(help="The fact's id, as `engrain facts` shows it.")],
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Follow the job until it is forgotten.")] = False,
    url: Url = "",
    json_: Json = False,
) -> None:
    """Forget a fact for good."""
    sys.exit(_talk(url, json_).forget(fact, wait=wait))


@app.command()
def jobs(
    namespace: AnyNamespace = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow them until Ctrl-C.")] = False,
    url: Url = "",
    json_: Json = False,
) -> None:
    """List training jobs, newest first."""
    sys.exit(_talk(url, json_).jobs(namespace, watch=watch))


@app.command()
def versions(namespace: Namespace = "default", url: Url = "", json_: Json = False) -> None:
    """List a namespace's versions, newest first."""
    sys.exit(_talk(url, json_).versions(namespace))


@app.command()
def activate(
    number: Annotated[int, typer.Argument(min=1, help="The version to make live.")],
    namespace: Namespace = "default",
    url: Url = "",
    json_: Json = False,
) -> None:
    """Roll back or forward to a version."""
    sys.exit(_talk(url, json_).activate(number, namespace))


@app.command()
def diff(
    before: Annotated[int, typer.Argument(min=1, help="A version.")],
    after: Annotated[int, typer.Argument(min=1, help="Another version.")],
    namespace: Namespace = "default",
    url: Url = "",
    json_: Json = False,
) -> None:
    """Show what differs between two versions."""
    sys.exit(_talk(url, json_).diff(before, after, namespace))


@app.command()
def bisect(
    question: Annotated[str, typer.Argument(help="The question.")],
    expect: Annotated[str, typer.Option(help="Words that a right answer holds, all of them, whatever the case.")],
    namespace: Namespace = "default",
    linear: Annotated[
        bool, typer.Option("--linear", help="Ask every kept version, not only as many as needed.")
    ] = False,
    url: Url = "",
    json_: Json = False,
) -> None:
    """Find the version where an answer broke."""
    sys.exit(_talk(url, json_).bisect(question, expect, namespace, linear=linear))


@app.command()
def audit(namespace: AnyNamespace = None, url: Url = "", json_: Json = False) -> None:
    """List who did what, newest first."""
    sys.exit(_talk(url, json_).audit(namespace))


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Who will use it: the audit trail shows it.")],
    scope: Annotated[
        list[Scope], typer.Option("--scope", "-s", help="What it may do, once for each; admin includes the others.")
    ] = [Scope.READ, Scope.WRITE],  # noqa: B006 - typer copies it
    namespace: Annotated[
        list[str], typer.Option("--namespace", "-n", help="Only in this namespace, once for each. Default: in all.")
    ] = [],  # noqa: B006
    days: Annotated[float, typer.Option(min=0, help="Days until it expires. 0: never.")] = 0,
    url: ElseStore = "",
    json_: Json = False,
) -> None:
    """Make a key and print its secret, this once."""
    from command import keys

    with keys.opened(Settings.read(), url) as found:
        keys.create(found, name, scope, namespace, days, as_json=json_)


@keys_app.command("list")
def list_keys(url: ElseStore = "", json_: Json = False) -> None:
    """List the keys, without their secrets."""
    from command import keys

    with keys.opened(Settings.read(), url) as found:
        keys.show(found, as_json=json_)


@keys_app.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="The key's id, as `engrain keys list` shows it.")],
    url: ElseStore = "",
    json_: Json = False,
) -> None:
    """End a key for good."""
    from command import keys

    with keys.opened(Settings.read(), url) as found:
        keys.revoke(found, key, as_json=json_)


@app.command()
def doctor(url: Url = "", json_: Json = False) -> None:
    """Look at the machine and say what to do next."""
    from command.doctor import doctor as run

    settings = Settings.read()
    sys.exit(run(settings, url or api_url(settings), as_json=json_))


@app.command()
def drill(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before killing.")] = False,
    seed: Annotated[int, typer.Option(help="Order of the kills.")] = 1,
    json_: Json = False,
) -> None:
    """Kill each part of the Engrain that runs here once, while it teaches, and report what was lost."""
    from command.drill.short import short

    sys.exit(short(Settings.read(), yes=yes, seed=seed, as_json=json_))


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")], json_: Json = False
) -> None:
    """Write the store and its adapters to one file. Everything may go on running."""
    from command.backup import backup as run

    sys.exit(run(Settings.read(), file, as_json=json_))


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `engrain backup` wrote.")], json_: Json = False
) -> None:
    """Fill an empty store and the folder of adapters from a backup. Nothing may run meanwhile."""
    from command.backup import restore as run

    sys.exit(run(Settings.read(), file, as_json=json_))


@app.command()
def trace(
    job: Annotated[str, typer.Argument(help="The job's id.")],
    file: Annotated[
        list[Path], typer.Option("--file", "-f", exists=True, help="Spans of one host, once for each.")
    ] = [],  # noqa: B006
    json_: Json = False,
) -> None:
    """Print a job's trace, from its post to the first answer from its version, as ENGRAIN_TRACE_FILE has it."""
    from command.trace import show

    sys.exit(show(job, file or [Path(Settings.read().trace_file)], as_json=json_))


@app.command()
def settings(json_: Json = False) -> None:
    """List every setting with its value and what it means."""
    values = Settings.read()
    rows = {
        f"{PREFIX}{name.upper()}": {
            "value": values.shown(name),
            "description": field.description,
        }
        for name, field in Settings.model_fields.items()
    }
    if json_:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        typer.echo(f"{name}={row['value']}\n    {row['description']}")


def main() -> None:
    """The entry point: what Engrain raises on purpose becomes one line and an exit status."""
    from command.screen import fail

    try:
        app()
    except (InvalidSettings, Conflict) as error:
        fail(str(error), CANNOT_START)
    except EngrainError as error:
        fail(str(error), 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _talk(url: str, as_json: bool) -> "Talk":
    from command.talk import Talk

    return Talk(url or api_url(Settings.read()), as_json=as_json)
