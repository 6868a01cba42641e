from inference.answer import Answer
from knowledge.keys import SYSTEM, Caller, Scope
from service import recent
from service.recent import Recent


def said(source: str, seconds: float, namespace: str = "default") -> Answer:
    return Answer("a", namespace, None, None, source, 1, 1, seconds)  # type: ignore[arg-type]


def test_answers_are_counted_by_source_and_minute_and_forgotten_after_a_quarter_of_an_hour() -> None:
    now = [1000.0]
    lately = Recent(lambda: now[0])
    for seconds in (0.1, 0.2, 0.3, 9.0):
        lately.note(said("weights", seconds))
    now[0] += 61
    lately.note(said("base", 0.2))
    seen = lately.look(SYSTEM)
    assert seen.by_source == {"weights": 4, "base": 1} and seen.answers == 5
    assert (seen.by_minute[-1], seen.by_minute[-2], sum(seen.by_minute)) == (1, 4, 5)
    assert (seen.median_seconds, seen.slow_seconds) == (0.2, 9.0)
    assert round(seen.minutes, 2) == 1.02
    now[0] += 60 * 14
    assert lately.look(SYSTEM).by_source == {"base": 1}
    now[0] += 3600
    empty = lately.look(SYSTEM)
    assert (empty.answers, empty.median_seconds, empty.slow_seconds, empty.minutes) == (0, None, None, 15)


def test_a_caller_is_told_of_its_own_namespaces_alone() -> None:
    lately = Recent()
    lately.note(said("weights", 1.0, "shop"))
    lately.note(said("weights", 3.0, "theirs"))
    assert lately.look(Caller("x", frozenset(Scope), frozenset({"shop"}))).slow_seconds == 1.0


def test_when_there_are_too_many_the_time_looked_at_is_shorter() -> None:
    now = [0.0]
    lately = Recent(lambda: now[0])
    for _ in range(recent.MOST + 10):
        now[0] += 0.01
        lately.note(said("base", 0.1))
    seen = lately.look(SYSTEM)
    assert seen.answers == recent.MOST
    assert seen.minutes * 60 < 0.01 * recent.MOST + 0.01
