"""The documentation is complete and true: every setting, metric, route, command and make target is in its tables."""

import re
from pathlib import Path

import pytest

import worker.metrics  # noqa: F401 - a worker's metrics are documented with the service's
from command.cli import app as cli
from inference.adapters import Replicas
from knowledge.settings import PREFIX, Settings
from knowledge.store import Store
from knowledge.store.schema import upgrade
from service.app import create_app
from service.metrics import registry

ROOT = Path(__file__).parents[1]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def first_cells(heading: str) -> set[str]:
    """What stands in backquotes in the first column of the table below a heading."""
    section = OPERATIONS.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return {
        found
        for line in re.findall(r"^\| (.*?) \|", section, flags=re.MULTILINE)
        for found in re.findall(r"`(.+?)`", line)
    }


def test_every_setting_is_in_the_docs_with_its_default_and_description() -> None:
    assert first_cells("Settings") == {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if str(field.default) else "(empty)"
        assert f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |" in OPERATIONS


def test_every_route_is_in_the_docs(tmp_path: Path) -> None:
    paths = create_app(Settings(data_folder=tmp_path)).openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert first_cells("Routes") == routes | {"GET /docs", "GET /dashboard"}


def test_every_command_is_in_the_docs() -> None:
    names = {command.name or getattr(command.callback, "__name__", "") for command in cli.registered_commands}
    for group in cli.registered_groups:
        inner = group.typer_instance.registered_commands if group.typer_instance else []
        names |= {f"{group.name} {command.name}" for command in inner}
    assert first_cells("Commands") == {f"engrain {name}" for name in names}


def test_every_make_target_is_in_the_docs() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert first_cells("Make targets") == {f"make {target}" for target in targets} | {"make"}


def test_every_metric_is_in_the_docs_with_its_labels_and_meaning(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite3"
    upgrade(url)
    store = Store(url)
    found = {metric.name: metric for metric in registry(store, Replicas(["http://127.0.0.1:1"])).collect()}
    store.close()
    ours = {name: metric for name, metric in found.items() if name.startswith("engrain_")}
    names = {f"{name}_total" if metric.type == "counter" else name for name, metric in ours.items()}
    assert first_cells("Metrics") == names
    for metric in ours.values():
        assert f" | {metric.documentation} |" in OPERATIONS, metric.documentation


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md", "docs/architecture.md", "docs/decisions.md"])
def test_every_link_leads_to_a_file(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md", "docs/architecture.md", "docs/decisions.md"])
def test_every_python_file_that_a_page_names_exists(page: str) -> None:
    for name in re.findall(
        r"`((?:command|service|worker|inference|knowledge|tools|tests|experiments)/[\w/]+\.py)`",
        (ROOT / page).read_text(),
    ):
        assert (ROOT / name).exists(), name
