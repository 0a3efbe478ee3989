"""Runs and bundles by hand, for tests that need no Docker."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labctl.bundle.layout import MANIFEST
from labctl.history import lines as history
from labctl.history.events import Began, Did, Event, FaultBegan, Healed, Line, Looked, Over, Said
from labctl.lab import Overrides
from labctl.labfile import writer as labs
from labctl.scenario import conclusion, made_with, run_folder
from labctl.scenario.loader import find_scenario
from labctl.scenario.made_with import ImageFacts, Machine, MadeWith
from tests.unit.labs import SUBNET

NODES = ("n1", "n2", "n3")
SEED = "0123456789abcdef0123456789abcdef"
MACHINE = Machine("6.12.9", "29.1", "Debian GNU/Linux 13", "x86_64", 2, 1 << 33)
NODE_IMAGE = ImageFacts("labctl/22-node:abc", "sha256:aa", {"asterisk": "22.10.1", "corosync": "3.1.10"}, "sid", "")


def partition_heal(n3: str = "Idle", lines: Iterable[str] = ()) -> tuple[Event, ...]:
    """A run of partition-heal that ends with this state on n3, where Busy is right."""
    states = {"n1": "Busy", "n2": "Busy", "n3": n3}
    return (
        Began(
            *(0.0, "partition-heal", "run-partition-heal", "22", NODES, {"mystate": "Custom:mystate"}),
            seed=7,
            utc="2026-11-26T18:00:00+00:00",
        ),
        FaultBegan(0.1, "split", "partition n1,n2 | n3", NODES),
        Said(0.2, "n1", "Custom:mystate", "BUSY"),
        Healed(8.0, "split"),
        *(Line(0.5, "n3", line) for line in lines),
        Looked(
            20.0,
            {node: {"mystate": state} for node, state in states.items()},
            dict.fromkeys(NODES, NODES),
            members=dict.fromkeys(NODES, NODES),
            hints={node: {"mystate": state} for node, state in states.items()},
        ),
        Did(20.0, 8, "settle", 10.0),
        Over(21.0),
    )


def keep_run(folder: Path, events: tuple[Event, ...] | None = None, scenario: str = "partition-heal") -> Path:
    """The folder of a run of a shipped scenario, with all that `labctl run` keeps."""
    folder.mkdir(parents=True)
    wanted = find_scenario(scenario, Overrides())
    run_folder.write_terms(folder, conclusion.terms_of(wanted))
    run_folder.write_scenario(folder, wanted, 7)
    (folder / "lab.yaml").write_text(labs.to_yaml(wanted.lab))
    for node in wanted.lab.nodes:
        (folder / f"{node.name}.log").write_text(f"{node.name} logged this\n")
    lines = (history.to_line(event) + "\n" for event in events or partition_heal())
    (folder / "history.jsonl").write_text("".join(lines))
    made = MadeWith("0.2.0", "3.11.7", MACHINE, {"node": NODE_IMAGE}, SEED, SUBNET)
    (folder / "made_with.json").write_text(json.dumps(asdict(made)))
    (folder / "stack.yaml").write_text(made_with.stack_text(wanted.stack))
    for path, text in made_with.node_files(wanted.lab, wanted.stack, SUBNET).items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    run_folder.write_result(folder, conclusion.check(folder))
    return folder


Files = dict[str, bytes]
"""What is in a bundle, by path, but for the manifest."""


def contents(bundle: bytes) -> tuple[dict[str, Any], Files]:
    """The manifest and the files of a bundle."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as zipped:
        files = {name: zipped.read(name) for name in zipped.namelist()}
    return json.loads(files.pop(MANIFEST)), files


def sealed(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """A manifest that names these files as they are."""
    named = [
        {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for path, data in files.items()
    ]
    return json.dumps({**manifest, "files": named}).encode()


def entry(name: str) -> zipfile.ZipInfo:
    """An entry as `labctl bundle` writes them."""
    info = zipfile.ZipInfo("name", (1980, 1, 1, 0, 0, 0))
    info.filename = name  # zipfile itself would cut one that has a NUL in it
    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
    return info


def zipped(files: Mapping[str, bytes], manifest: bytes | None = None) -> bytes:
    """A zip of these files, and of a manifest behind them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(entry(name), data)
        if manifest is not None:
            archive.writestr(entry(MANIFEST), manifest)
    return buffer.getvalue()


CONFIG = json.dumps({"config": {"Labels": {}}, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
IMAGE_ID = f"sha256:{hashlib.sha256(CONFIG).hexdigest()}"


def image(members: Mapping[str, bytes] | None = None, links: Mapping[str, str] | None = None, **changed: Any) -> bytes:
    """An image's archive as `docker save` has it of an id, with other words in its description, or other members."""
    name = f"{IMAGE_ID.removeprefix('sha256:')}.json"
    described = [{"Config": name, "RepoTags": None, "Layers": []} | changed]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        parts = {name: CONFIG, "manifest.json": json.dumps(described).encode(), **(members or {})}
        for path, data in parts.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for path, target in (links or {}).items():
            info = tarfile.TarInfo(path)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return buffer.getvalue()


def with_image(bundle: bytes, archive: bytes, identity: str = IMAGE_ID) -> bytes:
    """A bundle with a node's image in it."""
    manifest, files = contents(bundle)
    manifest["images"]["node"]["id"] = identity
    files["images/node.tar"] = archive
    return zipped(files, sealed(manifest, files))
