"""Benchmark of serving: what an adapter costs, beside bare vLLM and stock LoRA, and what a publish costs.

    python -m experiments.serving.bench --base engrain-data/models/smollm2-135m-instruct

In one run and in turns: bare vLLM without LoRA, stock LoRA, our plugin with the base model, with one adapter, and with
three and the base mixed, then our `/ask` and the OpenAI façade over it. All in eager mode, with the float type and the
threads that we serve with; greedy, about `--tokens` new tokens a request (`/ask` and the façade stop where the model
does).
Then versions are published under a constant load of `/ask`. Progress goes to standard error; the last line is JSON.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import httpx

from experiments.serving import arms
from experiments.serving.arms import Arm, Server, running
from experiments.serving.invented import NAMESPACES, Publisher, write_adapter
from experiments.serving.load import TIMEOUT_SECONDS, Cell, load, one, various
from experiments.serving.publishing import publish_under_load
from inference.adapters import Replicas
from inference.client import BASE
from knowledge.recipes import by_name
from knowledge.settings import Settings
from knowledge.store import Store
from knowledge.store.schema import upgrade

CHAT = "/v1/chat/completions"
WARM_UP = 16
"""Requests of 24 tokens, two at once: steps enough for an adapter that fills its batches to be merged before the clock
runs."""

Cells = dict[tuple[str, int], Cell]


def main() -> None:
    """Runs the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="the prepared base model")
    parser.add_argument("--tokens", type=int, default=24, help="new tokens a request")
    parser.add_argument("--rounds", type=int, default=2, help="turns of all arms")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--requests", type=int, default=3, help="fewest requests of a cell")
    parser.add_argument("--each", type=int, default=2, help="requests of each client in a cell")
    parser.add_argument("--compare", type=int, default=50, help="of 50 prompts, those compared with stock LoRA")
    parser.add_argument("--publishes", type=int, default=20)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between publishes")
    parser.add_argument("--publish-concurrency", type=int, default=4)
    parser.add_argument(
        "--skipped-layers",
        type=float,
        default=by_name("default").skipped_layers,
        help="lowest share of the layers that the adapter leaves as they are; stock LoRA pays for each of the others",
    )
    parser.add_argument("--without", nargs="*", default=[], help="arms to leave out: bare, stock, service")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(run(chosen, Path(folder)))))


async def run(chosen: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Starts what is compared, times it, publishes; returns all numbers."""
    adapter = folder / "adapter"
    write_adapter(chosen.base, adapter, chosen.skipped_layers)
    settings = Settings(
        data_folder=folder / "data",
        base_model=str(chosen.base.resolve()),
        port=arms.free_port(),
        inference_port=arms.free_port(),
        broker_port=arms.free_port(),
    )
    settings.data_folder.mkdir()
    upgrade(settings.store)
    store, numbers = Store(settings.store), count()
    with ExitStack() as stack:
        compared, plugin = _start(stack, chosen, settings, folder, adapter)
        async with Replicas(settings.replicas) as replicas:
            publishers = [
                Publisher(namespace, store, replicas, adapter, folder / "published") for namespace in NAMESPACES
            ]
            for publisher in publishers:
                await publisher.publish()
            cells, memory = await _time(chosen, compared, numbers)
            report = _report(cells, memory, chosen.concurrency)
            if chosen.compare and "stock" not in chosen.without:
                report["same_answers_as_stock"] = await _same_answers(compared, chosen.compare)
            asked = [arm for arm in compared if arm.path == "/ask"]
            if chosen.publishes and asked:
                say(f"publishing {chosen.publishes} versions under load")
                report["publishing"] = await publish_under_load(
                    asked[0],
                    publishers[0],
                    publishes=chosen.publishes,
                    concurrency=chosen.publish_concurrency,
                    tokens=chosen.tokens,
                    pause_seconds=chosen.pause,
                )
        report["plugin_mib_after"] = round(plugin.memory_mib())
    store.close()
    return report


def _start(
    stack: ExitStack, chosen: argparse.Namespace, settings: Settings, folder: Path, adapter: Path
) -> tuple[list[Arm], Server]:
    """The servers, started together, and the arms that ask them: ours is asked in five ways."""
    others = {}
    for name in ("bare", "stock"):
        if name not in chosen.without:
            own = settings.model_copy(update={"inference_port": arms.free_port()})
            argv, env, url = arms.stock(own, lora=name == "stock")
            others[name] = stack.enter_context(running(argv, env, url, folder / f"{name}.log"))
    plugin = stack.enter_context(running(*arms.ours(settings), folder / "plugin.log"))
    for server in (*others.values(), plugin):
        server.wait()
    if "stock" in others:
        arms.load(others["stock"], adapter, "taught")
    found = [Arm(name, (server,), CHAT, BASE if name == "bare" else "taught") for name, server in others.items()]
    taught = [f"{namespace}-v1" for namespace in NAMESPACES]  # published before anything is asked
    found += [Arm("plugin base", (plugin,), CHAT, BASE), Arm("plugin", (plugin,), CHAT, taught[0])]
    found.append(Arm("plugin mixed", (plugin,), CHAT, ",".join([BASE, *taught])))
    if "service" not in chosen.without:
        api = stack.enter_context(running(*arms.service(settings), folder / "service.log", "/healthz"))
        api.wait()
        found.append(Arm("/ask", (plugin, api), "/ask", NAMESPACES[0]))
        if arms.has_facade(api):
            found.append(Arm("façade", (plugin, api), CHAT, f"{NAMESPACES[0]}@1"))
    say("all is up")
    return found, plugin


async def _time(
    chosen: argparse.Namespace, compared: list[Arm], numbers: Iterator[int]
) -> tuple[Cells, dict[str, float]]:
    """All arms in turn at each concurrency, in rounds, because a shared machine is not equally fast at all times.

    Stock LoRA needs as long as all the others together, and yet takes part in each round: left out of one, it is held
    against arms that ran at another time.
    """
    cells: Cells = {(arm.name, level): Cell() for arm in compared for level in chosen.concurrency}
    for arm in compared:
        merges = arm.name == "plugin"
        await load(arm, Cell(), [next(numbers) for _ in range(WARM_UP if merges else 4)], 2, 24 if merges else 4)
    for turn in range(chosen.rounds):
        for level in chosen.concurrency:
            for arm in compared:
                asked = max(chosen.requests, chosen.each * level)
                cell = cells[arm.name, level]
                await load(arm, cell, [next(numbers) for _ in range(asked)], level, chosen.tokens)
                speeds = f"{cell.tokens_per_second:.1f} tokens/s, {cell.tokens_per_cpu_second:.1f} a CPU second"
                say(f"round {turn + 1}, {level} at once, {arm.name}: {speeds}")
    return cells, {arm.name: sum(server.memory_mib() for server in arm.servers) for arm in compared}


def _report(cells: Cells, memory: dict[str, float], levels: list[int]) -> dict[str, object]:
    """The numbers of each cell, and the ratios that are to be shown."""
    arms_of = list(memory)
    table = {name: {str(level): cells[name, level].numbers() for level in levels} for name in arms_of}

    def ratio(one_arm: str, other: str) -> dict[str, list[float]]:
        """At each concurrency: of tokens a second, and of tokens a processor second."""
        found = {}
        for level in levels:
            a, b = cells[one_arm, level], cells[other, level]
            if a.taken and b.taken:
                by_cpu = a.tokens_per_cpu_second / b.tokens_per_cpu_second
                found[str(level)] = [round(a.tokens_per_second / b.tokens_per_second, 2), round(by_cpu, 2)]
        return found

    pairs = [("plugin", "bare"), ("plugin", "plugin base"), ("plugin", "stock"), ("plugin mixed", "plugin base")]
    pairs += [("/ask", "plugin"), ("façade", "plugin")]
    ratios = {f"{a} / {b}": ratio(a, b) for a, b in pairs if a in memory and b in memory}
    return {"arms": table, "ratios": ratios, "memory_mib": {name: round(mib) for name, mib in memory.items()}}


async def _same_answers(compared: list[Arm], prompts: int) -> dict[str, object]:
    """How many greedy answers of ours are word for word those of stock LoRA; 12 tokens each."""
    by_name, turn = {arm.name: arm for arm in compared}, asyncio.Semaphore(8)

    async def both(http: httpx.AsyncClient, number: int) -> list[str]:
        async with turn:
            return [(await one(http, by_name[name], 0, 12, various(number))).text for name in ("stock", "plugin")]

    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as http:
        pairs = await asyncio.gather(*(both(http, number) for number in range(prompts)))
    different = [pair for pair in pairs if pair[0] != pair[1]]
    texts = {pair[0] for pair in pairs}
    return {"same": prompts - len(different), "of": prompts, "texts": len(texts), "different": different}


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
