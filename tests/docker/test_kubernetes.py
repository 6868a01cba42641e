"""The manifests are valid Kubernetes, and agree with the images and the settings."""

from typing import Any

import kubernetes_validate
import pytest
import yaml

from knowledge.settings import PREFIX, Settings
from tests.containers.composition import FILE, read
from tests.containers.dashboards import metrics_in

FOLDER = FILE.parent / "kubernetes"
VERSION = "1.31"
ALL: list[dict[str, Any]] = [
    part for file in sorted(FOLDER.glob("*.yaml")) for part in yaml.safe_load_all(file.read_text())
]
OWN = [part for part in ALL if part["apiVersion"] != "keda.sh/v1alpha1"]
PODS = {
    part["metadata"]["name"]: part["spec"]["template"]["spec"] for part in OWN if "template" in part.get("spec", {})
}


@pytest.mark.parametrize("part", OWN, ids=lambda part: f"{part['kind']} {part['metadata']['name']}")
def test_a_manifest_is_valid(part: dict[str, Any]) -> None:
    kubernetes_validate.validate(part, VERSION, strict=True)


def test_the_validator_refuses_what_is_wrong() -> None:
    broken = yaml.safe_load((FOLDER / "engrain.yaml").read_text().split("\n---\n")[-1])
    broken["spec"]["podSelektor"] = broken["spec"].pop("podSelector")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_runs_without_rights_and_with_our_images(name: str) -> None:
    images = {service.image for service in read().values() if service.dockerfile}
    (container,) = PODS[name]["containers"]
    assert container["image"] in images
    assert PODS[name]["securityContext"]["runAsUser"] == 10001
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert "limits" in container["resources"]


def test_the_settings_are_those_of_the_compose_file() -> None:
    (config,) = (part["data"] for part in OWN if part["kind"] == "ConfigMap")
    assert config == {key: value for key, value in read()["worker"].environment.items() if key.startswith(PREFIX)}
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert {each["name"] for pod in PODS.values() for each in pod["containers"][0].get("env", ())} <= names


@pytest.mark.parametrize("name", ["service", "worker", "inference"])
def test_a_part_that_stays_is_probed_spared_and_given_time(name: str) -> None:
    (container,) = PODS[name]["containers"]
    assert {"startupProbe", "livenessProbe"} <= container.keys()
    budgets = {part["metadata"]["name"] for part in OWN if part["kind"] == "PodDisruptionBudget"}
    assert name in budgets
    assert PODS[name]["terminationGracePeriodSeconds"] > read()[name].stop_grace_seconds


def test_workers_follow_the_queue_and_the_running_jobs() -> None:
    (scaled,) = (part for part in ALL if part["kind"] == "ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    assert metrics_in(trigger["metadata"]["query"]) == {"engrain_queue_jobs", "engrain_jobs"}
    assert scaled["spec"]["scaleTargetRef"]["name"] in PODS
