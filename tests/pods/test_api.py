"""RunPod's API as it should not be: hostile, broken and slow replies, and where the account's key goes."""

import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from fakes.account import MISSING, OPENAPI, FakeRunpod
from fakes.runpod_api import MANGLED, REFUSED
from fakes.sshd import MISSING as NO_SSHD
from fakes.sshd import SSHD
from typer.testing import CliRunner

from pgolf.cli import app
from pgolf.errors import BadInput, RunFailed
from pgolf.pods import allowed, settings
from pgolf.pods.http import REPLY_MOST
from pgolf.pods.reap import find, reap
from pgolf.pods.runpod import ApiError, Denied, NoCapacity, Runpod
from pgolf.pods.settings import Rent, read_settings

KEY = "key-4e1c"
POD = {"id": "abc123", "name": "pgolf.me.r.pod-1.0", "desiredStatus": "RUNNING", "costPerHr": 21.5}
Said = bytes | Iterable[bytes]


class Says:
    """A server that answers each request with what `answer` makes of its method and path, byte by byte."""

    def __init__(self, answer: Callable[[str, str], Said]) -> None:
        self.answer, self.asked, self.heads = answer, [], []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}/v1"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self.one, args=[self.listening.accept()[0]], daemon=True).start()

    def one(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (block := connection.recv(1 << 16)):
                    return
                head += block
            head, _, body = head.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            while length and len(body) < int(length[1]):  # else it is a connection that is reset
                body += connection.recv(1 << 16)
            method, path, _ = head.decode().split(" ", 2)
            self.heads.append(head.decode())
            self.asked.append(f"{method} {path.removeprefix('/v1')}")
            said = self.answer(method, path.removeprefix("/v1"))
            for block in [said] if isinstance(said, bytes) else said:
                connection.sendall(block)

    def close(self) -> None:
        self.listening.close()


def reply(body: Any, code: int = 200, *headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {code} X", f"content-length: {len(data)}", "connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + data


def dripping(block: bytes, first: bytes = b"", pause_s: float = 0.05) -> Iterator[bytes]:
    yield first
    while True:
        yield block
        time.sleep(pause_s)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"


@pytest.fixture
def says() -> Iterator[Callable[..., tuple[Says, Runpod]]]:
    """Makes a server, and the API as its client."""
    running: list[Says | Runpod] = []

    def made(answer: Callable[[str, str], Said], patience_s: float = 0.2, timeout_s: float = 10.0):
        server = Says(answer)
        api = Runpod(server.url, KEY, patience_s, timeout_s)
        running.extend([server, api])
        return server, api

    yield made
    for each in running:
        each.close()


def created(api: Runpod) -> Any:
    return api.create("pgolf.me.r.pod-1.0", Rent(), 8, {}, ["sleep", "1"])


CALLS = {
    "GET /pods/abc123": lambda api: api.get("abc123"),
    "GET /pods": lambda api: api.find(),
    "DELETE /pods/abc123": lambda api: api.delete("abc123"),
    "POST /pods": created,
}
BROKEN: dict[str, tuple[Callable[[], Said], str]] = {
    "a web page": (lambda: reply(b"<!doctype html><b>Sign in</b>"), "200: not JSON, but a web page"),
    "empty": (lambda: reply(b""), "200: not JSON"),
    "a redirect": (lambda: reply(b"", 302, "location: http://127.0.0.1:9/"), "302: a redirect"),
    "a redirect without a place": (lambda: reply(b"", 301), "301: a redirect"),
    "half": (lambda: reply(b'[{"id": "abc123", "na'), "200: not JSON"),
    "a number": (lambda: reply(7), "200: (not a list|a pod without)"),
    "another table": (lambda: reply({"pods": []}), "200: (not a list|a pod without)"),
    "nested": (lambda: reply(b"[" * 200_000), "200: not JSON"),
    "compressed": (lambda: reply(gzip.compress(b"[]"), 200, "content-encoding: gzip"), "200: a compressed reply"),
    "no HTTP": (lambda: b"SSH-2.0-x\r\n\r\n", "RemoteProtocolError"),
    "nothing": (lambda: b"", "RemoteProtocolError"),
    "cut off": (lambda: b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n[", "RemoteProtocolError"),
    "endless": (lambda: dripping(b" " * (1 << 20), HEAD, 0.0), f"200: more than {REPLY_MOST:,} bytes"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("broken", BROKEN)
def test_reply_that_cannot_be_used_is_one_line_with_call_and_status(says, call: str, broken: str) -> None:
    make, expected = BROKEN[broken]
    server, api = says(lambda method, path: make())
    began = time.monotonic()
    with pytest.raises(ApiError, match=rf"^RunPod: (GET|POST|DELETE) /pods(/abc123)?: {expected}") as error:
        CALLS[call](api)
    assert len(str(error.value)) < 300 and str(error.value).isprintable()
    assert time.monotonic() - began < 5
    if call == "POST /pods":
        assert server.asked == [call]  # it may have made a pod


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nx-a: ", HEAD], ids=["silence", "headers", "body"])
def test_one_deadline_holds_for_the_whole_call(says, call: str, first: bytes) -> None:
    """A time-out of each read alone is never reached by a byte every 50 ms."""
    _, api = says(lambda method, path: dripping(b" " if first else b"", first), patience_s=0.0, timeout_s=0.4)
    began = time.monotonic()
    with pytest.raises(ApiError, match=r"no whole reply within 0\.4 s"):
        CALLS[call](api)
    assert time.monotonic() - began < 3


def test_no_connection_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    api = Runpod(f"http://127.0.0.1:{port}/v1", KEY, 0.1)
    with closing(api), pytest.raises(ApiError, match=r"^RunPod: GET /pods: ConnectError"):
        api.find()


def test_hiccups_of_an_api_are_tried_again_and_said_once(says, caplog: pytest.LogCaptureFixture) -> None:
    replies = iter([reply(b"<html>"), reply(b"", 502), reply(b"slow down", 429), b"", reply([POD])])
    server, api = says(lambda method, path: next(replies), patience_s=30)
    (pod,) = api.find()
    assert (pod.id, pod.price, len(server.asked)) == ("abc123", 21.5, 5)
    assert caplog.messages == ["RunPod: GET /pods: 429: slow down; trying again"]


@pytest.mark.parametrize(
    ("said", "price"),
    [
        ({"costPerHr": 21.5}, 21.5),
        ({"costPerHr": 2}, 2.0),
        ({"costPerHr": "0.74"}, 0.74),  # as in the published example
        *(({"costPerHr": odd}, None) for odd in (None, 0, -2.0, 1e-9, 1e6, True, "free", "", "nan", "1e2", [], {})),
        ({}, None),
    ],
)
def test_price_that_is_none_is_unknown_and_never_0(says, said: dict[str, Any], price: float | None) -> None:
    pod = {name: value for name, value in POD.items() if name != "costPerHr"} | said
    _, api = says(lambda method, path: reply(pod))
    assert api.get("abc123").price == price


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
def test_number_that_json_lacks_hides_no_pod(says, number: str) -> None:
    other = json.dumps(POD | {"id": "def456"})
    odd = json.dumps(POD).replace("21.5", number)
    _, api = says(lambda method, path: reply(f"[{odd}, {other}]".encode()))
    assert [(pod.id, pod.price) for pod in api.find()] == [("abc123", None), ("def456", 21.5)]


@pytest.mark.parametrize("port", [0, 65536, -1, True, "22", 22.5, [22]])
def test_port_out_of_range_is_unknown(says, port: Any) -> None:
    _, api = says(lambda method, path: reply(POD | {"publicIp": "192.0.2.7", "portMappings": {"22": port}}))
    pod = api.get("abc123")
    assert (pod.id, pod.host, pod.port) == ("abc123", "192.0.2.7", None)


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", "a\nb", "x" * 300, "h/../", 7, {"ip": 1}])
def test_host_that_is_none_is_unknown(says, host: Any) -> None:
    _, api = says(lambda method, path: reply(POD | {"publicIp": host, "portMappings": {"22": 10341}}))
    pod = api.get("abc123")
    assert (pod.host, pod.port) == (None, 10341)


def test_status_that_cannot_be_read_takes_no_running_pod_for_ended(says) -> None:
    _, api = says(lambda method, path: reply(POD | {"desiredStatus": 7}))
    assert api.get("abc123").alive


@pytest.mark.parametrize("odd", ["", "../x", "a/b", "a?b", "a" * 65, "é", 7, None, "a\n"])
def test_pod_without_an_id_that_a_url_may_hold_is_no_pod(says, odd: Any) -> None:
    server, api = says(lambda method, path: reply(POD | {"id": odd}))
    with pytest.raises(ApiError, match="a pod without a valid id"):
        api.get("abc123")
    if isinstance(odd, str):
        with pytest.raises(BadInput, match="not the id of a pod"):
            api.delete(odd)
    assert all(asked == "GET /pods/abc123" for asked in server.asked)


def test_reply_that_tells_of_another_pod_is_not_taken_for_the_one_asked_for(says) -> None:
    _, api = says(lambda method, path: reply(POD | {"id": "another"}))
    with pytest.raises(ApiError, match="it tells of another pod"):
        api.get("abc123")


def test_broken_pod_in_a_list_hides_no_other_and_is_not_forgotten(says, caplog: pytest.LogCaptureFixture) -> None:
    odd = {"id": "odd1", "name": "pgolf.me.r.pod-2.0", "costPerHr": [], "publicIp": {}, "portMappings": 7}
    listed = [None, 7, {"name": "\x1b[2J"}, {"id": "../..", "name": "theirs"}, odd, POD, {"id": "bare"}]
    _, api = says(lambda method, path: reply(listed))
    pods = api.find()
    assert [(pod.id, pod.name, pod.status, pod.price) for pod in pods] == [
        ("odd1", "pgolf.me.r.pod-2.0", "UNKNOWN", None),
        ("abc123", "pgolf.me.r.pod-1.0", "RUNNING", 21.5),
        ("bare", "", "UNKNOWN", None),
    ]
    assert "a pod without a valid id, and it may cost money" in caplog.text
    listed = [{"id": "../..", "name": "theirs"}, odd, POD]
    _, api = says(lambda method, path: reply(listed))
    assert [pod.id for pod in api.find("pgolf.me.r.pod-2.0")] == ["odd1"]


@pytest.mark.parametrize("entry", [None, {"name": 7}, {"id": "../..", "name": "pgolf.me.r.pod-1.0"}])
def test_pod_that_may_be_the_one_looked_for_is_not_said_to_be_absent(says, entry: Any) -> None:
    """Else it would be noted as ended, and cost money until somebody looks."""
    _, api = says(lambda method, path: reply([POD | {"name": "other"}, entry]))
    with pytest.raises(ApiError, match="a pod without a valid id"):
        api.find("pgolf.me.r.pod-1.0")


def test_list_beyond_measure_is_refused(says) -> None:
    _, api = says(lambda method, path: reply([POD] * 10_001))
    with pytest.raises(ApiError, match="not a list of at most"):
        api.find()


@pytest.mark.parametrize("code", [200, 204, 404])
def test_delete_is_done_when_the_pod_is_gone_not_when_that_is_said(says, code: int) -> None:
    looks = iter([reply(POD), reply(POD), reply(b"", 404)])
    server, api = says(lambda method, path: reply(b"", code) if method == "DELETE" else next(looks), patience_s=20)
    api.delete("abc123")
    assert server.asked.count("GET /pods/abc123") == 3


def test_pod_that_is_terminated_is_gone(says) -> None:
    ended = reply(POD | {"desiredStatus": "TERMINATED"})
    server, api = says(lambda method, path: reply(b"", 204) if method == "DELETE" else ended)
    api.delete("abc123")
    assert len(server.asked) == 2


def test_delete_that_does_nothing_is_an_error_that_says_so(says) -> None:
    _, api = says(lambda method, path: reply(b"", 204) if method == "DELETE" else reply(POD))
    with pytest.raises(ApiError, match=r"the pod is still there \(RUNNING\) after it was deleted"):
        api.delete("abc123")


def test_pod_that_cannot_be_ended_keeps_no_other_from_being_ended(says, tmp_path: Path) -> None:
    alive = {"one", "two", "three"}

    def answer(method: str, path: str) -> Said:
        pod_id = path.removeprefix("/pods").strip("/")
        if method == "DELETE":
            alive.difference_update({pod_id} - {"one"})
            return reply(b"", 204)
        known = {i: POD | {"id": i, "name": f"pgolf.me.r.pod-{i}.0"} for i in sorted(alive)}
        if not pod_id:
            return reply([*known.values()])
        return reply(known[pod_id]) if pod_id in known else reply(b"", 404)

    _, api = says(answer)
    with pytest.raises(RunFailed, match=r"2 pods ended, but not pgolf.me.r.pod-one.0 \(one\)"):
        reap(api, "me", runs_dir=tmp_path)
    assert alive == {"one"}


def test_name_of_a_pod_leads_to_no_folder_but_a_record_of_its_own(says, tmp_path: Path) -> None:
    """The reaper locks the folder of a pod's record: a file beside it."""
    (tmp_path / "elsewhere").mkdir()
    names = ["pgolf.me.../elsewhere.pod-1.0", f"pgolf.me.{tmp_path}/elsewhere.pod-1.0", "pgolf.me..pod-1.0"]
    _, api = says(lambda method, path: reply([POD | {"name": name} for name in names]))
    assert [pod.owner for pod in find(api)] == [None] * 3
    assert reap(api, "me", runs_dir=tmp_path / "runs") == []
    assert [path.name for path in tmp_path.rglob("*")] == ["elsewhere"]


REFUSALS = [
    (500, REFUSED),
    (500, "Your account does not have enough credits to rent this pod"),
    (500, "spend limit reached"),
    (500, "max pods reached for this team"),
    (403, "your API key may only read"),
    (401, ""),
    (402, "payment required"),
    (400, "imageName: unknown"),
    (404, "template not found"),
    (422, "gpuTypeIds[0]"),
]


@pytest.mark.parametrize(("code", "words"), REFUSALS)
def test_create_that_is_refused_for_good_says_so_in_the_apis_words(says, code: int, words: str) -> None:
    server, api = says(lambda method, path: reply({"error": words, "status": code}, code))
    with pytest.raises(Denied, match=rf"^RunPod refuses for good: POST /pods: {code}: ") as error:
        created(api)
    assert words in str(error.value)
    assert server.asked == ["POST /pods"]


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [
        (500, "create pod: There are no instances currently available", NoCapacity),
        (
            400,
            "This machine does not have the resources to deploy your pod. Please try a different machine",
            NoCapacity,
        ),
        (429, "too many requests: rate limit exceeded", NoCapacity),
        (500, "something went wrong", ApiError),
        (504, "<html>no permission to read this page</html>", ApiError),
        (408, "", ApiError),
    ],
)
def test_create_that_may_work_later_or_may_have_worked_is_no_refusal(
    says, code: int, words: str, expected: type[Exception]
) -> None:
    server, api = says(lambda method, path: reply(words.encode(), code))
    with pytest.raises(expected, match=f"POST /pods: {code}"):
        created(api)
    assert server.asked == ["POST /pods"]


def test_words_of_the_api_are_one_short_line_without_escapes_or_the_key(says) -> None:
    words = f"\x1b[2J\x1b]0;owned\x07 not\n\n allowed\u202e for {KEY} " + "x" * 5000
    _, api = says(lambda method, path: reply({"error": words}, 403))
    with pytest.raises(Denied) as error:
        api.find()
    said = str(error.value)
    assert said.isprintable() and len(said) < 600
    assert KEY not in said and "not allowed for …" in said


def test_key_is_sent_to_the_api_and_not_where_it_redirects_to(says) -> None:
    there, _ = says(lambda method, path: reply([]))
    here, api = says(lambda method, path: reply(b"", 307, f"location: {there.url}/pods"))
    for call in CALLS.values():
        with pytest.raises(ApiError):
            call(api)
    assert here.heads and all(f"authorization: bearer {KEY}" in head.lower() for head in here.heads)
    assert not there.heads


def test_key_is_not_sent_to_a_proxy_in_the_clear(says, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, _ = says(lambda method, path: reply([]))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
    _, api = says(lambda method, path: reply([POD]))
    assert len(api.find()) == 1
    assert not proxy.heads


def test_list_says_where_a_price_is_unknown(says, monkeypatch: pytest.MonkeyPatch) -> None:
    server, _ = says(lambda method, path: reply([POD | {"costPerHr": None}, POD | {"name": "my pod"}]))
    env = {"RUNPOD_API_KEY": KEY, allowed.API_VARIABLE: server.url}
    listed = CliRunner().invoke(app, ["pods", "list"], env=env).output.splitlines()
    assert listed[0].split() == ["abc123", "RUNNING", "price", "unknown", "me", "r", "pod-1"]
    assert listed[1].split() == ["abc123", "RUNNING", "$21.50/h", "not", "pgolf's", "(my", "pod)"]
    listed = json.loads(CliRunner().invoke(app, ["pods", "list", "--json"], env=env).output)
    assert [pod["price_per_hour"] for pod in listed] == [None, 21.5]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeRunpod]:
    """The account that records are tried on."""
    if not OPENAPI.exists():
        pytest.skip(MISSING)
    with FakeRunpod(tmp_path_factory.mktemp("account")) as running:
        yield running


@pytest.fixture
def api(account: FakeRunpod) -> Iterator[Runpod]:
    with closing(Runpod(f"{account.url}/v1", account.key, patience_s=0.1, timeout_s=1.0)) as api:
        yield api


@pytest.mark.parametrize("what", MANGLED)
def test_account_mangles_a_reply(account: FakeRunpod, api: Runpod, what: str) -> None:
    account.tell("misbehave", **{what: 9})
    with pytest.raises(ApiError, match="RunPod: GET /pods: "):
        api.find()
    account.tell("misbehave", **{what: 0})
    assert api.find() == []


def test_account_refuses(account: FakeRunpod, api: Runpod) -> None:
    account.tell("misbehave", refused=1)
    with pytest.raises(Denied, match="Insufficient balance"):
        created(api)
    assert not account.pods()


@pytest.mark.skipif(SSHD is None, reason=NO_SSHD)
@pytest.mark.parametrize("what", ["no_price", "null_price", "nan_price", "negative_price"])
def test_account_has_a_pod_of_unknown_price(account: FakeRunpod, api: Runpod, what: str) -> None:
    account.tell("misbehave", **{what: 1})
    pod = created(api)
    try:
        assert [pod.price for pod in (pod, api.get(pod.id), *api.find())] == [None] * 3
        assert [found.price_per_hour for found in find(api)] == [None]
    finally:
        api.delete(pod.id)


@pytest.mark.skipif(SSHD is None, reason=NO_SSHD)
def test_account_ignores_a_delete_which_is_made_again(account: FakeRunpod, api: Runpod) -> None:
    pod = created(api)
    account.tell("misbehave", delete_ignored=1)
    patient = Runpod(f"{account.url}/v1", account.key, patience_s=20)
    patient.delete(pod.id)
    patient.close()
    assert pod.id not in {p["id"] for p in account.alive()}


def pods_file(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pods.toml"
    path.write_text(text)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is worked in, and a config folder beside it."""
    (tmp_path / "cloned").mkdir()
    monkeypatch.chdir(tmp_path / "cloned")
    for module in (allowed, settings):
        monkeypatch.setattr(module, "CONFIG", tmp_path / "config")
    for name in (allowed.API_VARIABLE, settings.ENVIRONMENT):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


THEIRS = "https://collector.example/v1"


@pytest.mark.parametrize("how", ["here", "given", "environment"])
def test_key_goes_to_no_address_of_a_strangers_file(home: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    path = pods_file(home / ("cloned" if how == "here" else "else"), f'[runpod]\napi = "{THEIRS}"\n')
    if how == "environment":
        monkeypatch.setenv(settings.ENVIRONMENT, str(path))
    with pytest.raises(BadInput, match=r"pods\.toml: runpod\.api: .*is not RunPod") as error:
        read_settings(path if how == "given" else None)
    assert allowed.API_VARIABLE in str(error.value)
    monkeypatch.setenv(allowed.API_VARIABLE, "https://elsewhere.example/v1")
    with pytest.raises(BadInput, match="is not RunPod"):
        read_settings(path if how == "given" else None)
    monkeypatch.setenv(allowed.API_VARIABLE, THEIRS)
    assert read_settings(path if how == "given" else None).runpod.api == THEIRS


def test_the_user_may_name_another_address(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().runpod.api == "https://rest.runpod.io/v1"
    pods_file(home / "config", f'[runpod]\napi = "{THEIRS}"\nkey = "{home}/key"\n')
    assert read_settings().runpod.api == THEIRS
    assert read_settings().runpod.key == home / "key"
    pods_file(home / "cloned", "")
    assert read_settings().runpod.api == "https://rest.runpod.io/v1"  # one file is read
    monkeypatch.setenv(allowed.API_VARIABLE, "https://mine.example")
    assert read_settings().runpod.api == "https://mine.example"


@pytest.mark.parametrize(
    "api",
    [
        "http://rest.runpod.io/v1",
        "http://collector.example/v1",
        "https://rest.runpod.io@collector.example/v1",
        "https://key@rest.runpod.io/v1",
        "https://rest.runpod.io.collector.example/v1",
        "https://collector.example\\\\@rest.runpod.io/v1",
        "https://collector.example#rest.runpod.io",
        "http://127.0.0.1.collector.example/v1",
        "http://localhost.collector.example/v1",
        "http://10.0.0.1/v1",
        "ftp://rest.runpod.io/v1",
        "file:///etc/passwd",
        "rest.runpod.io/v1",
        "",
        "https://",
        "https://rest.runpod.io:99999999/v1",
    ],
)
def test_address_that_only_looks_like_the_apis_own(home: Path, api: str) -> None:
    pods_file(home / "cloned", f'[runpod]\napi = "{api}"\n')
    with pytest.raises(BadInput, match=r"^pods\.toml: runpod\.api: "):
        read_settings()


@pytest.mark.parametrize("api", ["https://rest.runpod.io/v1", "https://api.runpod.io/v2", "http://[::1]:8000/v1"])
def test_own_addresses_and_this_machine_may_stand_in_any_file(home: Path, api: str) -> None:
    pods_file(home / "cloned", f'[runpod]\napi = "{api}"\n')
    assert read_settings().runpod.api == api


@pytest.mark.parametrize("api", ["http://collector.example", "https://me@collector.example", "nonsense"])
def test_the_user_too_sends_no_key_in_the_clear(home: Path, monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    with pytest.raises(BadInput, match="RunPod's API"):
        Runpod(api, KEY)
    monkeypatch.setenv(allowed.API_VARIABLE, api)
    with pytest.raises(BadInput, match=allowed.API_VARIABLE):
        read_settings()


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ("ssh.known_hosts", "~/.bashrc"),
        ("ssh.known_hosts", "~/.ssh/known_hosts"),
        ("ssh.known_hosts", "../x"),
        ("ssh.known_hosts", "link/x"),
        ("ssh.key", "/etc/ssh/ssh_host_ed25519_key"),
        ("runpod.key", "~/work/deploy_key"),
    ],
)
def test_strangers_file_names_no_file_of_the_users(home: Path, entry: str, path: str) -> None:
    """known_hosts is written to, with a host's name in it that the file chooses; a key is offered to a host of its."""
    (home / "cloned/link").symlink_to(home)
    part, name = entry.split(".")
    pods_file(home / "cloned", f'[{part}]\n{name} = "{path}"\n')
    with pytest.raises(BadInput, match=rf"^pods\.toml: {entry}: .* neither beside that file"):
        read_settings()
    pods_file(home / "config", f'[{part}]\n{name} = "{path}"\n')
    read_settings(home / "config/pods.toml")


@pytest.mark.parametrize("path", ["keys/id", "~/.ssh/id_ed25519"])
def test_key_beside_the_file_or_in_the_users_folder_of_keys_is_fine(home: Path, path: str) -> None:
    pods_file(home / "cloned", f'[ssh]\nkey = "{path}"\nknown_hosts = "hosts"\n')
    assert read_settings().ssh.known_hosts == home / "cloned/hosts"


@pytest.mark.parametrize("host", ["x; touch y", "$(id).example", "a b", "-oProxyCommand=x", "", "a\\nb"])
def test_host_of_a_machine_is_a_name_or_an_address(home: Path, host: str) -> None:
    pods_file(home / "cloned", f'[[ssh.machines]]\nname = "box"\nhost = "{host}"\n')
    with pytest.raises(BadInput, match=r"ssh\.machines\.0\.host"):
        read_settings()
