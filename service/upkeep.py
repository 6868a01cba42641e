"""What has to happen without anybody asking: facts that expire, and old rows that nobody needs any more."""

import asyncio

import structlog

from knowledge.errors import EngrainError
from knowledge.store import Store, forgetting, idempotency, sessions, webhooks
from service.threads import in_thread

log = structlog.get_logger()

UPKEEP_SECONDS = 3600.0
EXPIRY_SECONDS = 30.0


async def keep_tidy(store: Store) -> None:
    """Clears away old answers to Idempotency-Keys, ended deliveries and sessions every hour, until cancelled."""
    while True:
        try:
            await in_thread(idempotency.forget_old, store)
            await in_thread(webhooks.forget_old, store)
            await in_thread(sessions.forget_old, store)
        except EngrainError as error:
            log.warning("could not clear away", error=str(error))
        await asyncio.sleep(UPKEEP_SECONDS)


async def keep_fresh(store: Store) -> None:
    """Asks to forget what has expired, every `EXPIRY_SECONDS`, until cancelled. The relay sends the jobs."""
    while True:
        try:
            if number := await in_thread(forgetting.forget_expired, store):
                log.info("facts have expired", facts=number)
        except EngrainError as error:
            log.warning("could not look for expired facts", error=str(error))
        await asyncio.sleep(EXPIRY_SECONDS)
