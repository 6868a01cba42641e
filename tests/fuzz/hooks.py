"""What Schemathesis cannot know from the OpenAPI text."""

import os
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import schemathesis


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case[Any], _kwargs: dict[str, Any]) -> None:
    """An Idempotency-Key belongs to one request: with another body the same one is refused, as the draft says.

    The fuzzer's own API key must outlive its run, although the list of keys tells the id. And a schema cannot say that
    a moment lies ahead: `expires_at` has to.
    """
    if isinstance(case.body, dict):
        for document in [case.body, *_items(case.body.get("documents"))]:
            if isinstance(document, dict) and _has_passed(document.get("expires_at")):
                document["expires_at"] = "2999-12-31T00:00:00Z"
    if (case.path_parameters or {}).get("key_id") == os.environ.get("FUZZ_KEY_ID"):
        case.path_parameters["key_id"] = "key_0"
    for name, value in dict(case.headers or {}).items():
        if name.lower() == "idempotency-key" and isinstance(value, str) and 1 <= len(value) <= 200:
            case.headers[name] = f"{value}{uuid4().hex}"


def _items(documents: object) -> list[object]:
    return documents if isinstance(documents, list) else []


def _has_passed(moment: object) -> bool:
    try:
        found = datetime.fromisoformat(str(moment))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)) <= datetime.now(UTC)
    except (ValueError, OverflowError):
        return False
