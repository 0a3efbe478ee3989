"""A run's folder becomes a bundle: read, cleaned of secrets and names, and written as one file, whole or not at all."""

from __future__ import annotations

import datetime
import getpass
import hashlib
import json
import os
import platform
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from labctl import __version__
from labctl.blueprint.secrets import TAKEN_OUT
from labctl.bundle import archive as archives
from labctl.bundle import layout, redaction
from labctl.bundle.cleaning import cleaning
from labctl.bundle.layout import FileEntry, Manifest, RunFacts
from labctl.bundle.redaction import LabSecrets, Redaction, Reporter
from labctl.engine.client import Engine
from labctl.errors import HostError, UsageError
from labctl.lab import Lab, Overrides
from labctl.labfile.reader import read as read_lab
from labctl.patch import Patch
from labctl.report import page
from labctl.scenario import made_with, run_folder, run_record, writer
from labctl.scenario.loader import find_scenario, shipped_scenarios
from labctl.scenario.made_with import MADE_WITH, PATCHES, ImageFacts, MadeWith
from labctl.scenario.run_folder import CAPTURE, HISTORY, LAB, SCENARIO, VERDICT, told_name
from labctl.scenario.run_record import RunRecord
from labctl.stack.loader import find_stack, read_stack
from labctl.stack.model import Stack
from labctl.yamlfile.document import shown

NOT_TAKEN = (layout.MANIFEST, layout.REPORT)
"""What is made anew for the bundle."""

PAGE_ROOM = 4 << 20
"""Bytes that the page may take of a bundle."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every entry: the manifest says when the bundle was made."""


@dataclass(frozen=True)
class Packed:
    """A bundle that was written."""

    path: Path
    size: int
    manifest: Manifest


@dataclass
class _Content:
    """What goes into a bundle, by path, and what does not, with the reason; `clean` takes out what nobody is to see."""

    clean: Redaction
    files: dict[str, bytes] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)


def pack(folder: Path, target: Path, engine: Engine | None = None, roles: Sequence[str] = ()) -> Packed:
    """Write the bundle of a run; what is at `target` is replaced once all of it is there.

    The images of `roles` go along, by `engine`. Raises UsageError, InvalidFile for a folder that is no run's, HostError
    where the bundle cannot be written, or an image is gone.
    """
    if target.is_dir():
        raise UsageError(f"{target} is a folder", "-o names a file")
    record = run_record.recall(folder)
    made = _made_with(folder)
    images = _to_save(engine, made, roles)
    content = _collect(folder, record, made)
    manifest = _manifest(record, made, content)
    with _replacing(target) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, allowZip64=False) as zipped:
        entries = [_add(zipped, path, [data], len(data)) for path, data in sorted(content.files.items())]
        for role, reference in images.items():
            assert engine
            entries.append(_add(zipped, layout.IMAGES[role], engine.save_image(reference)))
        manifest = replace(manifest, files=tuple(entries))
        text = content.clean.applied(json.dumps(asdict(manifest), indent=2)).encode()
        _add(zipped, layout.MANIFEST, [text], len(text))
        zipped.close()
        stream.flush()
        with archives.opened(Path(stream.name)) as archive:  # what labctl cannot read is not handed out
            _ = archive.manifest
    return Packed(target, target.stat().st_size, manifest)


def _made_with(folder: Path) -> MadeWith | None:
    """What the run was made with; None of a labctl that did not keep it."""
    path = folder / MADE_WITH
    return made_with.parse(run_folder.read_file(path), str(path)) if path.is_file() else None


def _to_save(engine: Engine | None, made: MadeWith | None, roles: Iterable[str]) -> dict[str, str]:
    """The ids of the images that go along. Raises UsageError where they are not known, HostError where one is gone."""
    ids: dict[str, str] = {}
    for role in roles:
        image = made.images.get(role) if made else None
        if image is None or not image.id:
            raise UsageError(f"which image was that of the {role}? The run does not tell", "bundle it without images")
        assert engine
        if not engine.image_id(image.id):
            raise HostError(
                f"the image {image.tag} of the run is not here any more", "bundle it without images, or run it again"
            )
        ids[role] = image.id
    return ids


# What goes into it


def _collect(folder: Path, record: RunRecord, made: MadeWith | None) -> _Content:
    """Every text of a run without what is to be taken out, its capture, and its page."""
    texts, others, left_out = _read(folder)
    lab = _lab(texts)
    words = redaction.own_words(lab, record.result.scenario) if lab else (record.result.scenario,)
    clean = cleaning(texts, _secrets(lab, record, made), _reporter(folder), words)
    content = _Content(clean, others, left_out)
    _fill_gaps(texts, record.result.scenario, made, content)
    name = told_name(folder.name)
    texts[VERDICT] = json.dumps({**asdict(record.result), "standing": record.result.standing, "folder": name})
    for path, text in texts.items():
        patch = path.startswith(f"{PATCHES}/")
        content.files[path] = (_changes(text) if patch else content.clean.applied(text)).encode()
    content.files[layout.REPORT] = content.clean.applied(_page(name, content.files)).encode()
    return content


def _secrets(lab: Lab | None, record: RunRecord, made: MadeWith | None) -> LabSecrets:
    """The lab's secrets; of a lab whose file was not kept, by the phones and numbers that the history tells of."""
    devices = record.began.extensions if record.began else {}
    phones = [phone.name for phone in lab.phones] if lab else [name.partition("/")[2] for name in devices.values()]
    mailboxes = [mailbox.number for mailbox in lab.mailboxes] if lab else [*devices]
    return redaction.secrets_of(phones, mailboxes, made.seed if made else "")


def _read(folder: Path) -> tuple[dict[str, str], dict[str, bytes], list[str]]:
    """The texts of a folder by path, what is no text, and what is not taken, with the reason."""
    texts: dict[str, str] = {}
    others: dict[str, bytes] = {}
    left_out: list[str] = []
    room = layout.MAX_FILES - PAGE_ROOM
    for path in sorted(folder.rglob("*")):
        name = told_name(path.relative_to(folder).as_posix())
        if path.is_symlink() or not path.is_file() or name in NOT_TAKEN or name.endswith(".html"):
            continue
        size = path.stat().st_size
        why = _refusal(name, size, room)
        if not why:
            room -= size
            data = path.read_bytes()
            if not layout.is_text(name):
                others[name] = data
                continue
            try:
                texts[name] = data.decode("utf-8")
            except UnicodeDecodeError:
                why = "no text"
        if why:
            left_out.append(f"{name}: {why}")
    return texts, others, left_out


def _refusal(name: str, size: int, room: int) -> str:
    if not layout.belongs(name):
        return "it is no file that a bundle has; what is in it is not known"
    return f"too large, with {size} bytes" if size > min(layout.MAX_FILE, room) else ""


def _changes(patch: str) -> str:
    """A patch from its first change on: what stands before it is a letter, with names and addresses. A mend as it is:
    its head has the licence of its lines."""
    if Patch("", patch.encode()).is_mend:
        return patch
    lines = patch.splitlines(keepends=True)
    begin = next((at for at, line in enumerate(lines) if line.startswith(("diff ", "--- ", "Index: "))), 0)
    return "".join(lines[begin:])


def _fill_gaps(texts: dict[str, str], scenario: str, made: MadeWith | None, content: _Content) -> None:
    """What an older labctl did not keep: taken from what is shipped where that is the same by name, and told."""
    if made is None:
        content.lacking.append("what the machine was, what was in the images, the stack, and the nodes' files")
    else:
        seed = TAKEN_OUT if made.seed else ""
        texts[MADE_WITH] = json.dumps(asdict(replace(made, seed=seed)), indent=2)
    if SCENARIO not in texts:
        shipped = scenario in shipped_scenarios()
        texts |= {SCENARIO: writer.to_yaml(find_scenario(scenario, Overrides()))} if shipped else {}
        own = f"what this labctl ships as {scenario} stands in its place" if shipped else "it cannot be replayed"
        content.lacking.append(f"the scenario: {own}")
    for name, what in (
        (HISTORY, "a history: the lab did not come up"),
        (LAB, "the lab"),
        (CAPTURE, "a capture"),
    ):
        if name not in texts and name not in content.files:
            content.lacking.append(what)


def _lab(texts: Mapping[str, str]) -> Lab | None:
    """The lab, by its own stack; None where it was not kept."""

    def own_stack(name: str) -> Stack:
        return read_stack(texts[made_with.STACK], made_with.STACK) if made_with.STACK in texts else find_stack(name)

    with suppress(UsageError):
        return read_lab(texts.get(LAB, ""), LAB, own_stack, Overrides())[0]
    return None


def _reporter(folder: Path) -> Reporter:
    """Who runs this, on which host, and where."""
    user = ""
    with suppress(OSError, KeyError, ImportError):
        user = getpass.getuser()
    folders = [(str(folder.resolve()), folder.name), (str(folder), folder.name), (str(Path.cwd()), ".")]
    with suppress(RuntimeError):
        folders.append((str(Path.home()), "~"))
    return Reporter(user, platform.node(), tuple(folders))


def _page(name: str, files: Mapping[str, bytes]) -> str:
    """The page of the run as the bundle has it, not as the folder does."""
    with tempfile.TemporaryDirectory(prefix="labctl-") as parent:
        folder = Path(parent) / name
        for path, data in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        record = run_record.recall(folder)
        html = page.render(replace(record, result=replace(record.result, folder=name)))
        return html.replace(str(folder), name)


def _manifest(record: RunRecord, made: MadeWith | None, content: _Content) -> Manifest:
    """What the bundle says of itself, but for its files."""
    result, began = record.result, record.began
    versions = dict(began.versions) if began else {}
    verdict = json.loads(content.files[VERDICT])
    lab = _lab({LAB: content.files[LAB].decode()} if LAB in content.files else {})
    taken_out = [redaction.SECRETS if made and made.seed else redaction.OF_NO_SEED, redaction.MACHINE]
    taken_out += [redaction.CAPTURE] if CAPTURE in content.files else []
    taken_out += [redaction.OF_LAB_FILE] if lab and (lab.config or lab.services) else []
    return Manifest(
        layout.FORMAT,
        layout.VERSION,
        __version__,
        datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        RunFacts(
            result.scenario,
            verdict["title"],
            result.stack,
            result.standing,
            page.sentence(replace(result, lab_error=verdict["lab_error"], error=verdict["error"])),
            began.seed if began else None,
            began.utc if began else "",
        ),
        made.labctl if made else versions.get("labctl", "0.1"),
        began.lab if began else "",
        made.subnet if made else "",
        made.machine if made else made_with.Machine(versions.get("kernel", ""), versions.get("engine", "")),
        dict(made.images) if made else _images_of(versions),
        tuple(taken_out),
        tuple(content.lacking),
        tuple(content.left_out),
    )


def _images_of(versions: Mapping[str, str]) -> dict[str, ImageFacts]:
    """What a history says of the nodes' image, where nothing else does."""
    packages = {
        name.removeprefix("node "): version
        for name, version in versions.items()
        if name.startswith("node ") and name not in ("node image", "node base", "node built")
    }
    tag, _, identity = versions.get("node image", "").partition(" ")
    return {"node": ImageFacts(tag, identity, packages)} if packages or tag else {}


# Written


def _add(zipped: zipfile.ZipFile, path: str, chunks: Iterable[bytes], size: int | None = None) -> FileEntry:
    """Add a file as it comes. Raises HostError for one that is too large for a bundle."""
    entry = zipfile.ZipInfo(path, _EPOCH)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
    if size is not None:
        entry.file_size = size
    digest, length = hashlib.sha256(), 0
    with zipped.open(entry, "w") as stream:
        for chunk in chunks:
            digest.update(chunk)
            length += len(chunk)
            if length > layout.MAX_IMAGE:
                raise HostError(f"{path} is larger than {layout.MAX_IMAGE >> 20} MiB", "bundle it without images")
            stream.write(chunk)
    return FileEntry(path, length, digest.hexdigest())


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `target` once it is whole; else nothing is left of it. Raises HostError."""
    try:
        with run_folder.replacing(target) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise HostError(f"{target}: {error.strerror or error}", "is there room? -o names another place") from None
    except zipfile.LargeZipFile:
        raise HostError(f"{target}: it would be larger than a zip can be", "bundle it without images") from None
    except ValueError:  # what no path can hold, such as a NUL
        raise UsageError(f"{shown(str(target))}: not a path", "-o names a file") from None
