"""The children's log files: one for each part in `logs/` of the data folder, a new one at each start."""

from itertools import pairwise
from pathlib import Path

TAIL_LINES = 15
OLD_LOGS = 3


def rotate(log: Path) -> None:
    """`name.log` becomes `name.log.1`, and so on up to `OLD_LOGS`. Makes the folder."""
    log.parent.mkdir(parents=True, exist_ok=True)
    names = [log, *(log.with_name(f"{log.name}.{number}") for number in range(1, OLD_LOGS + 1))]
    for newer, older in reversed(list(pairwise(names))):
        if newer.exists():
            newer.replace(older)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented for the screen."""
    if not log.exists():
        return "    (nothing)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 200 * lines))
        text = file.read().decode(errors="replace")
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-lines:]) or "    (nothing)"
