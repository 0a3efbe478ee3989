"""Images that a bundle brings: which are used, and by what name. Hostile ones are in test_hostile_bundles.py."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from labctl.bundle import archive, images, packing, reading
from labctl.bundle.layout import IMAGES
from labctl.engine.client import Engine
from labctl.errors import HostError, UsageError
from labctl.images.recipes import Images
from labctl.scenario.made_with import ImageFacts
from labctl.stack.loader import find_stack
from tests.unit.bundles import IMAGE_ID, contents, image, keep_run, with_image

NAME = f"labctl/bundled-node:{IMAGE_ID[7:19]}"


class ImageEngine:
    """An engine that holds images by id, with the packages of each by name."""

    def __init__(self, packages: dict[str, str] | None = None, ids: tuple[str, ...] = ()) -> None:
        self.packages, self.ids = packages or {}, [*ids]
        self.loaded: list[bytes] = []
        self.names: dict[str, str] = {}
        self.loads = True

    def image_id(self, reference: str) -> str:
        return reference if reference in self.ids else ""

    def image_labels(self, _reference: str) -> dict[str, str]:
        return {f"labctl.contents.{name}": version for name, version in self.packages.items()}

    def load_image(self, chunks: Iterable[bytes]) -> None:
        self.loaded.append(b"".join(chunks))
        self.ids += [IMAGE_ID] if self.loads else []

    def save_image(self, reference: str) -> Iterable[bytes]:
        assert reference == IMAGE_ID
        return [image()[:700], image()[700:]]

    def tag_image(self, reference: str, name: str) -> None:
        self.names[name] = reference


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with a node's image in it."""
    packing.pack(keep_run(tmp_path / "one"), tmp_path / "bug.labz")
    (tmp_path / "bug.labz").write_bytes(with_image((tmp_path / "bug.labz").read_bytes(), image()))
    return tmp_path / "bug.labz"


def load(engine: ImageEngine, bundle: Path) -> str | None:
    """The image that nodes then run on."""
    return images.with_bundled(cast(Engine, engine), bundle, find_stack("22"), {"node": IMAGE_ID}).image


def test_one_that_is_wanted_gets_its_own_name(bundle: Path) -> None:
    engine = ImageEngine()
    assert load(engine, bundle) == NAME
    assert engine.loaded == [image()]
    assert engine.names == {NAME: IMAGE_ID}


def test_one_that_is_here_already_is_not_loaded_again(bundle: Path) -> None:
    engine = ImageEngine(ids=(IMAGE_ID,))
    assert load(engine, bundle) == NAME
    assert engine.loaded == []


def test_one_that_is_another_once_it_is_loaded_is_not_used(bundle: Path) -> None:
    engine = ImageEngine()
    engine.loads = False
    with pytest.raises(HostError, match="has not loaded"):
        load(engine, bundle)
    assert engine.names == {}


@pytest.mark.parametrize(
    ("here", "packages", "used"),
    [
        (Images("labctl/22-node:a", "p"), {}, True),
        (Images("labctl/22-node:a", "p", "sha256:b"), {"asterisk": "22.10.1", "corosync": "3.1.10"}, False),
        (Images("labctl/22-node:a", "p", "sha256:b"), {"asterisk": "22.11", "corosync": "3.1.10"}, True),
    ],
)
def test_one_is_used_where_there_is_none_here_or_one_with_other_packages(
    here: Images, packages: dict[str, str], used: bool
) -> None:
    facts = {"node": ImageFacts("t", IMAGE_ID, {"asterisk": "22.10.1", "corosync": "3.1.10"})}
    engine = cast(Engine, ImageEngine(packages))
    assert images.wanted(engine, facts, ("node",), here) == ({"node": IMAGE_ID} if used else {})
    assert images.wanted(engine, facts, (), here) == {}


def test_it_is_read_and_wants_no_trust_as_long_as_it_is_not_used(bundle: Path) -> None:
    sent = reading.read(bundle)
    assert sent.images == ("node",)
    assert sent.programs == ()


def test_a_bundle_is_packed_with_it(tmp_path: Path) -> None:
    run = keep_run(tmp_path / "one")
    made = (run / "made_with.json").read_text().replace("sha256:aa", IMAGE_ID)
    (run / "made_with.json").write_text(made)
    engine = ImageEngine(ids=(IMAGE_ID,))
    packing.pack(run, tmp_path / "bug.labz", cast(Engine, engine), ("node",))
    with archive.opened(tmp_path / "bug.labz") as opened:
        images.check(opened, "node")
    assert contents((tmp_path / "bug.labz").read_bytes())[1][IMAGES["node"]] == image()


def test_one_that_is_gone_or_not_known_is_told(tmp_path: Path) -> None:
    run = keep_run(tmp_path / "one")
    with pytest.raises(HostError, match="is not here any more"):
        packing.pack(run, tmp_path / "bug.labz", cast(Engine, ImageEngine()), ("node",))
    with pytest.raises(UsageError, match="which image was that of the phones"):
        packing.pack(run, tmp_path / "bug.labz", cast(Engine, ImageEngine()), ("phones",))
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
