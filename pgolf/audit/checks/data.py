"""The dataset that a record trained on, where its manifest lies in the folder."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pgolf.audit.checks.review import Findings, Review
from pgolf.evidence.run import Evidence
from pgolf.tracks import MOST_SHARED, too_many_near
from pgolf.untrusted import Untrusted, parse_json, read_text

MOST_BYTES = 1 << 26  # of a manifest; one has a line a shard
MANIFESTS = ("dataset.json", "manifest.json")  # ours is written as the first


class Shared(NamedTuple):
    """Validation documents in the training text, as a manifest counts them; an older one counts exact ones alone."""

    documents: int
    exact: int  # token for token
    near: tuple[int, int, int] | None  # exactly or nearly; training documents compared, and in the rest of training

    @property
    def too_many(self) -> bool:
        """Whether no score on this split means anything."""
        several = self.near is not None and too_many_near(self.documents, *self.near)
        return several or self.exact > MOST_SHARED * self.documents

    @property
    def said(self) -> str:
        """How many are nearly there, in words."""
        if self.near is None:
            return "its manifest counts no documents that are nearly there"
        near, compared, compared_near = self.near
        return (
            f"{near:,} are in the training text exactly or nearly; {compared_near:,} of {compared:,} training "
            "documents are in the rest of it"
        )


def train_val_disjoint(review: Review, findings: Findings) -> str:
    """No validation document is a training document, as the dataset's manifest counted them."""
    name = next((n for n in MANIFESTS if n in review.entry.sizes), None)
    if name is None:
        findings.unknown("there is no manifest of the dataset (dataset.json), and no log says")
        return ""
    try:
        text = read_text(review.entry.path / name, MOST_BYTES, review.entry.path)
        shared = shared_of(parse_json(text, name))
    except (Untrusted, ValueError) as e:
        findings.unknown(f"{name} does not count the validation documents in training ({e})", Evidence(name, 1))
        return ""
    wanted = '"val_documents_near_train"' if shared.too_many and not shared.exact else '"val_documents_in_train"'
    lines = (i for i, line in enumerate(text.splitlines(), start=1) if wanted in line)
    at = Evidence(name, next(lines, 1))
    findings.show(at)
    if shared.exact or shared.too_many:
        said = f"{shared.exact:,} of {shared.documents:,} validation documents are training documents, too"
        findings.add("fail" if shared.too_many else "warn", f"{said}; {shared.said}", at)
    return f"none of {shared.documents:,} validation documents is a training document; {shared.said}"


def shared_of(manifest: object) -> Shared:
    """The counts of a manifest; ValueError if they are missing, or no counts."""
    found: Mapping[str, Any] = manifest if isinstance(manifest, Mapping) else {}
    documents, exact = found.get("val_documents"), found.get("val_documents_in_train")
    if type(documents) is not int or type(exact) is not int or not 0 <= exact <= documents:
        raise ValueError("val_documents and val_documents_in_train are missing, or no counts")
    names = "val_documents_near_train", "train_documents_compared", "train_documents_near_train"
    near, compared, compared_near = (found.get(name) for name in names)
    if near is compared is compared_near is None:
        return Shared(documents, exact, None)
    if type(near) is not int or type(compared) is not int or type(compared_near) is not int:
        raise ValueError(f"{', '.join(names)} are no counts")
    if not (exact <= near <= documents and 0 <= compared_near <= compared):
        raise ValueError(f"{', '.join(names)} do not fit together")
    return Shared(documents, exact, (near, compared, compared_near))
