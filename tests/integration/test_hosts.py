"""Old base systems are built from hosts of other Debians than this one: what signs and checks there is another apt.

Each host is a container: a Debian of its suite, its own Python, labctl installed from this checkout, the engine's
socket, and no network. bookworm has Python 3.11, trixie 3.13 and sqv in place of gpgv, sid what comes next.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import ssl
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import labctl
from labctl.engine.client import Engine
from labctl.images import recipes as images
from labctl.images.builder import contexts, prepare
from labctl.images.recipes import Recipe, System
from labctl.images.systems import make_bare
from labctl.progress import Silent
from labctl.stack.loader import find_stack
from tests.integration.conftest import RUN, Result
from tests.integration.old_repository import TOOLS, VERSIONS, Archive, OldStack, old_stack, publish

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"it takes {', '.join(TOOLS)}"),
]

CHECKOUT = Path(labctl.__file__).parents[1]
SOCKET = "/var/run/docker.sock"
PYTHONS = {"bookworm": (3, 11), "trixie": (3, 13), "sid": (3, 13)}
"""By suite: the version of Python that it has, or that it had when this was written; sid moves on."""
INSTALL = """\
ARG BASE
FROM ${BASE}
COPY root/ /
ENV PIP_CERT=/opt/certificates.pem PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get -q update && apt-get -q install --yes --no-install-recommends python3-venv && python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --quiet hatchling %s && rm -rf /var/lib/apt/lists/* /root/.cache
"""


@dataclass(frozen=True)
class Host:
    """A container that labctl is installed in."""

    engine: Engine
    container: str

    def run(self, *command: str) -> Result:
        """Run a command to its end."""
        api: Any = self.engine._api
        made = api.exec_create(self.container, list(command))["Id"]
        out, err = api.exec_start(made, demux=True)
        code = api.exec_inspect(made)["ExitCode"]
        return Result(code, (out or b"").decode(), (err or b"").decode("utf-8", "replace"))

    def labctl(self, *arguments: str) -> Result:
        """Run its labctl."""
        return self.run("/opt/venv/bin/labctl", *arguments)


def image_of_host(engine: Engine, suite: str) -> str:
    """The image of a host with what labctl needs from elsewhere, made where it is not there yet."""
    needs = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    dockerfile = INSTALL % " ".join(f"'{need}'" for need in needs)
    tag = f"labctl/t-host-{suite}:{hashlib.sha256(dockerfile.encode()).hexdigest()[:12]}"
    if engine.image_id(tag):
        return tag
    base, files = f"labctl/t-host-{suite}-base:1", contexts()[images.BASE]
    if not engine.image_id(base):
        system = System(suite, f"debian:{suite}")
        make_bare(engine, Recipe("base", base, files, system=system), system, Silent())
    certificates = ssl.get_default_verify_paths().cafile
    trusted = Path(certificates).read_bytes() if certificates else b""
    context = {**files, "Dockerfile": (dockerfile.encode(), 0o644), "root/opt/certificates.pem": (trusted, 0o644)}
    for _ in engine.build(images.pack(context), tag, {"BASE": base}, {}):
        pass
    return tag


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The stand-in squeeze, of amd64."""
    keyring = tmp_path_factory.mktemp("keys") / "keyring.gpg"
    return publish(tmp_path_factory.mktemp("archive"), keyring, tmp_path_factory.mktemp("lists"), "amd64")


@pytest.fixture
def stack(archive: Archive, engine: Engine, tmp_path: Path) -> Iterator[OldStack]:
    """An old stack; and the container that makes it, which a host without a registry and mmdebstrap cannot make."""
    with old_stack(engine, tmp_path, archive.keyring) as stack:
        prepare(engine, find_stack(stack.file), Silent())
        yield stack


@pytest.fixture(params=PYTHONS)
def host(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path, archive: Archive) -> Iterator[Host]:
    """A host of each suite, which sees the test's folders at the paths that the engine's machine has them at."""
    api: Any = engine._api
    folders = [str(folder) for folder in (CHECKOUT, tmp_path, archive.folder, archive.keyring.parent)]
    binds = [f"{SOCKET}:{SOCKET}", *(f"{folder}:{folder}:ro" for folder in folders)]
    container = api.create_container(
        image_of_host(engine, request.param),
        ["sleep", "infinity"],
        name=f"t{RUN}-host-{request.param}",
        host_config=api.create_host_config(binds=binds, network_mode="none"),
    )["Id"]
    try:
        api.start(container)
        host = Host(engine, container)
        install = ("--no-index", "--no-deps", "--no-build-isolation", "--quiet", str(CHECKOUT))
        installed = host.run("/opt/venv/bin/pip", "install", *install)
        assert installed.code == 0, installed.err
        python = host.run("/opt/venv/bin/python", "-c", "import sys; print(*sys.version_info[:2])")
        assert tuple(map(int, python.out.split())) >= PYTHONS[request.param]
        yield host
    finally:
        api.remove_container(container, force=True, v=True)


def test_an_old_base_system_is_built_and_one_that_was_tampered_with_is_refused(
    host: Host, stack: OldStack, archive: Archive, tmp_path: Path
) -> None:
    spoilt = archive.spoilt(tmp_path / "spoilt", "dists/squeeze/Release")
    refused = host.labctl("build", "--stack", stack.file, "--mirror", str(spoilt.folder), "--insecure")
    assert (refused.code, "BADSIG" in refused.err, stack.images()) == (4, True, []), refused.err
    built = host.labctl("build", "--stack", stack.file, "--mirror", str(archive.folder), "-o", "json")
    assert built.code == 0, built.err
    labels = next(iter(json.loads(built.out).values()))
    assert {name: labels[f"labctl.contents.{name}"] for name in VERSIONS} == VERSIONS
    assert labels["labctl.signatures"] == f"checked with {archive.keyring}"
