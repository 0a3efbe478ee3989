"""A small Debian repository of the tests' own stands in for the archive of old suites.

Its base system is this machine's Debian, its Asterisk and Corosync are scripts that say their version, and its keys
have expired, as those of the archive have.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from labctl.engine.client import Engine
from labctl.images.architecture import for_kernel
from labctl.images.builder import Options, recipes
from labctl.images.recipes import SYSTEM, WHOLE
from labctl.paths import images_folder
from labctl.stack.loader import find_stack
from tests.integration.conftest import RUN

TOOLS = ("apt-get", "apt-ftparchive", "dpkg-deb", "gpg")
VERSIONS = {"asterisk": "1:1.6.2.9-2+stand.in", "corosync": "1.2.1-4+stand.in", "openais": "1.1.2-2+stand.in"}
UNUSED = {"apt": "99", "usr-is-merged": "99"}
"""Stand-ins for what takes long to install and nobody runs: apt works from outside."""


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

    def spoilt(self, to: Path, path: str) -> Archive:
        """The same once more, with one bit of one file turned: not what was signed."""
        spoilt = self.copy(to)
        (file,) = spoilt.folder.glob(path)
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        return spoilt

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


@dataclass(frozen=True)
class OldStack:
    """A stack file whose node comes at once, with phones like those of stack 22, and the images that are made of it."""

    file: str
    engine: Engine

    def images(self) -> list[str]:
        """Those of its own images that are there: of this test alone, also where another runs beside it."""
        stack = for_kernel(self.engine, find_stack(self.file))
        made = recipes(stack, Options())
        present = self.engine.images()
        return [made[name].tag for name in (WHOLE, SYSTEM) if made[name].tag in present]


@contextmanager
def old_stack(
    engine: Engine, folder: Path, keyring: Path, *, architecture: str = "", **values: Any
) -> Iterator[OldStack]:
    """A stack of a name of its own, whose images are taken away in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    shipped = yaml.safe_load((images_folder() / "stacks/22.yaml").read_text("utf-8"))
    own = {"at_once": True, "keyring": str(keyring), "corosync": ["corosync", "openais"], "asterisk": ["asterisk"]}
    own["phone"] = shipped["build"]["phone"] | {"suite": "sid", "base": "debian:sid"}
    if architecture:
        own["architecture"] = architecture
    data = shipped | {"name": f"t-{RUN}", "suite": "squeeze", "base": "labctl.invalid/no:1", "build": own} | values
    file = folder / f"mine-{architecture or 'native'}.yaml"
    file.write_text(yaml.safe_dump(data))
    stack = OldStack(str(file), engine)
    try:
        yield stack
    finally:
        for tag in stack.images():
            engine.remove_image(tag)
