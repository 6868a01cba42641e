"""`engrain bisect`: finds the version where an answer broke, by asking versions that are kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from command.api import Api

Ask = Callable[[int], "Reply"]


@dataclass(frozen=True)
class Reply:
    """What a version answered, and whether that holds every expected word, whatever the case."""

    version: int
    answer: str
    right: bool


@dataclass(frozen=True)
class Break:
    """`good` is the last version that answered rightly, `bad` the next kept one; None where there is no such."""

    asked: tuple[Reply, ...]
    good: int | None
    bad: int | None


def kept_versions(api: Api, namespace: str) -> list[int]:
    """Numbers of the versions that can be asked, oldest first."""
    found = api.get(f"/namespaces/{namespace}/versions")["versions"]
    return sorted(each["version"] for each in found if each["status"] in ("live", "retired"))


def asker(api: Api, namespace: str, question: str, expect: str) -> Ask:
    """Asks one version."""

    def ask(number: int) -> Reply:
        answer = str(api.ask(question, namespace=namespace, version=number)["answer"])
        return Reply(number, answer, all(word in answer.casefold() for word in expect.casefold().split()))

    return ask


def find_break(numbers: Sequence[int], ask: Ask, *, linear: bool) -> Break:
    """The last change from right to wrong.

    By bisection it asks the newest, the oldest, and then as many as halving takes: an answer that broke, healed and
    broke again has several breaks, of which one is found. `linear` asks all of them and finds the last.
    """
    if linear:
        return _last_break([ask(number) for number in numbers])
    if not numbers:
        return Break((), None, None)
    asked = {numbers[-1]: ask(numbers[-1])}
    if not asked[numbers[-1]].right and len(numbers) > 1:
        asked[numbers[0]] = ask(numbers[0])
        low, high = 0, len(numbers) - 1
        while asked[numbers[0]].right and high - low > 1:
            middle = (low + high) // 2
            reply = asked[numbers[middle]] = ask(numbers[middle])
            low, high = (middle, high) if reply.right else (low, middle)
    return _last_break([asked[number] for number in sorted(asked)])


def _last_break(asked: Sequence[Reply]) -> Break:
    """Where, among those that were asked, the newest right one is followed by a wrong one."""
    good = max((reply.version for reply in asked if reply.right), default=None)
    bad = min((reply.version for reply in asked if good is not None and reply.version > good), default=None)
    return Break(tuple(asked), good, bad)


def as_json(question: str, expect: str, found: Break, diff: dict[str, Any] | None) -> dict[str, Any]:
    """For programs."""
    asked = [{"version": reply.version, "answer": reply.answer, "right": reply.right} for reply in found.asked]
    return {"question": question, "expect": expect, "asked": asked, "good": found.good, "bad": found.bad, "diff": diff}
