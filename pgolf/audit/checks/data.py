"""The dataset that a record trained on, where its manifest lies in the folder."""

import json

from pgolf.audit.checks.review import Findings, Review
from pgolf.evidence.run import Evidence
from pgolf.tracks import MOST_SHARED

MANIFESTS = ("dataset.json", "manifest.json")  # ours is written as the first


def train_val_disjoint(review: Review, findings: Findings) -> str:
    """No validation document is a training document, as the dataset's manifest counted them."""
    name = next((n for n in MANIFESTS if n in review.entry.sizes), None)
    if name is None:
        findings.unknown("there is no manifest of the dataset (dataset.json), and no log says")
        return ""
    try:
        text = (review.entry.path / name).read_text()
        content = json.loads(text)
        documents, shared = int(content["val_documents"]), int(content["val_documents_in_train"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        findings.unknown(f"{name} does not count the validation documents in training ({e!r})", Evidence(name, 1))
        return ""
    lines = (i for i, line in enumerate(text.splitlines(), start=1) if '"val_documents_in_train"' in line)
    at = Evidence(name, next(lines, 1))
    findings.show(at)
    if shared:
        said = f"{shared:,} of {documents:,} validation documents are training documents, too"
        findings.add("fail" if shared > MOST_SHARED * documents else "warn", said, at)
    return f"none of {documents:,} validation documents is a training document"
