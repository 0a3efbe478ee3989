"""Old stacks from a mirror: a small Debian repository of the tests' own stands in for the archive of old suites.

Its base system is this machine's Debian, its Asterisk and Corosync are scripts that say their version, and its keys
have expired, as those of the archive have.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from labctl.engine.client import Engine
from labctl.images.builder import Options, references
from labctl.paths import images_folder
from labctl.stack.loader import find_stack
from tests.integration.conftest import Result, labctl

TOOLS = ("apt-get", "apt-ftparchive", "dpkg-deb", "gpg")
pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"it takes {', '.join(TOOLS)}"),
]

VERSIONS = {"asterisk": "1:1.6.2.9-2+stand.in", "corosync": "1.2.1-4+stand.in", "openais": "1.1.2-2+stand.in"}
UNUSED = {"apt": "99", "usr-is-merged": "99"}
"""Stand-ins for what takes long to install and nobody runs: apt works from outside."""
STACK, OWN_IMAGES = "t-mirror", ("labctl/t-mirror-", "labctl/squeeze-system")
INDEX = "dists/squeeze/main/binary-amd64"


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Archive:
    """A Debian repository in a folder, and the keyring that knows who has signed it."""

    folder: Path
    keyring: Path

    def copy(self, to: Path) -> Archive:
        """The same once more, to be spoilt."""
        shutil.copytree(self.folder, to)
        return Archive(to, self.keyring)

    def sign(self, day: str, *options: str) -> None:
        """Make a key on a day that is good for a year, and sign with it."""
        home = self.keyring.parent
        gpg = ["gpg", "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""]
        gpg += ["--faked-system-time", f"{day}T000000"]
        run(
            *gpg,
            "--quick-generate-key",
            f"{day} <{day}@labctl.invalid>",
            "rsa2048",
            "sign",
            "1y",
            cwd=home,
            GNUPGHOME=str(home),
        )
        release = self.folder / "dists/squeeze/Release"
        run(
            *gpg, *options, "--local-user", f"{day}@labctl.invalid",
            "--output", f"{release}.gpg", "--armor", "--detach-sign", str(release), cwd=home, GNUPGHOME=str(home),
        )  # fmt: skip
        self.keyring.write_bytes(
            subprocess.run(
                ["gpg", "--export"], env=os.environ | {"GNUPGHOME": str(home)}, capture_output=True, check=True
            ).stdout
        )


def stand_in(pool: Path, name: str, version: str) -> None:
    """A package with one program, which says its version."""
    root = pool.parent / "unpacked" / name
    (root / "DEBIAN").mkdir(parents=True)
    (root / "usr/sbin").mkdir(parents=True)
    fields = {"Package": name, "Version": version, "Architecture": "all", "Maintainer": "labctl", "Description": name}
    (root / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    (root / "usr/sbin" / name).write_text(f"#!/bin/sh\necho '{name} {version}'\n")
    (root / "usr/sbin" / name).chmod(0o755)
    run("dpkg-deb", "--root-owner-group", "--build", str(root), str(pool), cwd=pool)


def fetch(pool: Path, architecture: str, lists: Path) -> None:
    """What mmdebstrap takes of this machine's Debian, of an architecture."""
    apt = ["apt-get", "--quiet", "--yes", "-oDebug::NoLocking=1", "-oAPT::Sandbox::User=root"]
    if architecture != run("dpkg", "--print-architecture", cwd=pool).strip():
        (lists / "partial").mkdir(parents=True)
        apt += [f"-oAPT::Architecture={architecture}", f"-oAPT::Architectures::={architecture}"]
        apt += [f"-oDir::State::lists={lists}"]
        # Where one of several sources is in the middle of a change, the rest will do: what is missing shows below.
        subprocess.run([*apt, "update"], cwd=pool, capture_output=True, check=False)
    apt += ["--download-only", "--no-install-recommends", "-oDir::State::status=/dev/null"]
    wanted = ["?and(?essential,?not(?name(^apt$)))", "usr-is-merged", "apt-", "usrmerge-"]
    run(*apt, f"-oDir::Cache::archives={pool}", "install", *wanted, cwd=pool)


def publish(folder: Path, keyring: Path, lists: Path, *architectures: str) -> Archive:
    """A signed squeeze of this machine's Debian and the stand-ins."""
    new = Archive(folder, keyring)
    new.keyring.parent.chmod(0o700)
    pool = new.folder / "pool"
    (pool / "partial").mkdir(parents=True)
    for architecture in architectures:
        fetch(pool, architecture, lists)
    for name, version in (VERSIONS | UNUSED).items():
        stand_in(pool, name, version)
    for architecture in architectures:
        index = new.folder / f"dists/squeeze/main/binary-{architecture}"
        index.mkdir(parents=True)
        packages = run("apt-ftparchive", "--arch", architecture, "packages", "pool", cwd=new.folder)
        (index / "Packages").write_text(packages)
    fields = {"Suite": "squeeze", "Codename": "squeeze", "Components": "main"}
    fields["Architectures"] = " ".join(architectures)
    settings = [f"-oAPT::FTPArchive::Release::{key}={value}" for key, value in fields.items()]
    release = run("apt-ftparchive", *settings, "release", "dists/squeeze", cwd=new.folder)
    (new.folder / "dists/squeeze/Release").write_text(release)
    new.sign("20110101", "--digest-algo", "SHA1")
    return new


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The stand-in squeeze, of amd64."""
    keyring = tmp_path_factory.mktemp("keys") / "keyring.gpg"
    return publish(tmp_path_factory.mktemp("archive"), keyring, tmp_path_factory.mktemp("lists"), "amd64")


@pytest.fixture(autouse=True)
def _taken_away(engine: Engine) -> Iterator[None]:
    """Take the images of each test away."""
    yield
    for tag in engine.images():
        if tag.startswith(OWN_IMAGES):
            engine.remove_image(tag)


def stack_file(folder: Path, keyring: Path, *, architecture: str = "", **values: Any) -> str:
    """A stack whose node comes at once, with phones like those of stack 22."""
    shipped = yaml.safe_load((images_folder() / "stacks/22.yaml").read_text("utf-8"))
    own = {"at_once": True, "keyring": str(keyring), "corosync": ["corosync", "openais"], "asterisk": ["asterisk"]}
    own["phone"] = shipped["build"]["phone"] | {"suite": "sid", "base": "debian:sid"}
    if architecture:
        own["architecture"] = architecture
    data = shipped | {"name": STACK, "suite": "squeeze", "base": "labctl.invalid/no:1", "build": own} | values
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(data))
    return str(file)


def built(engine: Engine) -> list[str]:
    return [tag for tag in engine.images() if tag.startswith(OWN_IMAGES)]


def node(result: Result) -> tuple[str, dict[str, str]]:
    """The node image of a build, and its labels."""
    assert result.code == 0, result.err
    tag: str = next(iter(result.data))
    return tag, result.data[tag]


def test_a_folder_signed_by_keys_that_have_expired(archive: Archive, engine: Engine, tmp_path: Path) -> None:
    file = stack_file(tmp_path, archive.keyring)
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
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    keyring = tmp_path_factory.mktemp("keys") / "keyring.gpg"
    both = publish(tmp_path / "both", keyring, tmp_path / "lists", "amd64", "i386")
    native = labctl("build", "--stack", stack_file(tmp_path, keyring), "--mirror", str(both.folder), "-o", "json")
    file = stack_file(tmp_path, keyring, architecture="i386")
    other = labctl("build", "--stack", file, "--mirror", str(both.folder), "-o", "json")
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


def test_a_url(archive: Archive, port: int, tmp_path: Path) -> None:
    file = stack_file(tmp_path, archive.keyring)
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
    path: str, reason: str, archive: Archive, engine: Engine, tmp_path: Path
) -> None:
    spoilt = archive.copy(tmp_path / "spoilt")
    (file,) = spoilt.folder.glob(path)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    stack = stack_file(tmp_path, archive.keyring)
    result = labctl("build", "--stack", stack, "--mirror", str(spoilt.folder), "--insecure")
    assert result.code == 4
    assert reason in result.err
    assert built(engine) == []


def test_a_mirror_without_a_signature_is_refused(archive: Archive, engine: Engine, tmp_path: Path) -> None:
    bare = archive.copy(tmp_path / "bare")
    (bare.folder / "dists/squeeze/Release.gpg").unlink()
    result = labctl("build", "--stack", stack_file(tmp_path, archive.keyring), "--mirror", str(bare.folder))
    assert (result.code, built(engine)) == (4, [])
    assert "it is not signed, so it cannot be verified (--insecure takes it all the same)" in result.err


def test_without_a_keyring_it_is_refused_but_for_insecure(archive: Archive, engine: Engine, tmp_path: Path) -> None:
    build = ("build", "--stack", stack_file(tmp_path, tmp_path / "none.gpg"), "--mirror", str(archive.folder))
    refused = labctl(*build)
    assert (refused.code, built(engine)) == (4, [])
    assert f"there is no keyring {tmp_path}/none.gpg, so it cannot be verified" in refused.err
    taken = labctl(*build, "--insecure", "-o", "json")
    assert node(taken)[1]["labctl.signatures"] == "not checked"
    assert "with no signature checked" in taken.err


def test_an_old_image_of_the_base_is_taken_unchecked(
    archive: Archive, engine: Engine, port: int, tmp_path: Path
) -> None:
    base = next(tag for tag in engine.images() if tag.startswith("labctl/sid-base:"))
    file = stack_file(tmp_path, archive.keyring, base=base)
    network = ipaddress.ip_network(engine._api.inspect_network("bridge")["IPAM"]["Config"][0]["Subnet"])
    result = labctl("build", "--stack", file, "--mirror", f"http://{network[1]}:{port}", "--insecure", "-o", "json")
    _, labels = node(result)
    assert (labels["labctl.base"], labels["labctl.signatures"]) == (f"pulled {base}", "not checked")
    assert labels["labctl.contents.asterisk"] == VERSIONS["asterisk"]
