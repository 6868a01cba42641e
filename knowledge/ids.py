"""Identifiers that sort by the time they were made."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """`prefix_` plus 20 characters: 10 of the time in milliseconds, 10 random (50 bits)."""
    milliseconds = time.time_ns() // 1_000_000
    stamp = "".join(_ALPHABET[(milliseconds >> shift) & 31] for shift in range(45, -5, -5))
    return f"{prefix}_{stamp}{''.join(secrets.choice(_ALPHABET) for _ in range(10))}"
