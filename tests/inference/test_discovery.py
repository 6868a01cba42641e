"""Replicas that a name stands for come and go; the resolver is replaced, everything else is real."""

import asyncio
import socket
from typing import Any

import pytest

from inference.adapters import Replicas, reconcile
from inference.answer import ask
from inference.discovery import discover
from knowledge.errors import Unavailable
from tests.inference.fake_vllm import FakeVllm, transport

NAME = "dns+http://inference:8001"


class Names:
    """A resolver with one name, which stands for `addresses`; None: it does not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.addresses: tuple[str, ...] | None = addresses
        monkeypatch.setattr(socket, "getaddrinfo", self.resolve)

    def resolve(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if self.addresses is None:
            raise socket.gaierror(socket.EAI_AGAIN, "the name server is away")
        families = {address: socket.AF_INET6 if ":" in address else socket.AF_INET for address in self.addresses}
        return [(families[each], socket.SOCK_STREAM, 6, "", (each, port)) for each in self.addresses]


def test_a_name_stands_for_all_its_addresses_and_a_plain_url_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, "10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::1")
    found = asyncio.run(discover(["http://fixed:9", NAME]))
    assert found == ["http://fixed:9", "http://10.0.0.1:8001", "http://10.0.0.2:8001", "http://[fd00::1]:8001"]


def test_replicas_that_come_and_go_are_noticed_and_those_that_stay_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, "10.0.0.1", "10.0.0.2")
    fakes = {f"http://10.0.0.{number}:8001": FakeVllm() for number in (1, 2, 3)}

    async def story() -> None:
        async with Replicas([NAME], transport(fakes)) as replicas:
            assert not replicas.each
            await reconcile(replicas, [])
            first, second = replicas.each
            names.addresses = ("10.0.0.2", "10.0.0.3")
            await reconcile(replicas, [])
            assert [replica.url for replica in replicas.each] == ["http://10.0.0.2:8001", "http://10.0.0.3:8001"]
            assert replicas.each[0] is second
            assert first not in replicas.each
            assert (await ask(replicas, "Who?")).source == "base"

    asyncio.run(story())
    assert fakes["http://10.0.0.1:8001"].calls["/v1/chat/completions"] == 0


def test_the_known_replicas_stay_while_the_name_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, "10.0.0.1")
    fakes = {"http://10.0.0.1:8001": FakeVllm()}

    async def story() -> None:
        async with Replicas([NAME], transport(fakes)) as replicas:
            await replicas.discover()
            names.addresses = None
            await replicas.discover()
            assert (await ask(replicas, "Who?")).text

    asyncio.run(story())


def test_without_any_replica_a_question_is_refused_and_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch)

    async def story() -> None:
        async with Replicas([NAME], transport({})) as replicas:
            await replicas.discover()
            with pytest.raises(Unavailable):
                await ask(replicas, "Who?")

    asyncio.run(story())
