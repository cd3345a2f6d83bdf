"""What only the user may say: where the API key goes, and which of their files are offered or written to.

A `pods.toml` may be a stranger's, cloned with a program. One in the user's own config folder is not.
"""

import os
from pathlib import Path

import httpx

from pgolf.errors import BadInput

CONFIG = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "pgolf"
API = "https://rest.runpod.io/v1"
API_VARIABLE = "PGOLF_RUNPOD_API"
OWN_HOSTS = ("rest.runpod.io", "api.runpod.io")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def is_own(file: Path) -> bool:
    """Whether a file lies in the user's own config folder."""
    return file.resolve().is_relative_to(CONFIG.resolve())


def check_address(api: str, where: str = "RunPod's API") -> httpx.URL:
    """The address of an API that a key may go to; BadInput, which begins with `where`, unless by https or to loopback.

    Examples
    --------
    >>> check_address("https://rest.runpod.io/v1").host
    'rest.runpod.io'
    """
    shown = f"{where}: {ascii(api)[:200]}"
    try:
        url = httpx.URL(api)
    except httpx.InvalidURL as e:
        raise BadInput(f"{shown}: not an address: {e}") from None
    if not url.host or (url.port or 0) > 65535 or url.userinfo or url.query or url.fragment:
        raise BadInput(f"{shown}: give a plain address, as {API}")
    if url.scheme != "https" and not (url.scheme == "http" and url.host in LOOPBACK):
        raise BadInput(f"{shown}: the API key goes over https only; give an address that begins with https://")
    return url


def address_of_api(file: Path | None, entry: str | None) -> str:
    """The address that the API key goes to: that of the environment, else the `entry` of `file`, else RunPod's.

    Raises
    ------
    BadInput : no address for a key; or an entry that leads elsewhere than to RunPod or this machine, in a file that
        may be a stranger's, and that the environment does not name too.
    """
    named = os.environ.get(API_VARIABLE)
    known = check_address(named, API_VARIABLE) if named else None
    if file and entry is not None:
        url = check_address(entry, f"{file}: runpod.api")
        if not (url == known or url.host in (*OWN_HOSTS, *LOOPBACK) or is_own(file)):
            raise BadInput(
                f"{file}: runpod.api: {ascii(entry)[:200]} is not RunPod, and your API key would go there; if you mean "
                f"that, set {API_VARIABLE} to the same address, or move the file to {CONFIG / 'pods.toml'}"
            )
    return named or entry or API


def check_path(file: Path, entry: str, path: Path, written: bool) -> None:
    """BadInput if `file`, maybe a stranger's, names a file of the user's elsewhere: to offer a key, or to write to.

    Allowed are its own folder, the config folder, and for what is not `written` ~/.ssh.
    """
    places = [file.parent, CONFIG, *([] if written else [Path.home() / ".ssh"])]
    if not (is_own(file) or any(path.is_relative_to(place.resolve()) for place in places)):
        raise BadInput(
            f"{file}: {entry}: {path} lies neither beside that file nor in {' or '.join(map(str, places[1:]))}; if you "
            f"mean it, move the file to {CONFIG / 'pods.toml'}, which may name any"
        )
