"""Follows a job with a progress bar until it ends."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from command.api import Api


def follow(api: Api, job_id: str, console: Console) -> str:
    """Shows the job's status, loss, probes and time left; returns the final status."""
    if not console.is_terminal:
        return _follow_plainly(api, job_id, console)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[detail]}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("queued", total=100, detail="")
        status = "queued"
        for kind, data in api.job_events(job_id):
            status = _show(bar, task, kind, data, status)
    return status


def _show(bar: Progress, task: TaskID, kind: str, data: dict[str, Any], status: str) -> str:
    if kind == "status":
        status = str(data["status"])
        bar.update(task, description=status, completed=100 if status == "succeeded" else None)
    elif kind == "progress":
        bar.update(task, completed=data["percent"], detail=progress_words(data))
    return status


def _follow_plainly(api: Api, job_id: str, console: Console) -> str:
    status, shown = "queued", -10.0
    for kind, data in api.job_events(job_id):
        if kind == "status":
            status = str(data["status"])
            console.print(f"  job {job_id}: {status}", markup=False)
        elif kind == "progress" and data["percent"] >= shown + 10:
            shown = data["percent"]
            console.print(f"  {shown:3.0f} %  {progress_words(data)}", markup=False)
    return status


def progress_words(progress: dict[str, Any]) -> str:
    """One line of what is known: step, loss, probes, speed and time left."""
    return (
        f"step {progress['step']}/{progress['steps']} · loss {progress['loss']:.2f} · "
        f"probes {progress['probes_passed']}/{progress['probes']} · {progress['tokens_per_second']:.0f} tok/s · "
        f"{progress['eta_seconds']:.0f} s left"
    )
