"""`pgolf data upload`: a dataset to the hub, in the form that `pgolf data fineweb` and pods fetch.

    datasets/fineweb10B_<variant>/fineweb_{train,val,val_bytes}_<NNNNNN>.bin, manifest.json
    tokenizers/fineweb_<V>_bpe[.<variant>].model

huggingface_hub uploads, retries, and knows the token (HF_TOKEN, or a login) and the endpoint (HF_ENDPOINT). Files are
committed in parts; a second call uploads only those that the repository lacks. The manifest goes last: a folder there
that has one is whole.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgolf.data.dataset import Dataset
from pgolf.data.fineweb import Progress, Remote, list_files, model_of, short, vocabulary_of
from pgolf.data.present import MANIFEST
from pgolf.data.source import keep_source, open_only
from pgolf.errors import BadInput, RunFailed
from pgolf.sources import Source

if TYPE_CHECKING:
    from huggingface_hub import HfApi

FOLDER = "fineweb10B_"
PART_BYTES, PART_FILES = 1 << 30, 50  # of one commit: a kill loses no more


@dataclass(frozen=True)
class Uploaded:
    """A dataset in a repository: `files` of them and their `bytes`; `sent` of the files were not there before."""

    repository: str
    revision: str
    variant: str
    files: int
    bytes: int
    sent: int

    def as_json(self) -> dict[str, Any]:
        """The content that `pgolf data upload --json` prints."""
        return asdict(self)


def upload(
    folder: Path,
    repo: str,
    *,
    variant: str | None = None,
    private: bool = False,
    workers: int = 8,
    endpoint: str | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Uploaded:
    """Bring the dataset in `folder` to a dataset repository of the hub, which is made if there is none.

    The dataset's own manifest keeps that as its source.

    Parameters
    ----------
    repo : the repository, as in owner/name.
    variant : its name there; default: sp and the size of the vocabulary.
    private : make the repository private; one that exists must be private, then.
    workers : files at the same time.
    endpoint : address of the hub; default: huggingface_hub's own setting.

    Raises
    ------
    BadInput : no valid dataset; a repository that may not be written to, is public, or has other files by these names.
    RunFailed : a network that stays down, or a hub that fails.
    """
    progress("checking", 0, 1)
    dataset = open_only(folder, progress)
    variant = variant or f"sp{dataset.vocab_size}"
    if vocabulary_of(variant) != dataset.vocab_size:
        raise BadInput(f"--variant {variant}: the dataset's vocabulary has {dataset.vocab_size} tokens")
    api = _repository(repo, private, endpoint)
    wanted = {place(name, variant): name for name in dataset.files}
    _, there = list_files(repo, "main", endpoint)
    missing = lacking(wanted, dataset, there)
    sizes = {path: (dataset.data_dir / name).stat().st_size for path, name in wanted.items()}
    total = sum(sizes[path] for path in missing)
    progress("uploading", 0, total)
    done = 0
    for part in parts(missing, sizes):
        _commit(api, repo, {path: dataset.data_dir / wanted[path] for path in part}, f"{variant}: shards", workers)
        done += sum(sizes[path] for path in part)
        progress("uploading", done, total)
    manifest = json.dumps(dataset.facts(), indent=2).encode() + b"\n"
    if not any(f.path == place(MANIFEST, variant) and f.git_sha1 == git_sha1(manifest) for f in there):
        _commit(api, repo, {place(MANIFEST, variant): manifest}, f"{variant}: whole", workers)
    commit, there = list_files(repo, "main", endpoint)
    if left := lacking(wanted, dataset, there):
        raise RunFailed(f"{repo}: has no {left[0]} after it was uploaded; the same command goes on from here")
    keep_source(dataset, Source(f"hf://{repo}@{commit}", {name: path for path, name in wanted.items()}))
    return Uploaded(repo, commit, variant, len(wanted), sum(sizes.values()), len(missing))


def place(name: str, variant: str) -> str:
    """Where a file of a dataset lies in the repository.

    >>> place("datasets/fineweb10B_sp512/fineweb_val_000000.bin", "sp512_mine")
    'datasets/fineweb10B_sp512_mine/fineweb_val_000000.bin'
    """
    return model_of(variant) if name.startswith("tokenizers/") else f"datasets/{FOLDER}{variant}/{Path(name).name}"


def lacking(wanted: Mapping[str, str], dataset: Dataset, there: Sequence[Remote]) -> list[str]:
    """The paths that a repository lacks; BadInput if it has another file in place of one."""
    known = {f.path: f for f in there}
    for path, name in wanted.items():
        file = known.get(path)
        same = file is None or (
            file.sha256 == dataset.files[name]
            if file.sha256
            else file.git_sha1 == git_sha1((dataset.data_dir / name).read_bytes())
        )
        if not same:
            raise BadInput(f"{path}: the repository has another one; name a --variant of its own, as in sp512_b")
    return [path for path in wanted if path not in known]


def parts(paths: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """The files of each commit."""
    part: list[str] = []
    for path in paths:
        if part and (len(part) == PART_FILES or sum(sizes[p] for p in part) + sizes[path] > PART_BYTES):
            yield part
            part = []
        part.append(path)
    if part:
        yield part


def git_sha1(content: bytes) -> str:
    """The name that git has for a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _repository(repo: str, private: bool, endpoint: str | None) -> "HfApi":
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi(endpoint=endpoint)
    try:
        api.create_repo(repo, repo_type="dataset", private=private or None, exist_ok=True)
        public = not api.dataset_info(repo).private
    except HFValidationError as e:
        raise BadInput(f"--repo {repo}: not a repository's name, as in owner/name: {short(e)}") from None
    except HfHubHTTPError as e:
        if e.response.status_code in (401, 403, 404):
            raise BadInput(f"--repo {repo}: HF_TOKEN is missing, or has no right to write there") from None
        raise RunFailed(f"{repo} at {api.endpoint}: {short(e)}") from None
    except Exception as e:  # the library's HTTP client raises many kinds, none of them the user's fault
        raise RunFailed(f"{repo} at {api.endpoint}: {short(e)}") from None
    if private and public:
        raise BadInput(f"--private: {repo} is public; make it private there, or name another repository")
    return api


def _commit(api: "HfApi", repo: str, content: Mapping[str, Path | bytes], message: str, workers: int) -> None:
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]  # in its documentation

    disable_progress_bars()  # the command shows one of its own
    added = [CommitOperationAdd(path, str(c) if isinstance(c, Path) else c) for path, c in content.items()]
    try:
        api.create_commit(repo, added, commit_message=message, repo_type="dataset", num_threads=workers)
    except Exception as e:  # from the library, its HTTP client or the disk
        raise RunFailed(f"{repo}: {next(iter(content))}: {short(e)}; the same command goes on from here") from None
