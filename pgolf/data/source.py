"""`pgolf data source`: where a dataset's files can be fetched from, compared before it is kept in the manifest.

Pods fetch from there. Neither the dataset's hash nor a record's id depends on it.
"""

import re
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from pgolf.data.dataset import Dataset, open_dataset
from pgolf.data.fineweb import Progress, Remote, list_files
from pgolf.data.present import MANIFEST
from pgolf.errors import BadInput, RunFailed
from pgolf.files import sha256_file, write_json
from pgolf.sources import REPOSITORY, WEB_ADDRESS, Source, parse_source
from pgolf.untrusted import parse_json, read_json

MANIFEST_MOST = 16 << 20  # bytes
TIMEOUT_S = 30.0
GIVEN = re.compile(rf"hf://({REPOSITORY.pattern})(?:@([^@\s]{{1,200}}))?")


def read_source(dataset: Dataset) -> Source | None:
    """The source in a dataset's manifest; None if it has none. BadInput if it has another form."""
    source = manifest_of(dataset.data_dir).get("source")
    return None if source is None else parse_source(source, dataset.files, str(dataset.data_dir / MANIFEST))


def keep_source(dataset: Dataset, source: Source) -> None:
    """Put the source into the dataset's manifest, which is made if it is missing."""
    kept = manifest_of(dataset.data_dir) or dataset.facts()
    write_json(dataset.data_dir / MANIFEST, kept | {"source": source.as_json()})


def keep_document_start(data_dir: Path, token: int) -> Dataset:
    """Put the token that begins a document into the manifest of the only dataset in a folder, once both splits have it;
    BadInput if one does not."""
    dataset = open_only(data_dir, document_start=token)
    write_json(dataset.data_dir / MANIFEST, manifest_of(dataset.data_dir) | dataset.facts())
    return dataset


def open_only(
    data_dir: Path,
    progress: Progress = lambda what, done, total: None,
    document_start: int | None = None,
) -> Dataset:
    """Check the only dataset in a folder; BadInput if there are several, or none."""
    there = [re.fullmatch(r"fineweb10B_sp(\d{1,7})", path.name) for path in data_dir.glob("datasets/fineweb10B_sp*")]
    sizes = [int(match[1]) for match in there if match]
    if len(sizes) != 1:
        raise BadInput(
            f"{data_dir}: has {len(sizes)} datasets, datasets/fineweb10B_sp<V>; give a folder that has exactly one"
        )
    return open_dataset(data_dir, sizes[0], progress, document_start)


def find_source(dataset: Dataset, url: str, endpoint: str | None = None) -> Source:
    """The source behind `url`, once it is known to list every file of the dataset with the hash that it has here.

    Parameters
    ----------
    url : hf://owner/name, with @revision (a branch, tag or commit; default: main), or https://host/folder/ with the
        files by the paths that they have here, and a manifest.json.
    endpoint : address of the hub; default: huggingface_hub's own setting.

    Raises
    ------
    BadInput : another form, no such repository or revision, or a file that is not there as it is here.
    RunFailed : no answer.
    """
    match = GIVEN.fullmatch(url)
    if not match:
        _compare(dataset, Source(url))
        return Source(url)
    repo = match[1]
    try:
        commit, files = list_files(repo, match[2] or "main", endpoint)
    except BadInput as e:
        raise BadInput(f"{url}: {str(e).partition(': ')[2]}") from None
    paths = {}
    for name, sha256 in dataset.files.items():
        found = [file.path for file in files if file.sha256 == sha256] or [
            file.path for file in files if _small_is(file, dataset.data_dir / name, sha256, repo, commit, endpoint)
        ]
        if not found:
            raise BadInput(f"{url}: has no file with the SHA-256 of {name}, {sha256}; upload it, or name another place")
        paths[name] = min(found, key=lambda path: (PurePosixPath(path).name != PurePosixPath(name).name, path))
    return Source(f"hf://{repo}@{commit}", paths)


def _small_is(file: Remote, here: Path, sha256: str, repo: str, commit: str, endpoint: str | None) -> bool:
    """Whether a file outside large-file storage, which has no SHA-256 there, is the one here: its bytes are looked
    at."""
    if file.sha256 or file.name != here.name or file.size != here.stat().st_size:
        return False
    from huggingface_hub import hf_hub_download

    with TemporaryDirectory() as folder:
        try:
            path = hf_hub_download(
                repo, file.path, repo_type="dataset", revision=commit, local_dir=folder, endpoint=endpoint
            )
        except Exception as e:  # from the library, its HTTP client or the disk
            raise RunFailed(f"{repo}: {file.path}: {type(e).__name__}: {e}"[:300]) from None
        return sha256_file(Path(path)) == sha256


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Follow to addresses of the same kind only: https, or this machine."""
        if not WEB_ADDRESS.match(newurl):
            raise urllib.error.HTTPError(newurl[:200], code, "leads away from https", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _compare(dataset: Dataset, source: Source) -> None:
    """BadInput if the manifest in a folder behind https does not list every file of the dataset as it is here."""
    try:
        with urllib.request.build_opener(_NoRedirects).open(source.url + MANIFEST, timeout=TIMEOUT_S) as reply:
            text = reply.read(MANIFEST_MOST + 1)
    except (OSError, ValueError) as e:
        raise RunFailed(f"{source.url}{MANIFEST}: {e}"[:300]) from None
    where = source.url + MANIFEST
    if len(text) > MANIFEST_MOST:
        raise BadInput(f"{where}: has more than {MANIFEST_MOST:,} bytes, which no dataset's manifest has")
    listed = _table(parse_json(text, where), where).get("files")
    if not isinstance(listed, dict):
        raise BadInput(f"{where}: lists no files; put the dataset's own {MANIFEST} there")
    for name, sha256 in dataset.files.items():
        if listed.get(name) != sha256:
            raise BadInput(f"{where}: {name} is {listed.get(name, 'missing')!r:.80}, here {sha256}")


def manifest_of(folder: Path) -> dict[str, Any]:
    """The content of a dataset's manifest; {} if it has none."""
    path = folder / MANIFEST
    return _table(read_json(path, MANIFEST_MOST), str(path)) if path.exists() else {}


def _table(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise BadInput(f"{where}: not a dataset's manifest: no table")
    return content
