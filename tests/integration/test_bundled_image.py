"""An image that goes along with a bundle, by a real engine: saved, checked, loaded where it is not, and named apart."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.bundle import archive, images, packing, reading
from labctl.engine.client import Engine
from labctl.stack.loader import find_stack
from tests.integration.conftest import RUN
from tests.unit.bundles import keep_run

pytestmark = pytest.mark.docker

TAG = f"labctl/t-bundled-{RUN}:1"


@pytest.fixture
def identity(engine: Engine) -> Iterator[str]:
    """The id of a little image, which is gone when the test is over."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as members:
        info = tarfile.TarInfo("told")
        info.size = len(RUN)
        members.addfile(info, io.BytesIO(RUN.encode()))
    buffer.seek(0)
    engine.import_image(buffer, TAG, {"labctl.contents.asterisk": "22.10.1"})
    identity = engine.image_id(TAG)
    yield identity
    for reference in (TAG, name_of(identity)):
        engine.remove_image(reference)


def name_of(identity: str) -> str:
    return f"labctl/bundled-node:{identity[7:19]}"


def test_an_image_goes_along_and_comes_back_by_a_name_of_its_own(engine: Engine, identity: str, tmp_path: Path) -> None:
    run = keep_run(tmp_path / "one")
    made = json.loads((run / "made_with.json").read_text("utf-8"))
    made["images"]["node"] |= {"tag": TAG, "id": identity}
    (run / "made_with.json").write_text(json.dumps(made), "utf-8")
    packing.pack(run, tmp_path / "bug.labz", engine, ("node",))
    engine.remove_image(TAG)
    assert engine.image_id(identity) == ""
    sent = reading.read(tmp_path / "bug.labz")
    assert sent.images == ("node",)
    stack = images.with_bundled(engine, tmp_path / "bug.labz", find_stack("22"), {"node": identity})
    assert stack.image == name_of(identity)
    assert engine.image_id(name_of(identity)) == identity
    assert engine.image_id(TAG) == ""
    with archive.opened(tmp_path / "bug.labz") as opened:
        images.check(opened, "node")
