"""The dataset that a record trained on, where its manifest lies in the folder."""

from pgolf.audit.checks.review import Findings, Review
from pgolf.evidence.run import Evidence
from pgolf.tracks import MOST_SHARED
from pgolf.untrusted import Untrusted, parse_json, read_text

MOST_BYTES = 1 << 26  # of a manifest; one has a line a shard
MANIFESTS = ("dataset.json", "manifest.json")  # ours is written as the first


def train_val_disjoint(review: Review, findings: Findings) -> str:
    """No validation document is a training document, as the dataset's manifest counted them."""
    name = next((n for n in MANIFESTS if n in review.entry.sizes), None)
    if name is None:
        findings.unknown("there is no manifest of the dataset (dataset.json), and no log says")
        return ""
    try:
        text = read_text(review.entry.path / name, MOST_BYTES, review.entry.path)
        documents, shared = _counts(parse_json(text, name))
    except (Untrusted, ValueError) as e:
        findings.unknown(f"{name} does not count the validation documents in training ({e})", Evidence(name, 1))
        return ""
    lines = (i for i, line in enumerate(text.splitlines(), start=1) if '"val_documents_in_train"' in line)
    at = Evidence(name, next(lines, 1))
    findings.show(at)
    if shared:
        said = f"{shared:,} of {documents:,} validation documents are training documents, too"
        findings.add("fail" if shared > MOST_SHARED * documents else "warn", said, at)
    return f"none of {documents:,} validation documents is a training document"


def _counts(content: object) -> tuple[int, int]:
    """(validation documents, those of them in training) that a manifest gives."""
    found = content if isinstance(content, dict) else {}
    documents, shared = found.get("val_documents"), found.get("val_documents_in_train")
    if type(documents) is not int or type(shared) is not int or not 0 <= shared <= documents:
        raise ValueError("val_documents and val_documents_in_train are missing, or no counts")
    return documents, shared
