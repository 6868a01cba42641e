"""What is settled about keys when the service starts: the first one is made, and the log says who is served."""

from pathlib import Path

import structlog

from knowledge.errors import Conflict, InvalidSettings, Unavailable
from knowledge.keys import checked_secret
from knowledge.settings import Settings
from knowledge.store import Store, keys

log = structlog.get_logger()

FIRST_KEY = "first"


def prepare(settings: Settings, store: Store) -> None:
    """Raises `InvalidSettings` and `InvalidKey` for a first key that cannot be made. A store that is down may wait."""
    secret = _first_secret(settings.first_key_file) if settings.first_key_file else None
    try:
        if secret is not None:
            _make_first(store, secret)
        _say_who_is_served(settings, locked=keys.exist(store))
    except Unavailable:
        log.warning("the store is down, so nobody is served until it answers")


def _first_secret(path: str) -> str:
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"ENGRAIN_FIRST_KEY_FILE: {path} cannot be read ({type(error).__name__}).") from None
    return checked_secret(text.strip())


def _make_first(store: Store, secret: str) -> None:
    try:
        made = keys.create_first(store, FIRST_KEY, secret)
    except Conflict:
        return
    log.info("the first key was made from ENGRAIN_FIRST_KEY_FILE", key_id=made.id)


def _say_who_is_served(settings: Settings, *, locked: bool) -> None:
    if locked:
        log.info("callers need a key", host=settings.host, port=settings.port)
    elif settings.without_keys == "everybody":
        log.warning("there is no key, and everybody who reaches the port is served", host=settings.host)
    elif settings.without_keys == "nobody":
        log.warning("there is no key, so nobody is served: make one with `engrain keys create`")
    else:
        log.warning(
            "there is no key, so only this machine is served: make one with `engrain keys create`", host=settings.host
        )
