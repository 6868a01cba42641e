import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from knowledge import tracing
from knowledge.settings import Settings

tracing.configure(Settings(trace_file=sys.argv[1]), "service")
with tracing.span("post", job_id="job_1", version=None):
    parent = tracing.here()
    assert len(tracing.trace_id()) == 32
with tracing.span("teach", parent=parent):
    tracing.record("load", 1_000_000_000, 3_000_000_000, pid=7)
with tracing.span("ask"):
    tracing.record("first answer", 5_000_000_000, 6_000_000_000, parent=parent)
try:
    with tracing.span("fails"):
        raise ValueError("no")
except ValueError:
    pass
"""

OFF = """
import sys, timeit
from knowledge import tracing
from knowledge.settings import Settings

tracing.configure(Settings(), "service")
with tracing.span("post", job_id="job_1"):
    assert tracing.here() is None and tracing.trace_id() is None
assert not any(name.startswith("opentelemetry.sdk") for name in sys.modules)
def once():
    with tracing.span("post"):
        pass
print(min(timeit.repeat(once, number=1000, repeat=5)) / 1000)
"""


def test_hops_of_several_processes_hang_together_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "new" / "trace.jsonl"
    subprocess.run([sys.executable, "-c", PROGRAM, str(file)], check=True)
    spans = {span["name"]: span for span in map(json.loads, file.read_text().splitlines())}
    post, teach, load, first = (spans[name] for name in ("post", "teach", "load", "first answer"))
    assert post["attributes"] == {"engrain.job_id": "job_1"}
    assert teach["parent_id"] == first["parent_id"] == post["context"]["span_id"]
    assert load["parent_id"] == teach["context"]["span_id"]
    assert len({span["context"]["trace_id"] for span in (post, teach, load, first)}) == 1
    assert first["links"][0]["context"] == spans["ask"]["context"]
    assert (load["start_time"][:19], load["end_time"][:19]) == ("1970-01-01T00:00:01", "1970-01-01T00:00:03")
    assert spans["fails"]["status"]["status_code"] == "ERROR"
    assert post["resource"]["attributes"]["service.name"] == "engrain-service"


def test_without_a_destination_a_span_is_nothing_and_costs_next_to_nothing() -> None:
    ran = subprocess.run([sys.executable, "-c", OFF], check=True, capture_output=True, text=True)
    assert float(ran.stdout) < 200e-6  # 10 µs on a quiet core
