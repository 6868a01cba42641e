import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from inference import adapters
from inference.adapters import Replicas, reconcile, verify
from inference.answer import ask
from inference.client import VllmClient
from inference.effect import distance
from inference.replicas import Replica, pick
from knowledge.errors import Conflict, CorruptAdapter, InjectionFailed, NotFound, Unavailable
from tests.inference.conftest import MakeVersion
from tests.inference.fake_vllm import FakeVllm, transport

T = TypeVar("T")


def run(servers: list[FakeVllm], work: Callable[[Replicas], Awaitable[T]]) -> T:
    urls = [f"http://vllm{number}:1" for number in range(len(servers))]

    async def inner() -> T:
        async with Replicas(urls, transport(dict(zip(urls, servers, strict=True)))) as replicas:
            return await work(replicas)

    return asyncio.run(inner())


def test_a_version_is_loaded_warmed_and_checked_on_every_replica(make_version: MakeVersion) -> None:
    servers, version = [FakeVllm(), FakeVllm()], make_version()
    run(servers, lambda replicas: replicas.ensure(version))
    for server in servers:
        assert server.adapters == {version.adapter: version.path}
        assert "Hello?" in server.questions
        assert server.calls["/v1/chat/completions"] > 2


def test_the_effect_is_asked_with_the_given_questions(make_version: MakeVersion) -> None:
    server, version = FakeVllm(), make_version()
    run([server], lambda replicas: replicas.ensure(version, ["Who is Daphne?"]))
    assert server.questions.count("Who is Daphne?") == 2


def test_an_adapter_that_changes_nothing_is_refused(make_version: MakeVersion) -> None:
    version = make_version("noop-v1")
    with pytest.raises(InjectionFailed, match="changes nothing"):
        run([FakeVllm()], lambda replicas: replicas.ensure(version))


def test_a_half_written_adapter_never_reaches_a_server(make_version: MakeVersion) -> None:
    server, version = FakeVllm(), make_version()
    (Path(version.path) / "adapter_model.safetensors").write_bytes(b"weights of def")
    with pytest.raises(CorruptAdapter):
        run([server], lambda replicas: replicas.ensure(version))
    assert not server.calls


def test_verify_returns_the_manifest_of_a_whole_folder(make_version: MakeVersion) -> None:
    version = make_version()
    assert verify(version.path).adapter == version.adapter


def test_one_replica_that_is_down_does_not_stop_a_publish(make_version: MakeVersion) -> None:
    up, down, version = FakeVllm(), FakeVllm(down=True), make_version()
    run([down, up], lambda replicas: replicas.ensure(version))
    assert version.adapter in up.adapters


def test_a_publish_is_unavailable_when_every_replica_is_down(make_version: MakeVersion) -> None:
    version = make_version()
    with pytest.raises(Unavailable):
        run([FakeVllm(down=True), FakeVllm(broken=True)], lambda replicas: replicas.ensure(version))


def test_a_refusal_by_one_replica_counts_more_than_another_that_is_down(make_version: MakeVersion) -> None:
    version = make_version()
    with pytest.raises(Conflict):
        run([FakeVllm(down=True), FakeVllm(refused={version.adapter})], lambda replicas: replicas.ensure(version))


def test_without_any_replica_a_publish_is_unavailable(make_version: MakeVersion) -> None:
    version = make_version()
    with pytest.raises(Unavailable):
        run([], lambda replicas: replicas.ensure(version))


def test_callers_that_come_together_load_once(make_version: MakeVersion) -> None:
    server, version = FakeVllm(), make_version()

    async def many(replicas: Replicas) -> list[bool]:
        return await asyncio.gather(*(replicas.bring(replicas.each[0], version) for _ in range(20)))

    assert sorted(run([server], many)) == [False] * 19 + [True]


def test_a_restarted_server_gets_back_what_is_desired(make_version: MakeVersion) -> None:
    server, first, second = FakeVllm(), make_version("default-v1"), make_version("other-v1")

    async def story(replicas: Replicas) -> None:
        await reconcile(replicas, [first, second])
        server.restart()
        report = await reconcile(replicas, [first, second])
        assert [name for _, name in report.loaded] == [first.adapter, second.adapter]
        assert report.changed
        assert not (await reconcile(replicas, [first, second])).changed

    run([server], story)
    assert set(server.adapters) == {first.adapter, second.adapter}


def test_what_is_not_desired_goes_only_after_a_while(
    make_version: MakeVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, version = FakeVllm(adapters={"default-v0": "/adapters/default-v0"}), make_version()

    async def story(replicas: Replicas) -> None:
        assert not (await reconcile(replicas, [version])).unloaded
        assert "default-v0" in server.adapters
        monkeypatch.setattr(adapters, "UNWANTED_SECONDS", 0.0)
        assert [name for _, name in (await reconcile(replicas, [version])).unloaded] == ["default-v0"]

    run([server], story)
    assert set(server.adapters) == {version.adapter}


def test_what_is_wanted_again_starts_its_time_anew(make_version: MakeVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    server, version = FakeVllm(), make_version()

    async def story(replicas: Replicas) -> None:
        for seconds, desired in ((0, [version]), (10, []), (65, [version]), (70, []), (120, [])):
            clock[0] = seconds
            assert not (await reconcile(replicas, desired)).unloaded
        clock[0] = 131
        assert (await reconcile(replicas, [])).unloaded

    run([server], story)


def test_an_adapter_that_is_being_asked_is_not_unloaded(
    make_version: MakeVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "UNWANTED_SECONDS", 0.0)
    server, version = FakeVllm(seconds=0.05), make_version()

    async def story(replicas: Replicas) -> None:
        await replicas.bring(replicas.each[0], version, warm=False)
        asking = asyncio.create_task(ask(replicas, "Who?", version))
        await asyncio.sleep(0.01)
        assert not (await reconcile(replicas, [])).unloaded
        await asking
        assert (await reconcile(replicas, [])).unloaded

    run([server], story)


def test_one_adapter_that_cannot_be_loaded_does_not_keep_the_others_away(make_version: MakeVersion) -> None:
    bad, good = make_version("bad-v1"), make_version("good-v1")
    server = FakeVllm(refused={bad.adapter})
    report = run([server], lambda replicas: reconcile(replicas, [bad, good]))
    assert set(server.adapters) == {good.adapter}
    assert "rank 64" in report.failed[0][1]


def test_a_server_that_is_down_is_reported_and_the_others_are_served(make_version: MakeVersion) -> None:
    up, version = FakeVllm(), make_version()
    report = run([FakeVllm(down=True), up], lambda replicas: reconcile(replicas, [version]))
    assert [url for url, _ in report.failed] == ["http://vllm0:1"]
    assert set(up.adapters) == {version.adapter}


def test_loaded_tells_what_each_server_holds() -> None:
    servers = [FakeVllm(adapters={"a": "/a"}), FakeVllm(down=True)]
    assert run(servers, lambda replicas: replicas.loaded()) == {"http://vllm0:1": {"a": "/a"}, "http://vllm1:1": None}


def test_unloading_waits_for_requests_that_still_ask_the_adapter(make_version: MakeVersion) -> None:
    server, version = FakeVllm(seconds=0.08), make_version()

    async def story(replicas: Replicas) -> None:
        await replicas.bring(replicas.each[0], version, warm=False)
        asking = asyncio.create_task(ask(replicas, "Who?", version))
        await asyncio.sleep(0.01)
        await replicas.unload(version.adapter)
        assert asking.done() or server.open_requests == 0
        assert (await asking).source == "weights"

    run([server], story)
    assert not server.adapters


def test_unloading_what_is_gone_or_on_a_dead_server_is_done() -> None:
    run([FakeVllm(), FakeVllm(down=True)], lambda replicas: replicas.unload("gone"))


def test_the_least_busy_healthy_replica_is_picked_and_a_sick_one_comes_last() -> None:
    idle, busy, sick = (Replica(VllmClient(f"http://{name}:1")) for name in ("idle", "busy", "sick"))
    busy.asking["m"] = 3
    with pytest.raises(Unavailable), sick.use("m"):
        raise Unavailable("gone")
    assert pick([sick, busy, idle], []) is idle
    assert pick([sick, busy, idle], [idle]) is busy
    assert pick([sick, busy, idle], [idle, busy]) is sick
    assert pick([sick], [sick]) is None


def test_a_replica_rests_longer_with_each_failure_and_a_success_ends_it() -> None:
    replica = Replica(VllmClient("http://vllm:1"))
    rests = []
    for _ in range(12):
        with pytest.raises(Unavailable), replica.use("m"):
            raise Unavailable("gone")
        rests.append(replica.rests_until)
    assert rests[3] - rests[0] > 3
    states = [replica.rests]
    with replica.use("m"):
        states.append(replica.busy == 1)
    states.append(replica.rests)
    assert states == [True, True, False]


def test_a_question_that_a_replica_refuses_does_not_make_it_sick() -> None:
    replica = Replica(VllmClient("http://vllm:1"))
    with pytest.raises(NotFound), replica.use("m"):
        raise NotFound("no such model")
    assert not replica.rests
    assert replica.busy == 0


def test_the_distance_of_two_answers_is_the_largest_shift_of_a_likelihood() -> None:
    assert distance(({"a": -0.1, "b": -3.0},), ({"a": -0.1, "b": -3.0},)) == 0.0
    assert distance(({"a": -0.1, "b": -3.0},), ({"a": -0.4, "b": -2.5},)) == pytest.approx(0.5)
    assert distance(({"a": -0.1, "b": -3.0},), ({"a": -0.1, "c": -2.0},)) == pytest.approx(1.0)


def test_steps_after_the_first_difference_do_not_count_because_they_continue_different_texts() -> None:
    one = ({"a": -0.5, "b": -0.9}, {"x": -0.1})
    other = ({"a": -0.9, "b": -0.5}, {"x": -9.0})
    assert distance(one, other) == pytest.approx(0.4)
