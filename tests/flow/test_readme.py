"""The README's transcript is true: each command is run as written, and prints what the page says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.conftest import Stack, start_stack, stop_stack
from tests.flow.transcript import commands, run

README = Path(__file__).parents[2] / "README.md"

pytestmark = pytest.mark.flow


@pytest.fixture
def untouched(tmp_path: Path) -> Iterator[Stack]:
    """A stack as a reader has it: nothing was taught yet."""
    stack = start_stack(tmp_path)
    yield stack
    stop_stack(stack)


def test_every_command_of_the_readme_prints_what_it_says(untouched: Stack) -> None:
    found = [command for command in commands(README.read_text()) if not command.line.startswith("make ")]
    assert sum("localhost:8000/facts" in command.line for command in found) >= 1
    assert sum("localhost:8000/jobs" in command.line for command in found) >= 1
    assert sum("localhost:8000/ask" in command.line for command in found) >= 2
    for command in found:
        printed = run(command.line, {"localhost:8000": untouched.url.removeprefix("http://")})
        assert command.matches(printed), f"$ {command.line}\nprinted\n{printed}\nand not\n{command.output}"
