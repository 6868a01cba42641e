"""Reads `console` blocks of a Markdown page and runs them as written."""

import re
import subprocess
from dataclasses import dataclass

BLOCK = re.compile(r"^```console\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
ANSWER = re.compile(r'"answer":\s*"((?:[^"\\]|\\.)*)"')
NAME = re.compile(r"\b[A-Z]\w+")


@dataclass(frozen=True)
class Command:
    """A command after `$ `, and what the page says it prints."""

    line: str
    output: str

    def matches(self, printed: str) -> bool:
        """Whether the output is what the page says: white space aside, and with `…` for anything.

        An answer's wording is the model's: it has to hold the names of the answer on the page.
        """
        expected, given = ANSWER.search(self.output), ANSWER.search(printed)
        names = set(NAME.findall(expected.group(1))) if expected else set()
        if not names <= set(NAME.findall(given.group(1) if given else "")):
            return False
        pieces = _squeezed(ANSWER.sub('"answer":"…"', self.output)).split("…")
        return re.fullmatch(".*?".join(map(re.escape, pieces)), _squeezed(printed)) is not None


def commands(page: str) -> list[Command]:
    """Every command of the page's `console` blocks, in order. A line that ends with a backslash goes on."""
    found = []
    for block in BLOCK.findall(page):
        for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = piece.splitlines()
            end = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
            found.append(Command("\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :])))
    return found


def run(line: str, addresses: dict[str, str]) -> str:
    """Runs a line in bash, with the page's addresses replaced by those of the stack under test; gives its output."""
    for written, real in addresses.items():
        line = line.replace(written, real)
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=600)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def _squeezed(text: str) -> str:
    return "".join(text.split())
