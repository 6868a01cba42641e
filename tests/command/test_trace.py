import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from command.trace import of_job, read, show, trees
from knowledge.errors import InvalidSettings, NotFound


def line(name: str, own: str, parent: str | None, began: int, seconds: int, trace: str = "a", **attributes: Any) -> str:
    return json.dumps(
        {
            "name": name,
            "context": {"trace_id": f"0x{trace}", "span_id": own},
            "parent_id": parent,
            "start_time": f"2026-01-01T00:00:{began:02}.000000Z",
            "end_time": f"2026-01-01T00:00:{began + seconds:02}.000000Z",
            "status": {"status_code": "UNSET"},
            "attributes": {f"engrain.{key}": value for key, value in attributes.items()},
            "resource": {"attributes": {"service.name": "engrain-worker"}},
        }
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trace.jsonl"
    lines = [
        line("train", "3", "2", 5, 20),
        line("teach job", "2", "1", 4, 30, job_id="job_1"),
        line("POST /facts", "1", "outside", 1, 1, job_id="job_1"),
        line("POST /facts", "9", None, 2, 1, trace="b", job_id="job_2"),
        '{"name": "cut o',
    ]
    path.write_text("\n".join(lines))
    return path


def test_the_hops_of_a_job_are_one_tree_in_the_order_of_their_beginnings(file: Path) -> None:
    spans = of_job("job_1", read([file]))
    assert [span.name for span in spans] == ["POST /facts", "teach job", "train"]
    (tree,) = trees(spans)
    console = Console(width=120)
    with console.capture() as captured:
        console.print(tree)
    lines = captured.get().splitlines()
    assert "3 spans, 33.00 s" in lines[0]
    assert [text.index(name) for text, name in zip(lines[1:], ("POST", "teach", "train"), strict=True)] == [4, 8, 12]
    assert "+4.000 s, 20.000 s" in lines[3] and "job_id=job_1" in lines[1]


def test_an_unknown_job_and_a_missing_file_are_said(file: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="job_3"):
        show("job_3", [file], as_json=False)
    with pytest.raises(InvalidSettings, match="ENGRAIN_TRACE_FILE"):
        show("job_1", [tmp_path / "none"], as_json=False)
