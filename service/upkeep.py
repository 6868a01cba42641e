"""Clears away what nobody needs any more: old answers to Idempotency-Keys, ended deliveries, expired sessions."""

import asyncio

import structlog

from knowledge.errors import EngrainError
from knowledge.store import Store, idempotency, sessions, webhooks
from service.threads import in_thread

log = structlog.get_logger()

UPKEEP_SECONDS = 3600.0


async def keep_tidy(store: Store) -> None:
    """Clears away every hour, until cancelled."""
    while True:
        try:
            await in_thread(idempotency.forget_old, store)
            await in_thread(webhooks.forget_old, store)
            await in_thread(sessions.forget_old, store)
        except EngrainError as error:
            log.warning("could not clear away", error=str(error))
        await asyncio.sleep(UPKEEP_SECONDS)
