"""The connection to SQLite or PostgreSQL."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from knowledge.errors import Unavailable
from knowledge.keys import SYSTEM, Caller
from knowledge.store.sight import CallersSession

log = structlog.get_logger()


def now() -> datetime:
    """The current moment in UTC."""
    return datetime.now(UTC)


class Store:
    """Opens transactions for a caller. Holds no state but the connection pool, so threads can share it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.caller = SYSTEM
        parsed = make_url(url)
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        if self._is_sqlite and parsed.database not in (None, "", ":memory:"):
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        # An error that is logged with its statement must not bring documents and keys' hashes along.
        self.engine = create_engine(parsed, pool_pre_ping=not self._is_sqlite, hide_parameters=True)
        if self._is_sqlite:
            _tune_sqlite(self.engine)
        self._writer = self.engine.execution_options(immediate=True)

    def seen_by(self, caller: Caller) -> Self:
        """The same store for this caller: other namespaces are not there, and its acts are written down as its own."""
        seen = copy.copy(self)
        seen.caller = caller
        return seen

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that changes nothing. Raises `Unavailable` when the store cannot be reached."""
        with self._session(self.engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits at the end of the block, or leaves no trace. Raises `Unavailable` as `read`.

        SQLite takes its one write lock at once, so that what is read here is still true at the commit.
        """
        with self._session(self._writer) as session:
            yield session
            session.commit()

    @contextmanager
    def _session(self, engine: Engine) -> Iterator[Session]:
        try:
            with CallersSession(engine, expire_on_commit=False, info={"caller": self.caller}) as session:
                yield session
        except (OperationalError, InterfaceError) as error:
            log.warning("the store did not answer", error=str(error.orig))  # it names hosts: not for clients
            raise Unavailable("The store did not answer.") from error

    def analyze(self) -> None:
        """After a bulk load: PostgreSQL plans queries by statistics that it renews by itself only minutes later."""
        if not self._is_sqlite:
            with self.write() as session:
                session.execute(text("ANALYZE"))

    def connections(self) -> tuple[int, int]:
        """How many connections are in use, and how many wait in the pool."""
        pool = self.engine.pool
        return (pool.checkedout(), pool.checkedin()) if isinstance(pool, QueuePool) else (0, 0)

    def close(self) -> None:
        """Gives the connections back."""
        self.engine.dispose()


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy, not the driver, says BEGIN
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("immediate")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
