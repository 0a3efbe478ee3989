"""A lab wholly on another engine than that of this machine: by DOCKER_HOST, and by a Docker context."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl.engine import client as engines
from labctl.engine.actions import File
from labctl.engine.client import Engine
from labctl.images.builder import Options, references
from labctl.stack.loader import find_stack
from tests.integration import docker_hosts
from tests.integration.conftest import RUN, Result, labctl
from tests.integration.docker_hosts import DockerHost

pytestmark = pytest.mark.docker

NAME = f"t{RUN}-remote"
CONTEXT = "elsewhere"


@pytest.fixture(scope="module")
def host(engine: Engine) -> Iterator[DockerHost]:
    """Another engine, with the images of a lab."""
    with docker_hosts.hosts(engine, 1, "remote", [NAME, f"{NAME}-run", f"{NAME}-ssh"]) as (host,):
        docker_hosts.give_images(engine, [host])
        yield host


@pytest.fixture(params=["DOCKER_HOST", "DOCKER_CONTEXT"])
def variables(host: DockerHost, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Those by which labctl finds it; what a test that failed has left there is taken away."""
    if request.param == "DOCKER_HOST":
        by = {"DOCKER_HOST": host.url}
    else:
        docker_hosts.make_context(tmp_path / "docker", CONTEXT, host.url)
        by = {"DOCKER_HOST": "", "DOCKER_CONTEXT": CONTEXT, "DOCKER_CONFIG": str(tmp_path / "docker")}
    yield by
    labctl("down", "--all", variables=by)


def captured(variables: dict[str, str], file: Path, meanwhile: Callable[[], object]) -> None:
    """Have `labctl capture` write to a file while something is done."""
    words = [sys.executable, "-m", "labctl", "capture", "-n", NAME, "-o", str(file)]
    capture = subprocess.Popen(words, env={**os.environ, **variables}, stderr=subprocess.PIPE, text=True)
    assert capture.stderr
    assert "Ctrl-C ends it" in capture.stderr.readline()
    meanwhile()
    capture.send_signal(signal.SIGINT)
    assert capture.wait(timeout=120) == 0, capture.stderr.read()
    capture.stderr.close()


def test_every_verb_works_on_another_engine(
    engine: Engine, host: DockerHost, variables: dict[str, str], tmp_path: Path
) -> None:
    def remote(*arguments: str, lab: bool = True, code: int = 0) -> Result:
        result = labctl(*arguments, *(("-n", NAME) if lab else ()), variables=variables)
        assert result.code == code, (arguments, result)
        return result

    assert len(remote("up", "-o", "json").data["crossings"]) == 6
    assert engine.observe(NAME).empty, "it is on this machine's own engine"
    assert NAME in remote("ls", lab=False).out
    assert [row["container"] for row in remote("ps", "-o", "json").data] == ["running"] * 3
    remote("wait", "--for", "proven")
    pcapng = tmp_path / "call.pcapng"
    captured(variables, pcapng, lambda: remote("call", "alice", "bob", "--duration", "1s"))
    assert "INVITE" in remote("ladder", str(pcapng), "--call", "1", lab=False).out
    remote("phone", "on", "alice", "bob")
    remote("phone", "dial", "alice", "bob")
    remote("phone", "answer", "bob")
    assert "101" in remote("phone", "ls").out
    assert {row["extension"]: row["agreed"] for row in remote("state", "-o", "json").data}["101"]
    remote("phone", "off", "--all")
    remote("fault", "partition", "n1,n2", "n3", "--as", "split")
    assert "split" in remote("ps").out
    remote("heal")
    assert "Asterisk" in remote("cli", "n1", "core", "show", "version").out
    words = ("sh", "-n", NAME, "n2", "--", "hostname")
    assert remote(*words, lab=False).out.strip() == "n2"
    assert remote("logs", "n1", "--tail", "3").out
    assert "n3" in remote("config").out
    assert remote("build", "--dry-run", lab=False).out == ""
    assert "docker 2" in remote("version", lab=False).out
    assert "containerized" in remote("doctor", lab=False).out
    remote("fault", "kill", "n3")
    assert remote("up", "-o", "json").data["changed"] == [f"start labctl-{NAME}-n3"]
    run = ("run", "partition-heal", "--name", f"{NAME}-run", "--folder", str(tmp_path / "runs"), "--no-capture")
    assert remote(*run, "-o", "json", lab=False).data
    remote("down")
    assert docker_hosts.left_on(host) == []


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="it takes ssh")
def test_a_lab_behind_ssh_is_made_called_in_and_taken_away(host: DockerHost, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    url = host.let_in(key.with_suffix(".pub").read_text("utf-8"))
    variables = {"DOCKER_HOST": url, "PATH": f"{ssh_with(key, tmp_path)}:{os.environ['PATH']}"}

    def remote(*arguments: str) -> Result:
        result = labctl(*arguments, "-n", f"{NAME}-ssh", variables=variables)
        assert result.code == 0, (arguments, result)
        return result

    assert len(remote("up", "-o", "json").data["crossings"]) == 6
    assert remote("call", "alice", "bob", "-o", "json").data["callee_heard"] > 25
    remote("down")
    assert docker_hosts.left_on(host) == []
    refused = labctl("ls", variables={**variables, "DOCKER_HOST": url.replace("root", "nobody")})
    assert (refused.code, "Permission denied" in refused.err) == (4, True), refused


@pytest.mark.skipif(not shutil.which("openssl"), reason="it takes openssl")
def test_an_engine_that_wants_tls_is_reached_by_a_context_that_has_it(engine: Engine, tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    def certificates(host: DockerHost) -> tuple[File, ...]:
        return tuple(File(f"/certs/{name}", text) for name, text in authority.issue(f"IP:{host.address}").items())

    with docker_hosts.hosts(engine, 1, "tls", [f"{NAME}-tls"], certificates) as (host,):
        docker_hosts.make_context(tmp_path, CONTEXT, host.url, authority.issue("DNS:me"))
        docker_hosts.make_context(tmp_path, "stranger", host.url, {"ca.pem": authority.text})
        variables = {"DOCKER_HOST": "", "DOCKER_CONTEXT": CONTEXT, "DOCKER_CONFIG": str(tmp_path)}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            behind_tls = engines.connect()
        images = references(find_stack("22"), Options())
        for tag in (images.node, images.phone):
            behind_tls.load_image(engine.save_image(tag))
        for words in (("up",), ("call", "alice", "bob"), ("ps",), ("down",)):
            result = labctl(*words, "-n", f"{NAME}-tls", variables=variables)
            assert result.code == 0, (words, result)
        assert behind_tls.observe().empty
        refused = labctl("ls", variables={**variables, "DOCKER_CONTEXT": "stranger"})
        assert (refused.code, "no Docker Engine answers" in refused.err) == (4, True), refused


class Authority:
    """Who signs certificates, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run("req", "-x509", *NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=tests")

    @property
    def text(self) -> str:
        """Its own certificate."""
        return (self._folder / "ca.pem").read_text("utf-8")

    def issue(self, name: str) -> dict[str, str]:
        """A certificate of that name with its key, and the authority's own: files as Docker calls them."""
        (self._folder / "names").write_text(f"subjectAltName={name}\n", "utf-8")
        self._run("req", *NEW_KEY, "-keyout", "key.pem", "-out", "request", "-subj", "/CN=one")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        self._run("x509", "-req", "-in", "request", "-out", "cert.pem", *signed)
        return {name: (self._folder / name).read_text("utf-8") for name in ("ca.pem", "cert.pem", "key.pem")}

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self._folder, check=True, capture_output=True)


NEW_KEY = ("-newkey", "rsa:2048", "-nodes")


def ssh_with(key: Path, folder: Path) -> Path:
    """A folder with an ssh that has a key and known hosts of its own: nothing of the user's is touched."""
    options = f"-F /dev/null -i {key} -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={folder}/known"
    programs = folder / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {options} "$@"\n', "utf-8")
    (programs / "ssh").chmod(0o755)
    return programs


def test_a_context_of_docker_context_use_counts(host: DockerHost, tmp_path: Path) -> None:
    docker_hosts.make_context(tmp_path, CONTEXT, host.url)
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": CONTEXT}), "utf-8")
    variables = {"DOCKER_HOST": "", "DOCKER_CONTEXT": "", "DOCKER_CONFIG": str(tmp_path)}
    assert "containerized" in labctl("doctor", variables=variables).out


def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    docker_hosts.make_context(tmp_path, CONTEXT, "tcp://192.0.2.1:2375")
    variables = {"DOCKER_HOST": "", "DOCKER_CONTEXT": "elsewere", "DOCKER_CONFIG": str(tmp_path)}
    refused = labctl("ls", variables=variables)
    assert (refused.code, refused.err) == (
        2,
        "labctl: no Docker context `elsewere`\n  did you mean `elsewhere`?\n",
    )
