"""`pgolf data fineweb`: shards and tokenizer of somebody's dataset on the hub, resumable, in parallel, verified.

huggingface_hub downloads, resumes, retries, and knows the token (HF_TOKEN, or a login) and the endpoint (HF_ENDPOINT).
This module chooses the files and checks them: size and SHA-256 of each against the repository's, headers, tokens, and
that both splits are disjoint. The dataset gets its name only when every check has passed.
"""

import os
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pgolf.data.dataset import Dataset, open_dataset
from pgolf.data.present import MANIFEST
from pgolf.data.tokenize import exclusively
from pgolf.errors import BadInput, RunFailed
from pgolf.files import sha256_file, write_json
from pgolf.sources import Source
from pgolf.trainer.config import Config
from pgolf.trainer.data import DataError, open_shard

SHARD = re.compile(r"fineweb_(train|val|val_bytes)_(\d+)\.bin")

Progress = Callable[[str, int, int], None]  # what is being done, done, total


@dataclass(frozen=True)
class Remote:
    """A file of the repository. `sha256` is None for a file outside large-file storage; `git_sha1` is git's name."""

    path: str
    size: int
    sha256: str | None
    git_sha1: str | None = None

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


def fetch(
    repo: str,
    variant: str,
    out: Path,
    *,
    train_shards: int | None = None,
    revision: str = "main",
    tokenizer: str | None = None,
    workers: int = 8,
    endpoint: str | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Dataset:
    """Bring the dataset `variant` of a repository to `out`, or check the one that is there.

    Parameters
    ----------
    repo : the repository, as in owner/name.
    variant : sp8192, or another whose folder there is fineweb10B_<variant>; begins with sp and the vocabulary's size.
    train_shards : number of training shards, from the first on; default: all.
    revision : a branch, tag or commit.
    tokenizer : path of the tokenizer in the repository, if it has several.
    workers : files at the same time.
    endpoint : address of the hub; default: huggingface_hub's own setting.

    Raises
    ------
    BadInput : no such repository, revision, variant or shard; another dataset in `out`.
    RunFailed : a file that is not what the repository says, or a network that stays down.
    """
    vocab_size = vocabulary_of(variant)
    commit, files = list_files(repo, revision, endpoint)
    shards, model = choose(files, variant, vocab_size, train_shards, tokenizer)
    with exclusively(out):
        if out.exists():
            return _check_made(out, vocab_size, [*shards, model], progress)
        scratch = out.with_name(f".{out.name}.partial")
        made = scratch / f"{variant}-{train_shards or 'all'}-{commit}"
        layout = Config(data_dir=str(made), vocab_size=vocab_size)
        places = {shard: Path(layout.datasets_dir) / shard.name for shard in shards}
        places[model] = Path(layout.tokenizer_path)
        paths = {place.relative_to(made).as_posix(): file.path for file, place in places.items()}
        source = Source(f"hf://{repo}@{commit}", paths)
        missing = {file: place for file, place in places.items() if not place.exists()}
        _download(repo, commit, missing, scratch / "hub", workers, endpoint, progress)
        progress("checking", 0, 1)
        try:
            dataset = open_dataset(made, vocab_size, progress)
        except BadInput as e:
            raise RunFailed(f"{repo} at {commit[:12]}: {e}") from None
        dataset = replace(dataset, name=out.name, data_dir=out.resolve(), reused=False)
        fetched = {"repository": repo, "revision": commit, "variant": variant}
        write_json(made / MANIFEST, dataset.facts() | {"fetched_from": fetched, "source": source.as_json()})
        os.replace(made, out)
        shutil.rmtree(scratch)
    return dataset


def vocabulary_of(variant: str) -> int:
    """The size of a variant's vocabulary; BadInput if its name does not say so, or is no folder's.

    >>> vocabulary_of("sp8192_caseops")
    8192
    """
    match = re.fullmatch(r"sp(\d{1,6})[\w.-]{0,80}", variant)
    if not match:
        raise BadInput(f"--variant {variant}: must begin with sp and the size of the vocabulary, as in sp8192")
    return int(match[1])


def model_of(variant: str) -> str:
    """Where `pgolf data upload` puts a variant's tokenizer: two of one size do not get into each other's way.

    >>> model_of("sp512"), model_of("sp512_mine")
    ('tokenizers/fineweb_512_bpe.model', 'tokenizers/fineweb_512_bpe.sp512_mine.model')
    """
    size = vocabulary_of(variant)
    return f"tokenizers/fineweb_{size}_bpe{'' if variant == f'sp{size}' else f'.{variant}'}.model"


def list_files(repo: str, revision: str, endpoint: str | None = None) -> tuple[str, list[Remote]]:
    """The commit that a revision stands for, and its files. BadInput if it does not exist, or may not be seen."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.hf_api import RepoFile

    api = HfApi(endpoint=endpoint)
    try:
        commit = api.dataset_info(repo, revision=revision).sha
        tree = list(api.list_repo_tree(repo, repo_type="dataset", revision=commit, recursive=True))
    except (RepositoryNotFoundError, HFValidationError):
        raise BadInput(f"--repo {repo}: no such dataset repository, or HF_TOKEN has no right to it") from None
    except RevisionNotFoundError:
        raise BadInput(f"--revision {revision}: {repo} has no such revision") from None
    except Exception as e:  # the library's HTTP client raises many kinds, none of them the user's fault
        raise RunFailed(f"{repo} at {api.endpoint}: {short(e)}") from None
    files = [f for f in tree if isinstance(f, RepoFile)]
    return str(commit), [Remote(f.path, f.size, f.lfs.sha256 if f.lfs else None, f.blob_id) for f in files]


def choose(
    files: Sequence[Remote], variant: str, vocab_size: int, train_shards: int | None, tokenizer: str | None
) -> tuple[list[Remote], Remote]:
    """The shards of a variant, in order, and its tokenizer.

    BadInput if there are none, fewer training shards than asked for, a gap in the numbers, or several tokenizers.
    """
    folder = f"fineweb10B_{variant}"
    here = [f for f in files if PurePosixPath(f.path).parent.name == folder and SHARD.fullmatch(f.name)]
    if not here:
        found = sorted({PurePosixPath(f.path).parent.name for f in files if SHARD.fullmatch(f.name)})
        variants = ", ".join(name.removeprefix("fineweb10B_") for name in found) or "none"
        raise BadInput(f"--variant {variant}: not in this repository; there are: {variants}")
    shards = []
    for split in ("val", "val_bytes", "train"):
        numbered = {int(m[2]): f for f in here if (m := SHARD.fullmatch(f.name)) and m[1] == split}
        wanted = train_shards if split == "train" and train_shards is not None else len(numbered)
        if not wanted and split != "val_bytes":
            raise BadInput(f"--variant {variant}: no {split} shards")
        if missing := sorted(set(range(wanted)) - numbered.keys()):
            raise BadInput(
                f"--variant {variant}: {split} shard {missing[0]:06} is missing there; there are {len(numbered)}"
            )
        shards += [numbered[i] for i in range(wanted)]
    pattern = re.compile(rf"fineweb_{vocab_size}_bpe.*\.model")
    models = [f for f in files if (f.path == tokenizer if tokenizer else pattern.fullmatch(f.name))]
    models = [f for f in models if f.name == PurePosixPath(model_of(variant)).name] or models
    if len(models) != 1:
        which = ", ".join(f.path for f in models) or "none"
        raise BadInput(f"--tokenizer: exactly one tokenizer is needed, and the repository has: {which}")
    return shards, models[0]


def _download(
    repo: str,
    commit: str,
    places: dict[Remote, Path],
    folder: Path,
    workers: int,
    endpoint: str | None,
    progress: Progress,
) -> None:
    """Bring files to their places, each once it is verified; the first failure ends it, finished files are kept."""
    total = sum(f.size for f in places)
    done = 0
    progress("downloading", done, total)
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(_fetch_one, repo, commit, f, p, folder, endpoint): f for f, p in places.items()}
        try:
            for future in as_completed(futures):
                future.result()
                done += futures[future].size
                progress("downloading", done, total)
        finally:
            pool.shutdown(cancel_futures=True)


def _fetch_one(repo: str, commit: str, file: Remote, place: Path, folder: Path, endpoint: str | None) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]  # in its documentation

    disable_progress_bars()  # the command shows one of its own
    try:
        path = Path(
            hf_hub_download(repo, file.path, repo_type="dataset", revision=commit, local_dir=folder, endpoint=endpoint)
        )
    except Exception as e:  # from the library, its HTTP client or the disk
        raise RunFailed(f"{repo}: {file.path}: {short(e)}; the same command goes on from here") from None
    try:
        _verify(path, file)
    except RunFailed:
        path.unlink()  # so that a second try downloads it anew
        raise
    place.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, place)


def _verify(path: Path, file: Remote) -> None:
    size = path.stat().st_size
    if size != file.size:
        raise RunFailed(f"{file.path}: {size} bytes came, the repository says {file.size}")
    if file.sha256 and (sha256 := sha256_file(path)) != file.sha256:
        raise RunFailed(f"{file.path}: its SHA-256 is {sha256}, the repository says {file.sha256}")
    if path.suffix == ".bin":
        try:
            open_shard(path)
        except DataError as e:
            raise RunFailed(str(e)) from None


def _check_made(out: Path, vocab_size: int, wanted: Sequence[Remote], progress: Progress) -> Dataset:
    """The dataset in `out`, checked whole; BadInput if it does not hold these files."""
    dataset = open_dataset(out, vocab_size, progress)
    for file in wanted:
        known = (
            dataset.files.values()
            if file.name.endswith(".model")
            else [sha256 for name, sha256 in dataset.files.items() if name.endswith(f"/{file.name}")]
        )
        if file.sha256 and file.sha256 not in known:
            raise BadInput(f"--out {out}: holds a dataset without this {file.name}; name another folder")
    if len(dataset.files) != len(wanted):
        raise BadInput(f"--out {out}: holds {len(dataset.files)} files, {len(wanted)} are wanted; name another folder")
    return dataset


def short(error: Exception) -> str:
    """An error of the library in a line; its texts are long, and none of them holds a token."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"[:300]
