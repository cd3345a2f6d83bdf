"""manifest.json: what a record's folder holds, with SHA-256, so that what is reused is what was made; what it cost."""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pgolf.errors import BadInput, RunFailed
from pgolf.files import write_json
from pgolf.untrusted import Untrusted, hash_file, read_json

MANIFEST = "manifest.json"
MOST_BYTES, MOST_HASHED = 1 << 26, 1 << 40  # of the manifest, of a file that it lists
_writing = threading.Lock()  # seeds that end at the same time; other processes are kept out by the record's lock


def read_manifest(record: Path) -> dict[str, str]:
    """SHA-256 by path relative to the record's folder; empty if nothing is listed yet; BadInput if it is none."""
    return dict(_read(record).get("files", {}))


def _read(record: Path) -> dict[str, Any]:
    path = record / MANIFEST
    content = read_json(path, MOST_BYTES, record) if os.path.lexists(path) else {}
    tables = [content.get(key, {}) for key in ("files", "machines")] if isinstance(content, dict) else [None]
    if not all(isinstance(table, dict) for table in tables):
        raise BadInput(f"{path}: not the manifest of a record; put it back as pgolf wrote it, or start anew")
    return content


def list_files(record: Path, folder: Path, hashes: Mapping[str, str]) -> None:
    """Put the files of `folder`, a folder inside the record's, into the manifest in place of what it said of them."""
    prefix = "" if folder == record else folder.relative_to(record).as_posix() + "/"
    with _writing:
        kept = {k: v for k, v in read_manifest(record).items() if not prefix or not k.startswith(prefix)}
        files = kept | {prefix + name: sha256 for name, sha256 in hashes.items()}
        write_json(record / MANIFEST, {**_read(record), "files": dict(sorted(files.items()))})


def list_pods(record: Path, bills: Sequence[Mapping[str, Any]]) -> None:
    """Put what rented pods have cost into the manifest: a row a pod (`pgolf.pods.money.bills`), and the sum."""
    with _writing:
        cost = round(sum(row["cost"] for row in bills), 4)
        write_json(record / MANIFEST, {**_read(record), "pods": list(bills), "cost": cost})


def list_machines(record: Path, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Put what machines are and which versions ran there into the manifest, by the name that a seed's pod.json has."""
    with _writing:
        kept = _read(record)
        write_json(record / MANIFEST, {**kept, "machines": {**kept.get("machines", {}), **found}})


def read_versions(record: Path, machine: str) -> dict[str, str]:
    """The versions by name that the manifest has of a machine; empty where it has none."""
    found = _read(record).get("machines", {}).get(machine)
    versions = found.get("versions") if isinstance(found, dict) else None
    return {name: str(version) for name, version in versions.items()} if isinstance(versions, dict) else {}


def check_files(record: Path, folder: Path) -> None:
    """RunFailed if a file that the manifest lists under `folder` is missing or was changed since."""
    prefix = folder.relative_to(record).as_posix() + "/"
    for name, sha256 in read_manifest(record).items():
        if not name.startswith(prefix):
            continue
        if not os.path.lexists(record / name):
            raise RunFailed(
                f"{record / name} is listed in the manifest and gone; a record is not patched up: start anew"
            )
        try:
            found = hash_file(record / name, MOST_HASHED, record)
        except Untrusted as e:
            raise RunFailed(f"{e}; the manifest lists it, and a record is not patched up: start anew") from None
        if found != sha256:
            raise RunFailed(f"{record / name} was changed after it was made (its SHA-256 is not the manifest's)")
