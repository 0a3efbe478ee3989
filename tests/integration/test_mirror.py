"""Old stacks from a mirror: a small Debian repository of the tests' own stands in for the archive of old suites."""

from __future__ import annotations

import functools
import ipaddress
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from labctl.engine.client import Engine
from labctl.images.builder import Options, references
from labctl.stack.loader import find_stack
from tests.integration.conftest import Result, labctl
from tests.integration.old_repository import TOOLS, VERSIONS, Archive, OldStack, old_stack, publish

Stacks = Callable[..., OldStack]
INDEX = "dists/squeeze/main/binary-amd64"

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"it takes {', '.join(TOOLS)}"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The stand-in squeeze, of amd64."""
    keyring = tmp_path_factory.mktemp("keys") / "keyring.gpg"
    return publish(tmp_path_factory.mktemp("archive"), keyring, tmp_path_factory.mktemp("lists"), "amd64")


@pytest.fixture
def stacks(engine: Engine) -> Iterator[Stacks]:
    """Makes stacks; the images of each are taken away when the test is over."""
    with ExitStack() as until_the_end:
        yield lambda *where, **values: until_the_end.enter_context(old_stack(engine, *where, **values))


def node(result: Result) -> tuple[str, dict[str, str]]:
    """The node image of a build, and its labels."""
    assert result.code == 0, result.err
    tag: str = next(iter(result.data))
    return tag, result.data[tag]


def test_a_folder_signed_by_keys_that_have_expired(
    archive: Archive, engine: Engine, stacks: Stacks, tmp_path: Path
) -> None:
    file = stacks(tmp_path, archive.keyring).file
    result = labctl("build", "--stack", file, "--mirror", str(archive.folder), "-o", "json")
    tag, labels = node(result)
    assert {name: labels[f"labctl.contents.{name}"] for name in VERSIONS} == VERSIONS
    assert labels["labctl.signatures"] == f"checked with {archive.keyring}"
    assert (labels["labctl.base"], labels["labctl.suite"]) == ("mmdebstrap squeeze", "squeeze")
    assert (
        engine.probe(tag, "{ asterisk; cat /etc/apt/apt.conf.d/99*; } 2>&1").splitlines()[0]
        == f"asterisk {VERSIONS['asterisk']}"
    )
    assert list(result.data) == [tag, references(find_stack("22"), Options()).phone]
    assert labctl("build", "--stack", file, "--dry-run").out == "", "where it came from is no part of it"


def test_a_node_of_i386_where_both_architectures_are_to_be_had(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, stacks: Stacks, tmp_path: Path
) -> None:
    keyring = tmp_path_factory.mktemp("keys") / "keyring.gpg"
    both = publish(tmp_path / "both", keyring, tmp_path / "lists", "amd64", "i386")
    files = [stacks(tmp_path, keyring).file, stacks(tmp_path, keyring, architecture="i386").file]
    native, other = (labctl("build", "--stack", file, "--mirror", str(both.folder), "-o", "json") for file in files)
    assert node(other)[0] != node(native)[0]
    assert node(other)[1]["labctl.contents.asterisk"] == VERSIONS["asterisk"]
    assert engine.probe(node(native)[0], "dpkg --print-architecture").strip() == "amd64"
    assert engine.probe(node(other)[0], "dpkg --print-architecture").strip() == "i386"


def serve(folder: Path) -> ThreadingHTTPServer:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    return ThreadingHTTPServer(("0.0.0.0", 0), functools.partial(Quiet, directory=str(folder)))  # noqa: S104 - for containers


@pytest.fixture
def port(archive: Archive) -> Iterator[int]:
    """Where the archive is served."""
    server = serve(archive.folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_url(archive: Archive, port: int, stacks: Stacks, tmp_path: Path) -> None:
    file = stacks(tmp_path, archive.keyring).file
    _, labels = node(labctl("build", "--stack", file, "--mirror", f"http://127.0.0.1:{port}/", "-o", "json"))
    assert labels["labctl.contents.asterisk"] == VERSIONS["asterisk"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (f"{INDEX}/Packages", "Hash Sum mismatch"),
        ("dists/squeeze/Release", "BADSIG"),
        ("pool/hostname_*.deb", "Hash Sum mismatch"),
    ],
)
def test_what_is_not_as_it_was_signed_is_refused(
    path: str, reason: str, archive: Archive, stacks: Stacks, tmp_path: Path
) -> None:
    spoilt = archive.spoilt(tmp_path / "spoilt", path)
    stack = stacks(tmp_path, archive.keyring)
    result = labctl("build", "--stack", stack.file, "--mirror", str(spoilt.folder), "--insecure")
    assert result.code == 4
    assert reason in result.err
    assert stack.images() == []


def test_a_mirror_without_a_signature_is_refused(archive: Archive, stacks: Stacks, tmp_path: Path) -> None:
    bare = archive.copy(tmp_path / "bare")
    (bare.folder / "dists/squeeze/Release.gpg").unlink()
    stack = stacks(tmp_path, archive.keyring)
    result = labctl("build", "--stack", stack.file, "--mirror", str(bare.folder))
    assert (result.code, stack.images()) == (4, [])
    assert "it is not signed, so it cannot be verified (--insecure takes it all the same)" in result.err


def test_without_a_keyring_it_is_refused_but_for_insecure(archive: Archive, stacks: Stacks, tmp_path: Path) -> None:
    stack = stacks(tmp_path, tmp_path / "none.gpg")
    build = ("build", "--stack", stack.file, "--mirror", str(archive.folder))
    refused = labctl(*build)
    assert (refused.code, stack.images()) == (4, [])
    assert f"there is no keyring {tmp_path}/none.gpg, so it cannot be verified" in refused.err
    taken = labctl(*build, "--insecure", "-o", "json")
    assert node(taken)[1]["labctl.signatures"] == "not checked"
    assert "with no signature checked" in taken.err


def test_an_old_image_of_the_base_is_taken_unchecked(
    archive: Archive, engine: Engine, port: int, stacks: Stacks, tmp_path: Path
) -> None:
    base = next(tag for tag in engine.images() if tag.startswith("labctl/sid-base:"))
    file = stacks(tmp_path, archive.keyring, base=base).file
    network = ipaddress.ip_network(engine._api.inspect_network("bridge")["IPAM"]["Config"][0]["Subnet"])
    result = labctl("build", "--stack", file, "--mirror", f"http://{network[1]}:{port}", "--insecure", "-o", "json")
    _, labels = node(result)
    assert (labels["labctl.base"], labels["labctl.signatures"]) == (f"pulled {base}", "not checked")
    assert labels["labctl.contents.asterisk"] == VERSIONS["asterisk"]
