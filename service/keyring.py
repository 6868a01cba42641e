"""Which key a secret opens, kept for two seconds, so that requests do not each ask the store."""

import asyncio
import time
from collections import OrderedDict

import structlog
from starlette.concurrency import run_in_threadpool

from knowledge.errors import EngrainError
from knowledge.keys import Key, SecretHash
from knowledge.store import Store, keys, now, sessions
from service.threads import in_thread

log = structlog.get_logger()

KEY_SECONDS = 2.0
"""How long a key that another process made or revoked is not noticed."""

USE_SECONDS = 60.0
"""How often it is written down which keys were used."""

MOST = 4096

Found = tuple[Key, SecretHash] | None


class Keyring:
    """The keys as the store holds them, or held them at most `KEY_SECONDS` ago."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: OrderedDict[str, tuple[float, Found]] = OrderedDict()
        self._any, self._looked = False, float("-inf")
        self._used: set[str] = set()

    async def any_key(self) -> bool:
        """Whether keys are asked for: there is, or was, one. Raises `Unavailable`."""
        if not self._any and time.monotonic() - self._looked > KEY_SECONDS:
            self._any = await run_in_threadpool(keys.exist, self._store)
            self._looked = time.monotonic()
        return self._any

    async def find(self, secret: str) -> Key | None:
        """The key, if it holds now. Raises `Unavailable`."""
        hashed = SecretHash.of(secret)
        found = await self._find(hashed)
        if found is None or not hashed.matches(found[1]) or not found[0].holds(now()):
            return None
        self._used.add(found[0].id)
        return found[0]

    async def of_session(self, secret: str) -> Key | None:
        """The key with which a browser was signed in, if both hold now. Read anew each time. Raises `Unavailable`."""
        key = await run_in_threadpool(sessions.key_of, self._store, secret)
        if key is not None:
            self._used.add(key.id)
        return key

    def forget(self) -> None:
        """Looks anew from now on: a key was made or revoked here."""
        self._found.clear()
        self._looked = float("-inf")

    async def note_uses(self) -> None:
        """Writes down every minute which keys were used, until cancelled, and then once more."""
        try:
            while True:
                await asyncio.sleep(USE_SECONDS)
                await in_thread(self._note_uses)
        finally:
            self._note_uses()

    def _note_uses(self) -> None:
        used, self._used = self._used, set()
        if not used:
            return
        try:
            keys.note_use(self._store, used, now())
        except EngrainError as error:
            log.warning("could not write down which keys were used", error=str(error))

    async def _find(self, hashed: SecretHash) -> Found:
        read_at, found = self._found.get(hashed.finder, (float("-inf"), None))
        if time.monotonic() - read_at <= KEY_SECONDS:
            return found
        read_at = time.monotonic()
        found = await run_in_threadpool(keys.with_secret, self._store, hashed)
        self._found[hashed.finder] = read_at, found
        self._found.move_to_end(hashed.finder)
        while len(self._found) > MOST:
            self._found.popitem(last=False)
        return found
