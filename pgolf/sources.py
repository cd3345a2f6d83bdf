"""Where a dataset's files can be fetched from: a commit of a repository on the hub, or a folder behind https.

A dataset's manifest keeps it, so that a pod fetches for itself what would else be sent to it:

    "source": {"url": "hf://owner/name@<40 hex digits>", "paths": {"datasets/…/fineweb_val_000000.bin": "val_0.bin"}}
    "source": {"url": "https://host/folder/"}

`paths` has a file's path there by its path in the dataset's folder; a file that it does not name has the same path. The
SHA-256 of each file is in the manifest's own `files`: a source may be anyone's, since what it serves is compared.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from pgolf.errors import BadInput
from pgolf.files import stays_inside

URL_MOST = 1000  # characters
REPOSITORY = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,95}/)?[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
ON_HUB = re.compile(rf"hf://({REPOSITORY.pattern})@([0-9a-f]{{40}})")
# an own machine may do without TLS; no name, password or query: they would be kept in the manifest
WEB = r"(?:https://[A-Za-z0-9.-]+|http://(?:127\.0\.0\.1|localhost))(?::[0-9]{1,5})?"
WEB_FOLDER = re.compile(rf"{WEB}/(?:(?!\.\.?/)[A-Za-z0-9._~%+-]+/)*")
WEB_ADDRESS = re.compile(rf"{WEB}/")  # how an address begins
ENDPOINT = re.compile(rf"{WEB}(?:/[A-Za-z0-9._~-]+)*/?")


@dataclass(frozen=True)
class Source:
    """Where files lie: `url`, and their paths there by their paths in the dataset's folder, where those differ.

    Raises
    ------
    BadInput : the URL has another form, or a path leads out of the repository or the folder.
    """

    url: str
    paths: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.url) > URL_MOST or not (ON_HUB.fullmatch(self.url) or WEB_FOLDER.fullmatch(self.url)):
            raise BadInput(
                f"source {self.url[:200]!r}: give hf://owner/name@commit (40 hex digits) or https://host/folder/"
            )
        for path in (*self.paths, *self.paths.values()):
            if not stays_inside(path):
                raise BadInput(f"source {self.url}: {path[:200]!r} is no plain relative path of a file")

    @property
    def repository(self) -> tuple[str, str] | None:
        """Repository and commit on the hub; None: it is a folder behind https."""
        match = ON_HUB.fullmatch(self.url)
        return (match[1], match[2]) if match else None

    def path_of(self, name: str) -> str:
        """The path there of the dataset's file `name`."""
        return self.paths.get(name, name)

    def url_of(self, name: str) -> str:
        """The address of a file of a folder behind https."""
        return self.url + quote(self.path_of(name))

    def as_json(self) -> dict[str, Any]:
        """As a manifest keeps it."""
        return {"url": self.url} | ({"paths": dict(self.paths)} if self.paths else {})


def parse_source(value: Any, files: Collection[str], where: str) -> Source:
    """The source in a stranger's manifest, of these files; BadInput, beginning with `where`, if it has another form.

    >>> parse_source({"url": "hf://me/text@" + 40 * "0", "paths": {"a.bin": "x/a.bin"}}, {"a.bin"}, "m.json").paths
    {'a.bin': 'x/a.bin'}
    """
    if not (isinstance(value, dict) and {"url"} <= value.keys() <= {"url", "paths"}):
        raise BadInput(f"{where}: source: give its url and, where they differ, the paths of the files there")
    url, paths = value["url"], value.get("paths", {})
    if not (isinstance(url, str) and isinstance(paths, dict)):
        raise BadInput(f"{where}: source: its url must be a text, and its paths a table")
    if not (paths.keys() <= set(files) and all(isinstance(path, str) for path in paths.values())):
        raise BadInput(f"{where}: source: its paths must be texts, by the names of the dataset's files")
    try:
        return Source(url, paths)
    except BadInput as e:
        raise BadInput(f"{where}: {e}") from None
