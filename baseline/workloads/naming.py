"""From the path of a cgroup to the name of its workload, where the user gave none.

A workload is what was deployed, not one instance of it, so that replicas share a model:

- a systemd unit is named by itself, an instance by its template: ``getty@.service``;
- a container of Kubernetes is ``namespace/owner/container``, see :func:`pod_owner`;
- another container has the name its manager knows it by, at worst the start of its id;
- anything else is named by its path.

Container managers write what is needed to disk before they create the cgroup; nothing is asked of
their sockets.  Formats, each with the source it was taken from:

====================================  ============================================================
containerd, CRI-O: ``config.json``    OCI runtime specification, ``config.md``: ``annotations``
runc: ``state.json``                  runc ``libcontainer/specconv``: annotations as ``key=value``
                                      in ``config.labels``
Docker: ``config.v2.json``            moby ``container/container.go``: ``Name``, with a slash
Podman, CRI-O: ``containers.json``    containers/storage ``containers.go``: ``id`` and ``names``
====================================  ============================================================
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from baseline.container import Container, container_id
from baseline.reading import read_file

_MAX_FILE_BYTES = 1 << 26
_MAX_NAME = 1024
"""Characters of a name; Kubernetes allows 253 for each of its three."""

_UNIT = re.compile(r"\.(service|scope|socket|mount|swap)$")
_INSTANCE = re.compile(r"^(?P<template>[^@]+@)[^@]+(?P<kind>\.service)$")

_ANNOTATIONS_FILES = (
    "run/containerd/io.containerd.runtime.v2.task/*/{id}/config.json",
    "run/k3s/containerd/io.containerd.runtime.v2.task/*/{id}/config.json",
    "run/containers/storage/overlay-containers/{id}/userdata/config.json",
    "var/lib/containers/storage/overlay-containers/{id}/userdata/config.json",
    "run/containerd/runc/*/{id}/state.json",
    "run/runc/{id}/state.json",
)
_STORAGE_FILES = "{parent}/containers/storage/overlay-containers/*containers.json"
_DOCKER_FILE = "var/lib/docker/containers/{id}/config.v2.json"

_KUBERNETES_KEYS = (
    # containerd (pkg/annotations), CRI-O (pkg/annotations): namespace, pod, container
    (
        "io.kubernetes.cri.sandbox-namespace",
        "io.kubernetes.cri.sandbox-name",
        "io.kubernetes.cri.container-name",
    ),
    (
        "io.kubernetes.pod.namespace",
        "io.kubernetes.pod.name",
        "io.kubernetes.container.name",
    ),
)
_NAME_KEY = "nerdctl/name"

# k8s.io/apimachinery/pkg/util/rand: names drawn from these letters; a hash uses ten of them.
_RANDOM = "[bcdfghjklmnpqrstvwxz2456789]{5}"
_HASH = "[4-9bcdf]{6,10}"
_SCHEDULED = r"\d{8}"
_POD_SUFFIX = re.compile(rf"(-{_HASH}|-{_SCHEDULED})?-{_RANDOM}$|-\d+$")


def workload_name(cgroup: str, root: Path = Path("/")) -> str:
    """Name of the workload that a cgroup belongs to.

    Args:
        cgroup: its path below the cgroup2 mount.
        root: folder under which the container managers' files are looked up.
    """
    if container := container_of(cgroup, root):
        return container.name or container.short_id
    parts = [p for p in cgroup.split("/") if p]
    return _printable("/".join(_unit_parts(parts)) or cgroup)


def container_of(cgroup: str, root: Path = Path("/")) -> Container | None:
    """The container that a cgroup belongs to, with the name that its manager left on disk.

    Args:
        cgroup: its path below the cgroup2 mount.
        root: as in :func:`workload_name`.
    """
    identity = container_id(cgroup)
    return Container(identity, _printable(_container_name(identity, root))) if identity else None


def pod_owner(pod: str) -> str:
    """What created a Kubernetes pod, so that its replicas have one name.

    Pods carry the name of their owner and a suffix that the kind of owner decides: a Deployment
    appends the hash of its ReplicaSet and five random letters, a CronJob the scheduled minute and
    five letters, a DaemonSet or Job five letters, a StatefulSet a number.  The random letters are
    drawn from an alphabet without vowels, so that ordinary words are not taken for them.  A pod
    that somebody named in such a way by hand loses the end of its name too.
    """
    return _POD_SUFFIX.sub("", pod) or pod


def _unit_parts(parts: list[str]) -> Iterator[str]:
    """The path without the slices above a unit: they only sort units, whose names are unique."""
    units = [position for position, part in enumerate(parts) if _UNIT.search(part)]
    for position, part in enumerate(parts):
        if part.endswith(".slice") and units and position < units[-1]:
            continue
        yield _INSTANCE.sub(r"\g<template>\g<kind>", part)


def _container_name(identity: str, root: Path) -> str:
    """Name of a container by what its manager left on disk; empty where it left nothing."""
    annotations: dict[str, str] = {}
    for pattern in _ANNOTATIONS_FILES:
        for file in root.glob(pattern.format(id=identity)):
            annotations |= _annotations(_read_json(file))
    for keys in _KUBERNETES_KEYS:
        namespace, pod, container = map(annotations.get, keys)
        if namespace and pod:
            # A pod's own sandbox has no container name in containerd's annotations.
            return f"{namespace}/{pod_owner(pod)}/{container or 'pause'}"
    return (
        annotations.get(_NAME_KEY) or _docker_name(identity, root) or _storage_name(identity, root)
    )


def _annotations(document: object) -> dict[str, str]:
    """Annotations of an OCI ``config.json`` or of runc's ``state.json``."""
    labels = _list(_mapping(_mapping(document).get("config")).get("labels"))
    pairs = (label.partition("=") for label in labels if isinstance(label, str))
    annotations: dict[str, object] = {key: value for key, _, value in pairs}
    annotations |= _mapping(_mapping(document).get("annotations"))
    return {key: name for key, value in annotations.items() if (name := _name(value))}


def _docker_name(identity: str, root: Path) -> str:
    document = _read_json(root / _DOCKER_FILE.format(id=identity))
    return _name(_mapping(document).get("Name")).removeprefix("/")


def _storage_name(identity: str, root: Path) -> str:
    for parent in ("var/lib", "run"):
        for file in root.glob(_STORAGE_FILES.format(parent=parent)):
            for container in map(_mapping, _list(_read_json(file))):
                names = _list(container.get("names"))
                if container.get("id") == identity and names:
                    return _name(names[0])
    return ""


def _read_json(file: Path) -> object:
    """A JSON document, or nothing.

    A name is a comfort: a file that is missing, ours not to read or half-written must not keep a
    workload from being watched.
    """
    try:
        return json.loads(read_file(file, _MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return None


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _name(value: object) -> str:
    """The value if it is a name, else nothing: who starts a container may choose it."""
    return value if isinstance(value, str) and len(value) <= _MAX_NAME else ""


def _printable(name: str) -> str:
    """The name with what no terminal or file should be given replaced by question marks."""
    return "".join(c if c.isprintable() else "?" for c in name)
