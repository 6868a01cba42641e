"""Who is to answer a question: a version's weights, a pending text, or the base model."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from inference.homes import speaks
from inference.pending import Bridge
from knowledge.adapters import Version
from knowledge.facts import Fact
from knowledge.store import Store, facts, versions
from knowledge.store.standing import standing
from service.provenance import Provenance

CACHED = 512


@dataclass(frozen=True)
class View:
    """A namespace as it stood when a request came: its live version, or the one that was named, and what waits."""

    version: Version | None
    named: bool
    bridge: Bridge | None
    homes: Mapping[int, Version] = field(default_factory=dict)
    """By number, the versions whose adapters `version` speaks with, beside its own."""


@dataclass(frozen=True)
class Speaker:
    """`version` is None when the base model speaks, with `told` as the text to answer from, if any.

    `home` is the version whose adapter answers: `version`, or an earlier one where the fact concerned is at home.
    """

    version: Version | None = None
    home: Version | None = None
    told: Fact | None = None


class Speakers:
    """Reads one statement for each request, and keeps what cannot change: versions once live, and facts' texts."""

    def __init__(self, store: Store, provenance: Provenance, least_relevance: float) -> None:
        self._store = store
        self._provenance = provenance
        self._least_relevance = least_relevance
        self._versions: OrderedDict[tuple[str, int], Version] = OrderedDict()
        self._bridges: OrderedDict[str, tuple[dict[str, Fact], Bridge]] = OrderedDict()
        self._lock = Lock()

    def view(self, namespace: str, number: int | None = None, *, bridged: bool = True) -> View:
        """The namespace now, or one of its versions. Blocks on the store.

        Raises `NotFound`, `VersionDeleted`, and `Conflict` for a version that was never live.
        """
        if number is not None:
            versions.check_askable(self._store, namespace, number)
        now = standing(self._store, namespace) if number is None else None
        wanted = now.live if now else number
        version = self._version(namespace, wanted) if wanted is not None else None
        if version is not None:
            self._provenance.prepare(version)
        homes = {each: self._version(namespace, each) for each in set(version.homes.values())} if version else {}
        bridge = self._bridge(namespace, now.pending) if now and bridged else None
        return View(version, named=now is None, bridge=bridge, homes=homes)

    def speaker(self, view: View, question: str) -> Speaker:
        """A pending text that fits as well as any live one, or the version if the question concerns it, or the base.

        A version that was named always answers itself.
        """
        version = view.version
        fact_id, known = self._provenance.concerned(question, version) if version else (None, 0.0)
        if not view.named and view.bridge is not None and (told := view.bridge.find(question, known=known)):
            return Speaker(told=told)
        if version is None or not (view.named or known >= self._least_relevance):
            return Speaker()
        return Speaker(version, home=speaks(version, view.homes, fact_id))

    def _version(self, namespace: str, number: int) -> Version:
        """A version that is or was live. Its facts and files are fixed from then on; `status` may be an old one."""
        with self._lock:
            if known := self._versions.get((namespace, number)):
                self._versions.move_to_end((namespace, number))
                return known
        version = versions.get(self._store, namespace, number)
        with self._lock:
            self._versions[namespace, number] = version
            while len(self._versions) > CACHED:
                self._versions.popitem(last=False)
        return version

    def _bridge(self, namespace: str, ids: tuple[str, ...]) -> Bridge | None:
        """The texts that wait, indexed anew only when others wait than at the last question."""
        if not ids:
            return None
        with self._lock:
            known, bridge = self._bridges.get(namespace, ({}, None))
        if bridge is not None and tuple(known) == ids:
            return bridge
        fresh = [each for each in ids if each not in known]
        read = {fact.id: fact for fact in facts.find(self._store, ids=fresh)} if fresh else {}
        held = {each: known.get(each) or read[each] for each in ids}
        bridge = Bridge(list(held.values()))
        with self._lock:
            self._bridges[namespace] = held, bridge
            self._bridges.move_to_end(namespace)
            while len(self._bridges) > CACHED:
                self._bridges.popitem(last=False)
        return bridge
