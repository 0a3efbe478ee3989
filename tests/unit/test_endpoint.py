"""Which engine is meant: by DOCKER_HOST, DOCKER_CONTEXT, `docker context use`, or the name of a host."""

from __future__ import annotations

import hashlib
import io
import json
import socket
from pathlib import Path
from typing import Any, cast

import pytest
import requests
import urllib3

from labctl.engine import endpoint
from labctl.engine.access import translated
from labctl.engine.api_client import ApiClient, EngineTimeouts
from labctl.errors import HostError, UsageError

SSH = "ssh://user@one.example"


def context(folder: Path, name: str, host: str = SSH, *, files: tuple[str, ...] = (), unchecked: bool = False) -> None:
    """A context as `docker context create` writes it."""
    identity = hashlib.sha256(name.encode()).hexdigest()
    meta, tls = folder / "contexts" / "meta" / identity, folder / "contexts" / "tls" / identity / "docker"
    for made in (meta, tls):
        made.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": unchecked}}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}), "utf-8")
    for file in files:
        (tls / file).write_text("PEM", "utf-8")


def use(folder: Path, name: str) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": {}, "currentContext": name}), "utf-8")


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "ssh://used"),
        ({"DOCKER_CONTEXT": "one"}, SSH),
        ({"DOCKER_CONTEXT": "default"}, ""),
        ({"DOCKER_CONTEXT": "one", "DOCKER_HOST": "tcp://two.example:2375"}, "tcp://two.example:2375"),
    ],
)
def test_docker_s_own_order_holds(environment: dict[str, str], url: str, tmp_path: Path) -> None:
    context(tmp_path, "one")
    context(tmp_path, "used", "ssh://used")
    use(tmp_path, "used")
    assert endpoint.of_environment({"DOCKER_CONFIG": str(tmp_path), **environment}).url == url


def test_without_any_of_them_it_is_the_socket_of_this_machine(tmp_path: Path) -> None:
    assert endpoint.of_environment({"DOCKER_CONFIG": str(tmp_path)}).arguments == {}


def test_a_context_is_found_where_there_is_no_config(tmp_path: Path) -> None:
    context(tmp_path, "one")
    assert endpoint.of_host("one", {"DOCKER_CONFIG": str(tmp_path)}).url == SSH


@pytest.mark.parametrize(
    ("files", "unchecked", "expected"),
    [
        ((), False, None),
        (("ca.pem",), False, ("ca.pem", None, True)),
        (("ca.pem", "cert.pem", "key.pem"), False, ("ca.pem", ("cert.pem", "key.pem"), True)),
        ((), True, (None, None, False)),
    ],
)
def test_tls_is_what_the_context_has_of_it(
    files: tuple[str, ...], unchecked: bool, expected: tuple[object, ...] | None, tmp_path: Path
) -> None:
    context(tmp_path, "one", "tcp://one.example:2376", files=files, unchecked=unchecked)
    tls = endpoint.of_host("one", {"DOCKER_CONFIG": str(tmp_path)}).tls
    if expected is None:
        assert tls is None
        return
    assert tls
    own = tuple(Path(file).name for file in tls.cert) if tls.cert else None
    assert (Path(tls.ca_cert).name if tls.ca_cert else None, own, tls.verify) == expected


@pytest.mark.parametrize("files", [("ca.pem", "cert.pem"), ("ca.pem", "key.pem"), ("cert.pem",)])
def test_half_a_certificate_of_a_context_is_told_with_what_is_lacking(files: tuple[str, ...], tmp_path: Path) -> None:
    context(tmp_path, "one", "tcp://one.example:2376", files=files)
    with pytest.raises(UsageError, match=f"has no .*{'cert' if 'key.pem' in files else 'key'}.pem"):
        endpoint.of_host("one", {"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize(
    "said", [{"DOCKER_TLS_VERIFY": "1"}, {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nowhere"}]
)
def test_tls_that_the_environment_asks_for_and_does_not_have_is_told(said: dict[str, str], tmp_path: Path) -> None:
    environment = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_TLS_VERIFY": "1", **said}
    with pytest.raises(UsageError, match=r"DOCKER_TLS_VERIFY asks for TLS, and .* has no .*key\.pem"):
        endpoint.of_environment({**environment, "DOCKER_HOST": "tcp://one.example:2376"})
    with pytest.raises(UsageError, match="asks for TLS"):
        endpoint.of_host("tcp://two.example:2376", environment)


@pytest.mark.parametrize("host", [None, "", 7])
def test_a_context_without_an_address_is_told(host: object, tmp_path: Path) -> None:
    context(tmp_path, "one", cast(str, host))
    with pytest.raises(UsageError, match="cannot be read"):
        endpoint.of_host("one", {"DOCKER_CONFIG": str(tmp_path)})


def test_an_address_has_the_tls_of_the_environment(tmp_path: Path) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("PEM", "utf-8")
    environment = {"DOCKER_CERT_PATH": str(tmp_path), "DOCKER_TLS_VERIFY": "1"}
    assert endpoint.of_host("tcp://one.example:2376", environment).tls
    assert endpoint.of_host("tcp://one.example:2375", {}).tls is None
    assert endpoint.of_host(SSH, environment).tls is None


def test_what_is_no_context_is_named_with_what_is_near(tmp_path: Path) -> None:
    context(tmp_path, "hamburg")
    with pytest.raises(UsageError, match="no Docker context `hamburk`") as refusal:
        endpoint.of_host("hamburk", {"DOCKER_CONFIG": str(tmp_path)})
    assert refusal.value.hint == "did you mean `hamburg`?"


def test_a_context_that_is_damaged_is_named_with_its_file(tmp_path: Path) -> None:
    context(tmp_path, "one")
    (file,) = tmp_path.glob("contexts/meta/*/meta.json")
    file.write_text('{"Name": "one"}', "utf-8")
    with pytest.raises(UsageError, match=f"context one cannot be read: {file}"):
        endpoint.of_host("one", {"DOCKER_CONFIG": str(tmp_path)})


def test_the_ca_of_a_context_goes_before_that_of_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    context(tmp_path, "one", "tcp://one.example:2376", files=("ca.pem",))
    where = endpoint.of_host("one", {"DOCKER_CONFIG": str(tmp_path)})
    api = ApiClient(EngineTimeouts(), version="1.41", **where.arguments)
    settings = api.merge_environment_settings("https://one.example:2376/version", {}, None, None, None)
    assert Path(settings["verify"]).name == "ca.pem"


def test_an_answer_may_take_longer_than_the_way_to_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def answer(_: object, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        taken.append(how["timeout"])
        response = requests.Response()
        response.status_code, response.raw = 200, io.BytesIO(b'{"ApiVersion": "1.41"}')
        return response

    monkeypatch.setattr(requests.Session, "send", answer)
    api = ApiClient(
        EngineTimeouts(reach_s=2, first_s=15, answer_s=300), version="auto", base_url="tcp://one.example:2375"
    )
    api.start("n1")
    api.stop("n1", timeout=5)
    api.wait("n1")
    assert taken == [(2, 15), (2, 300), (2, 305), (2, None)]
    api.exec_start("one", detach=True)
    assert taken[-1] == (2, 60), "a command that does not begin is told of sooner"


@pytest.mark.parametrize("url", ["tcp://192.0.2.1:2375", "https://192.0.2.1:2376"])
def test_a_machine_that_goes_without_a_word_is_noticed_by_the_kernel(url: str) -> None:
    """A command's output has no time-out: it was waited for for good."""
    api = ApiClient(EngineTimeouts(), version="1.41", base_url=url)
    adapter: Any = api.get_adapter(api.base_url)
    options = adapter.poolmanager.connection_from_url(api.base_url).conn_kw["socket_options"]
    assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in options


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ReadTimeout("HTTPConnectionPool(host='n', port=2375): Read timed out. (read timeout=300)"),
        urllib3.exceptions.ConnectTimeoutError("Connection to n timed out. (connect timeout=300)"),
    ],
)
def test_an_engine_that_does_not_answer_is_told_in_plain_words(error: Exception) -> None:
    with pytest.raises(HostError, match=r"^start n1: no answer within 300 s$"), translated("start n1"):
        raise error
