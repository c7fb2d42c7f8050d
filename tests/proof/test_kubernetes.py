"""The manifests: what a cluster would be asked for. That a cluster takes them is not tested here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshproof import namespace
from meshproof.load.slicing import Slice, parse

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"


def objects() -> dict[str, dict[str, Any]]:
    """Every object of every file, by kind and name."""
    found = [document for file in FOLDER.glob("*.yaml") for document in yaml.safe_load_all(file.read_text())]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}


OBJECTS = objects()
PODS = {name: each["spec"]["template"]["spec"] for name, each in OBJECTS.items() if "template" in each["spec"]}


def test_everything_is_there_once() -> None:
    assert set(OBJECTS) == {
        "Job/meshhook-migrate",
        "Deployment/meshhook-api",
        "Deployment/meshhook-worker",
        "Service/meshhook",
        "PodDisruptionBudget/meshhook-api",
        "PersistentVolumeClaim/meshproof-ledgers",
        "Job/meshproof-load",
    }


@pytest.mark.parametrize("pod", PODS)
def test_no_pod_is_root_or_writes_outside_its_volumes(pod: str) -> None:
    spec = PODS[pod]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}


@pytest.mark.parametrize("name", [name for name in OBJECTS if name.startswith(("Deployment", "Service", "PodDis"))])
def test_whoever_selects_pods_finds_them(name: str) -> None:
    selector = OBJECTS[name]["spec"]["selector"]
    wanted = selector.get("matchLabels", selector)
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in OBJECTS.values() if "template" in each["spec"]]
    assert sum(wanted.items() <= each.items() for each in labels) == 1


def test_the_api_is_asked_whether_it_lives_and_whether_it_is_ready() -> None:
    (container,) = PODS["Deployment/meshhook-api"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    ports = {port["name"] for port in container["ports"]}
    assert OBJECTS["Service/meshhook"]["spec"]["ports"][0]["targetPort"] in ports


def test_the_pods_of_the_job_are_the_slices_of_one_plan() -> None:
    job = OBJECTS["Job/meshproof-load"]["spec"]
    assert (job["completionMode"], job["backoffLimit"]) == ("Indexed", 0)
    (container,) = PODS["Job/meshproof-load"]["containers"]
    words = container["args"]
    assert words[:2] == ["run", "load"]
    given = dict(word.split("=", 1) for word in words[2:])
    slices = [
        parse(given["--slice"].replace("$(JOB_COMPLETION_INDEX)", str(index))) for index in range(job["completions"])
    ]
    assert slices == [Slice(index, job["parallelism"]) for index in range(job["completions"])]
    assert namespace.is_valid(given["--namespace"])
    assert given["--target"] == f"http://{given['--i-own-this-target']}"
    # Kubernetes fills in only what the container has in its environment.
    named = {name for word in words for name in re.findall(r"\$\((\w+)\)", word)}
    assert named <= {each["name"] for each in container["env"]}


def test_the_options_of_the_job_are_those_of_the_command() -> None:
    from typer.main import get_command

    from meshproof.cli import run_app

    command = get_command(run_app).commands["load"]  # type: ignore[attr-defined]
    known = {name for parameter in command.params for name in parameter.opts}
    (container,) = PODS["Job/meshproof-load"]["containers"]
    assert {word.split("=")[0] for word in container["args"][2:]} <= known
