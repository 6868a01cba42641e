"""What happened in a drill, one JSON object a line: the operations of clients, what was done to the parts, the end.

Every line has `kind`, `began` and `ended` (seconds since the drill began). A `status` of None is a request that got no
answer: it may have been carried out or not.

    post       namespace, text, idempotency_key, status, facts (ids), version
    ask        namespace, asked_version, min_version, status, version, adapter, source
    activate   namespace, version, status
    seen       namespace, live (numbers of its live versions)
    loaded     adapters: [{name, whole}], what a model server holds
    kill       part, step (the point of a job at which, or `any`)
    incident   name, how, healed, detail
    final      facts: [{id, namespace, text, status, job_id}], jobs: [{id, status}],
               versions: [{namespace, version, status, adapter, facts, whole}]
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

Line = dict[str, Any]


class History:
    """Writes the file; each line is on disk at once, so that a drill that is cut off can be read too."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._stream: TextIO = path.open("w", encoding="utf-8")
        self._lock = threading.Lock()
        self._start = time.monotonic()

    def now(self) -> float:
        """Seconds since the drill began."""
        return round(time.monotonic() - self._start, 4)

    def note(self, kind: str, **fields: Any) -> None:
        """Something that took no time."""
        now = self.now()
        self._write({"kind": kind, "began": now, "ended": now, **fields})

    @contextmanager
    def operation(self, kind: str, **fields: Any) -> Iterator[Line]:
        """Something that takes time: what the block adds to the line is written with it at its end."""
        line: Line = {"kind": kind, "began": self.now(), "ended": 0.0, **fields}
        try:
            yield line
        finally:
            line["ended"] = self.now()
            self._write(line)

    def close(self) -> None:
        """No more lines."""
        self._stream.close()

    def _write(self, line: Line) -> None:
        text = json.dumps(line, ensure_ascii=False)
        with self._lock:
            if not self._stream.closed:
                self._stream.write(text + "\n")
                self._stream.flush()


def read(path: Path) -> list[Line]:
    """All lines of a history file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
