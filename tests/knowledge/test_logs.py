import pytest

from knowledge.keys import new_secret
from knowledge.logs import without_secrets


@pytest.mark.parametrize(
    "secret",
    [new_secret(), "hunter2secret"],
    ids=["key", "password"],
)
def test_keys_and_passwords_are_hidden_in_a_line(secret: str) -> None:
    for text in (f"authorization: Bearer {secret}", f"bearer {secret}", f"postgresql://me:{secret}@db/engrain failed"):
        line = without_secrets(None, "info", f'{{"error": "{text}", "job_id": "job_1"}}')
        assert secret not in line and "***" in line and '"job_id": "job_1"}' in line


@pytest.mark.parametrize("line", ["https://engrain.example:8000/facts@1", "engrain_facts 3", "a bearer of news"])
def test_a_line_without_a_secret_stays_as_it_is(line: str) -> None:
    assert without_secrets(None, "info", line).startswith(line[:9])
