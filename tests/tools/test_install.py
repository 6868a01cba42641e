"""Installation: what pip is told, uv is told; what is locked is complete and names no machine."""

import re
import tomllib
from pathlib import Path

import pytest
from install import locked, own_torch
from lock import IMAGES
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pip_settings import pip_settings, uv_environment

ROOT = Path(__file__).parents[2]

LISTING = """\
:env:.find-links='/wheels'
global.cert='/etc/ssl/certs.crt'
global.extra-index-url='https://a.example/simple\\nhttps://b.example/simple'
global.find-links='/weaker'
install.index-url='https://mirror.example/simple'
freeze.timeout='1'
"""


def test_the_stronger_section_of_pips_configuration_wins() -> None:
    found = pip_settings(LISTING)
    assert found["find-links"] == "/wheels"
    assert found["index-url"] == "https://mirror.example/simple"
    assert "timeout" not in found


def test_uv_looks_where_pip_looks() -> None:
    found = uv_environment(pip_settings(LISTING), {"PATH": "/bin"})
    assert found["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert found["UV_INDEX"] == "https://a.example/simple https://b.example/simple"
    assert found["UV_FIND_LINKS"] == "/wheels"
    assert found["SSL_CERT_FILE"] == "/etc/ssl/certs.crt"
    assert found["PATH"] == "/bin"
    assert "UV_INSECURE_HOST" not in found


def test_what_the_user_set_for_uv_is_left_alone() -> None:
    mine = {"UV_DEFAULT_INDEX": "https://mine.example/simple"}
    assert uv_environment(pip_settings(LISTING), mine)["UV_DEFAULT_INDEX"] == "https://mine.example/simple"


def test_one_package_is_taken_from_a_lock_with_all_its_hashes() -> None:
    uv = "uv==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    lock = f"{uv}    # via x\nuvicorn==2.0 \\\n    --hash=sha256:cc\n"
    assert locked("uv", lock) == uv
    with pytest.raises(LookupError, match="make lock"):
        locked("torch", lock)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_a_lock_is_hash_checked_and_names_neither_a_folder_nor_a_host(backend: str) -> None:
    lock = (ROOT / "locks" / f"{backend}.txt").read_text()
    pins = re.findall(r"^\S+==\S+ \\\n    --hash=sha256:", lock, flags=re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[A-Za-z0-9]", lock, flags=re.MULTILINE)) > 150
    assert not re.search(r"://|file:|(^|\s)/\w", lock)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_everything_that_the_project_asks_for_is_locked_in_a_version_that_fits(backend: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    pins = dict(re.findall(r"^(\S+?)==(\S+)", (ROOT / "locks" / f"{backend}.txt").read_text(), flags=re.MULTILINE))
    for line in [*project["dependencies"], *extras["dev"], *extras["training"], *extras[backend]]:
        requirement = Requirement(line)
        if line not in (own_torch(backend), "engrain[training]"):
            name = re.sub(r"\[.*", "", canonicalize_name(requirement.name))
            assert requirement.specifier.contains(pins[name], prereleases=True), line


def test_only_the_cpu_backend_has_a_torch_of_its_own() -> None:
    assert own_torch("cpu").endswith("+cpu")
    assert own_torch("gpu") == ""


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_the_versions_of_its_backend_and_nothing_of_a_developers(image: str) -> None:
    def pins(lock: str) -> dict[str, str]:
        return dict(re.findall(r"^(\S+?)==(\S+)", (ROOT / "locks" / f"{lock}.txt").read_text(), flags=re.MULTILINE))

    own, whole = pins(f"images/{image}"), pins(IMAGES[image].backend)
    assert own.items() <= whole.items()
    assert not {"pytest", "ruff", "mypy", "uv", "matplotlib"} & own.keys()
    assert ("transformers" in own) == (image != "service")
    assert any(name.startswith("vllm") for name in own) == image.startswith("inference")
