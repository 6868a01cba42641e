"""What Schemathesis cannot know from the OpenAPI text."""

import os
from typing import Any
from uuid import uuid4

import schemathesis


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case[Any], _kwargs: dict[str, Any]) -> None:
    """An Idempotency-Key belongs to one request: with another body the same one is refused, as the draft says.

    And the fuzzer's own API key must outlive its run, although the list of keys tells the id.
    """
    if (case.path_parameters or {}).get("key_id") == os.environ.get("FUZZ_KEY_ID"):
        case.path_parameters["key_id"] = "key_0"
    for name, value in dict(case.headers or {}).items():
        if name.lower() == "idempotency-key" and isinstance(value, str) and 1 <= len(value) <= 200:
            case.headers[name] = f"{value}{uuid4().hex}"
