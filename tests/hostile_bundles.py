"""Two hundred bundles and more that a stranger could send, each wrong in a way of its own, made of one that is right.

A kind is a function of `KINDS`, which makes the names and bytes of its cases; they differ in what they do, not in
numbers alone.
"""

from __future__ import annotations

import io
import json
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labctl.bundle.layout import MANIFEST
from tests import quick_yaml
from tests.unit.bundles import IMAGE_ID, Files, contents, entry, image, sealed, with_image, zipped

Case = tuple[str, bytes]
"""What is wrong, and the bundle."""

Kind = Callable[["Good"], Iterator[Case]]
"""What makes the cases of one kind."""

KINDS: list[Kind] = []


@dataclass(frozen=True)
class Good:
    """A bundle with nothing wrong in it."""

    bundle: bytes
    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]

    @classmethod
    def of(cls, bundle: bytes) -> Good:
        """The parts of a bundle."""
        return cls(bundle, *contents(bundle))

    def with_files(self, **changed: bytes | str | None) -> bytes:
        """The same with other files (`__` for a dot); None takes one away. The manifest names them as they are."""
        return self.with_paths({name.replace("__", "."): data for name, data in changed.items()})

    def with_paths(self, changed: Mapping[str, bytes | str | None]) -> bytes:
        """The same, by path."""
        files: Files = dict(self.files)
        for path, data in changed.items():
            files.pop(path, None)
            if data is not None:
                files[path] = data.encode() if isinstance(data, str) else data
        return zipped(files, sealed(self.manifest, files))

    def with_manifest(self, **changed: Any) -> bytes:
        """The same with other words in the manifest, which names the files as they are."""
        return zipped(self.files, sealed({**self.manifest, **changed}, self.files))

    def with_text(self, manifest: bytes) -> bytes:
        """The same with another manifest."""
        return zipped(self.files, manifest)

    def with_scenario(self, change: Callable[[dict[str, Any]], None]) -> bytes:
        """The same with another scenario."""
        scenario = quick_yaml.load(self.files["scenario.yaml"])
        change(scenario)
        return self.with_files(scenario__yaml=quick_yaml.dump(scenario))


def kind(make: Kind) -> Kind:
    """Add a kind of hostile bundles."""
    KINDS.append(make)
    return make


# The zip


@kind
def names(good: Good) -> Iterator[Case]:
    """A path that leads out of the folder, or is none."""
    paths = {
        "up": "../evil.log",
        "far up": "../../../../../../etc/cron.d/evil.log",
        "up within": "nodes/../../evil.log",
        "here": "./history2.jsonl",
        "absolute": "/etc/evil.log",
        "doubly absolute": "//etc/passwd.log",
        "of a drive": "C:/evil.log",
        "of a drive, backslash": "C:\\evil.log",
        "up by backslash": "..\\..\\evil.log",
        "of a share": "\\\\server\\share\\evil.log",
        "home": "~/evil.log",
        "variable": "$HOME/evil.log",
        "NUL": "evil\0.log",
        "NUL and more": "n1.log\0.sh",
        "line feed": "evil\n.log",
        "escape": "\x1b[2Jevil.log",
        "DEL": "evil\x7f.log",
        "very long": "a" * 5000 + ".log",
        "very deep": "nodes/" + "a/" * 300 + "x",
        "hidden": ".bashrc.log",
        "hidden folder": ".ssh/authorized_keys.log",
        "empty part": "nodes//n1.log",
        "ends with a slash": "nodes/",
        "space": "evil name.log",
        "leading space": " evil.log",
        "ends with a dot": "nodes/n1/..",
        "full-width dots": "nodes/\uff0e\uff0e/x",
        "right-to-left": "evil\u202egol.log",
        "other letters": "h\u0456story.jsonl",
        "device": "CON:evil.log",
        "stream": "n1.log:evil",
        "colon": "nodes:evil.log",
        "quote": "n1'.log",
        "semicolon": "n1;reboot.log",
        "backtick": "n1`id`.log",
        "star": "nodes/*",
        "dash": "-rf.log",
        "empty": "",
    }
    for what, path in paths.items():
        yield what, good.with_paths({path: "evil"})


@kind
def suffixes(good: Good) -> Iterator[Case]:
    """A file of a kind that no bundle has."""
    inner = zipped({"n1.log": b"nested"})
    gnu_tar = io.BytesIO()
    with tarfile.open(fileobj=gnu_tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../evil"))
    others: dict[str, bytes] = {
        "nested.zip": inner,
        "nested.labz": good.bundle,
        "nested.tar": gnu_tar.getvalue(),
        "nested.tar.gz": b"\x1f\x8b\x08",
        "run.sh": b"#!/bin/sh\nreboot\n",
        "sitecustomize.py": b"raise SystemExit(3)\n",
        "conftest.py": b"raise SystemExit(3)\n",
        "evil.so": b"\x7fELF",
        "core.91": b"\x7fELF",
        "Makefile": b"all:; reboot\n",
        "verdict.pickle": b"cos\nsystem\n(S'reboot'\ntR.",
        "images/other.tar": gnu_tar.getvalue(),
        "images/node.tar.gz": b"\x1f\x8b\x08",
    }
    for path, data in others.items():
        yield path, good.with_paths({path: data})


@kind
def entries(good: Good) -> Iterator[Case]:
    """An entry that is no plain file, or in a form that could be read in two ways."""

    def packed(path: str, data: bytes = b"evil", **attributes: Any) -> bytes:
        files = {**good.files, path: data}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, text in files.items():
                info = entry(name)
                if name == path:
                    for attribute, value in attributes.items():
                        setattr(info, attribute, value)
                archive.writestr(info, text)
            archive.writestr(entry(MANIFEST), sealed(good.manifest, files))
        return buffer.getvalue()

    modes = {"link": 0o120777, "folder": 0o040755, "pipe": 0o010644, "socket": 0o140644, "block device": 0o060644}
    modes |= {"character device": 0o020644}
    for what, mode in modes.items():
        yield f"a {what}", packed("n4.log", external_attr=mode << 16)
    yield "a link to a file outside", packed("n4.log", b"/etc/passwd", external_attr=0o120777 << 16)
    yield "bzip2", packed("n4.log", compress_type=zipfile.ZIP_BZIP2)
    yield "lzma", packed("n4.log", compress_type=zipfile.ZIP_LZMA)
    yield "a comment", packed("n4.log", comment=b"PK\5\6" * 8)
    yield "an extra field", packed("n4.log", extra=b"\x75\x70\x04\x00evil")
    yield "a zip64 field", packed("n4.log", extra=struct.pack("<HHQ", 1, 8, 1 << 40))


@kind
def duplicates(good: Good) -> Iterator[Case]:
    """Two entries of one name: which of them is meant?"""

    def twice(second: str, first: str | None = None) -> bytes:
        files = dict(good.files)
        if first:
            files[first] = b"first"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, text in files.items():
                archive.writestr(entry(name), text)
            archive.writestr(entry(MANIFEST), sealed(good.manifest, files))
            archive.NameToInfo.pop(second, None)  # so that zipfile does not warn
            archive.writestr(entry(second), b"second")
        return buffer.getvalue()

    yield "the scenario", twice("scenario.yaml")
    yield "the manifest", twice(MANIFEST)
    yield "the verdict", twice("verdict.json")
    yield "in other case", twice("SCENARIO.yaml")
    yield "the manifest in other case", twice("Manifest.json")
    yield "a file and its folder", twice("nodes/n9/etc", "nodes/n9/etc/x")
    yield "a folder and its file", twice("nodes/n8/etc/x", "nodes/n8/etc")


@kind
def bombs(good: Good) -> Iterator[Case]:
    """Little that becomes much."""
    yield "zeros", good.with_paths({"n4.log": b"\0" * (8 << 20)})
    yield "letters", good.with_paths({"history.jsonl": b"a" * (9 << 20)})
    yield "a file too large", _swollen(good, 1, 70 << 20)
    yield "several that are too large together", _swollen(good, 5, 60 << 20)
    yield "all of them large", _swollen(good, 40, 63 << 20)
    yield "many entries", good.with_paths({f"nodes/n1/{number}": b"" for number in range(2500)})
    yield "an image of zeros", good.with_paths({"images/node.tar": b"\0" * (10 << 20)})
    yield "an image far too large", _swollen(Good.of(good.with_paths({"images/node.tar": b""})), 1, 0xFFFFFFF0)
    yield "a large manifest", good.with_manifest(lacking=["x" * (2 << 20)])
    yield "one entry over the other", _overlapping(good)


def _listed(data: bytes | bytearray) -> list[int]:
    """Where each entry stands in the list at the end."""
    place = struct.unpack_from("<L", data, len(data) - 6)[0]
    places = []
    while data[place : place + 4] == b"PK\1\2":
        places.append(place)
        place += 46 + sum(struct.unpack_from("<3H", data, place + 28))
    return places


def _overlapping(good: Good) -> bytes:
    """Entries whose list says that all of them are at one place, as the flattest of zip bombs has them."""
    data = bytearray(good.bundle)
    first, *others = _listed(data)
    for place in others[:3]:
        data[place + 42 : place + 46] = data[first + 42 : first + 46]
    return bytes(data)


def _swollen(good: Good, count: int, size: int) -> bytes:
    """The first entries are said to be so large."""
    data = bytearray(good.bundle)
    for place in _listed(data)[:count]:
        struct.pack_into("<L", data, place + 24, size)
    return bytes(data)


@kind
def ends(good: Good) -> Iterator[Case]:
    """No zip, or one whose begin or end is another."""
    data = good.bundle
    yield "nothing", b""
    yield "a byte", b"P"
    yield "text", b"this is no zip\n" * 40
    yield "zeros alone", b"\0" * 4096
    yield "a gzip", b"\x1f\x8b\x08\0\0\0\0\0" + b"\0" * 100
    yield "a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 100
    yield "a program", b"\x7fELF" + b"\0" * 100
    yield "a script before it", b"#!/bin/sh\nreboot\nexit\n" + data
    yield "something behind it", data + b"more"
    yield "another zip behind it", data + zipped({"n1.log": b"x"}, b"{}")
    yield "without its end", data[:-30]
    yield "its first half", data[: len(data) // 2]
    yield "its second half", data[len(data) // 2 :]
    yield "the end alone", data[-22:]
    yield "an empty zip", zipped({})
    yield "no manifest", zipped(good.files)

    def ended(offset: int, form: str, value: int) -> bytes:
        changed = bytearray(data)
        struct.pack_into(form, changed, len(data) - 22 + offset, value)
        return bytes(changed)

    fields = {
        "disk": (4, 1),
        "disk of the list": (6, 1),
        "entries here": (8, 3),
        "entries": (10, 3),
        "comment": (20, 9),
    }
    fields |= {"no entry": (10, 0), "all of zip64": (10, 0xFFFF)}
    for what, (offset, value) in fields.items():
        yield f"another number of {what}", ended(offset, "<H", value)
    for what, (offset, number) in {
        "a long list": (12, 1 << 30),
        "a list elsewhere": (16, 5),
        "64": (16, 0xFFFFFFFF),
    }.items():
        yield what, ended(offset, "<L", number)


@kind
def headers(good: Good) -> Iterator[Case]:
    """The list of entries and what stands before each of them do not agree."""
    data = good.bundle
    start = struct.unpack_from("<L", data, len(data) - 6)[0]

    def listed(offset: int, form: str, value: int) -> bytes:
        changed = bytearray(data)
        struct.pack_into(form, changed, start + offset, value)
        return bytes(changed)

    def local(offset: int, form: str, value: int) -> bytes:
        changed = bytearray(data)
        struct.pack_into(form, changed, offset, value)
        return bytes(changed)

    yield "encrypted, in the list", listed(8, "<H", 1)
    yield "strongly encrypted, in the list", listed(8, "<H", 0x41)
    yield "masked, in the list", listed(8, "<H", 0x2000)
    yield "patched data, in the list", listed(8, "<H", 0x20)
    yield "sizes behind the data, in the list", listed(8, "<H", 8)
    yield "stored, in the list", listed(10, "<H", 0)
    yield "of an unknown method, in the list", listed(10, "<H", 99)
    yield "another CRC, in the list", listed(16, "<L", 0xDEADBEEF)
    yield "packed smaller, in the list", listed(20, "<L", 3)
    yield "packed larger, in the list", listed(20, "<L", 1 << 30)
    yield "smaller, in the list", listed(24, "<L", 3)
    yield "larger, in the list", listed(24, "<L", 1 << 20)
    yield "of zip64, in the list", listed(24, "<L", 0xFFFFFFFF)
    yield "on another disk", listed(34, "<H", 7)
    yield "elsewhere", listed(42, "<L", 7)
    yield "behind the end", listed(42, "<L", 0x7FFFFFFF)
    yield "another mark in the list", listed(0, "<L", 0x04034B50)
    yield "encrypted, before the data", local(6, "<H", 1)
    yield "of another method, before the data", local(8, "<H", 0)
    yield "another mark before the data", local(0, "<L", 0x02014B50)
    yield "a longer name before the data", local(26, "<H", 60000)
    yield "more extra before the data", local(28, "<H", 60000)
    for at in (64, 200, 400):
        changed = bytearray(data)
        changed[at] ^= 0xFF
        yield f"a changed byte at {at}", bytes(changed)


# The manifest


@kind
def manifests(good: Good) -> Iterator[Case]:
    """A manifest that is none, or does not say what is there."""
    texts: dict[str, bytes] = {
        "empty": b"",
        "no JSON": b"{",
        "a list": b"[]",
        "a number": b"1",
        "null": b"null",
        "no UTF-8": b'{"format": "\xff\xfe"}',
        "deep": b"[" * 200_000,
        "deep and closed": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "a number of a million digits": b'{"version": ' + b"9" * 1_000_000 + b"}",
        "a picture": b"\x89PNG\r\n\x1a\n",
        "YAML": b"format: labctl bundle\nversion: 1\n",
    }
    for what, text in texts.items():
        yield what, good.with_text(text)
    words: dict[str, dict[str, Any]] = {
        "another format": {"format": "other"},
        "no version": {"version": None},
        "a later version": {"version": 2},
        "a version far later": {"version": 1 << 70},
        "a negative version": {"version": -1},
        "a version in words": {"version": "one"},
        "a run that is a list": {"run": []},
        "a run without a scenario": {"run": {"title": "x"}},
        "a scenario that is a number": {"run": {**good.manifest["run"], "scenario": 7}},
        "a seed that is a fraction": {"run": {**good.manifest["run"], "seed": 1.5}},
        "a machine that is a text": {"machine": "mine"},
        "images that are a list": {"images": [1, 2]},
        "packages that are a text": {"images": {"node": {"tag": "a", "id": "b", "packages": "all"}}},
        "what is lacking is a number": {"lacking": 3},
    }
    for what, changed in words.items():
        yield what, good.with_manifest(**changed)


@kind
def files(good: Good) -> Iterator[Case]:
    """The manifest and the files do not agree."""
    manifest = json.loads(sealed(good.manifest, good.files))

    def told(change: Callable[[list[dict[str, Any]]], Any]) -> bytes:
        copy = json.loads(json.dumps(manifest))
        change(copy["files"])
        return good.with_text(json.dumps(copy).encode())

    yield "a sum of another", told(lambda listed: listed[0].update(sha256="0" * 64))
    yield "a sum that is none", told(lambda listed: listed[0].update(sha256="evil"))
    yield "another size", told(lambda listed: listed[0].update(size=1))
    yield "a negative size", told(lambda listed: listed[0].update(size=-1))
    yield "a huge size", told(lambda listed: listed[0].update(size=1 << 80))
    yield "a size in words", told(lambda listed: listed[0].update(size="large"))
    yield "a file that is not there", told(lambda listed: listed.append({"path": "n7.log", "size": 1, "sha256": ""}))
    yield "a file that is not told of", told(lambda listed: listed.pop())
    yield "a file told of twice", told(lambda listed: listed.append(listed[0]))
    yield "the manifest itself", told(lambda listed: listed.append({"path": MANIFEST, "size": 1, "sha256": ""}))
    yield "a path elsewhere", told(lambda listed: listed[0].update(path="../../etc/passwd"))
    yield "no files", told(lambda listed: listed.clear())
    yield "a file without a path", told(lambda listed: listed[0].pop("path"))


# What is in it


@kind
def scenarios(good: Good) -> Iterator[Case]:
    """A scenario that is none, or reaches for more than it may."""
    deep = "[" * 5000 + "]" * 5000
    laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [*{before},*{before},*{before},*{before},*{before},*{before},*{before},*{before},*{before}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    texts: dict[str, bytes | str | None] = {
        "none": None,
        "empty": "",
        "a picture": b"\x89PNG\r\n\x1a\n\0\0",
        "no UTF-8": b"title: \xff\xfe",
        "UTF-16": "title: x\nsteps: [settle]\n".encode("utf-16"),
        "not YAML": "title: [",
        "a list": "- settle\n",
        "a program": "#!/bin/sh\nreboot\n",
        "deep": f"title: x\nsteps: {deep}\n",
        "aliases that become a billion": laughs,
        "an alias of itself": "title: x\nsteps: &a [*a]\n",
        "a merge of itself": "&a\ntitle: x\n<<: *a\n",
        "a tag of Python": "title: x\nsteps: !!python/object/apply:os.system ['reboot']\n",
        "a tag of its own": "title: !evil x\nsteps: [settle]\n",
        "too long": "title: x\nabout: " + "y" * (1100 << 10) + "\nsteps: [settle]\n",
        "a NUL": "title: x\0\nsteps: [settle]\n",
        "an escape for terminals": 'title: "\\e[2J"\nsteps: [settle]\n',
        "half a character": 'title: "\\ud800"\nsteps: [settle]\n',
        "two documents": "title: x\n---\ntitle: y\n",
        "no steps": "title: x\n",
        "a lab elsewhere": "title: x\nlab: ../../../etc/passwd\nsteps: [settle]\n",
        "an absolute lab": "title: x\nlab: /etc/hostname\nsteps: [settle]\n",
        "a lab by a device": "title: x\nlab: /dev/zero\nsteps: [settle]\n",
        "thirty thousand steps": "title: x\nsteps:\n" + "- settle\n" * 30_000,
        "a lab on the web": "title: x\nlab: https://198.18.0.1/lab.yaml\nsteps: [settle]\n",
    }
    for what, text in texts.items():
        yield what, good.with_files(scenario__yaml=text)


@kind
def data(good: Good) -> Iterator[Case]:
    """Data of a scenario that no lab can have."""

    def lab(**changed: Any) -> Callable[[dict[str, Any]], None]:
        return lambda scenario: scenario["lab"].update(changed)

    def steps(*listed: Any) -> Callable[[dict[str, Any]], None]:
        return lambda scenario: scenario.update(steps=list(listed))

    changes: dict[str, Callable[[dict[str, Any]], None]] = {
        "a stack by path": lab(stack="/etc/passwd"),
        "a stack by path up": lab(stack="../../stack.yaml"),
        "an unknown stack": lab(stack="99"),
        "a thousand nodes": lab(nodes=1000),
        "a node of no name": lab(nodes=["../n1"]),
        "a node named for a shell": lab(nodes=["n1; reboot"]),
        "a huge token": lab(totem={"token": 10**30}),
        "a network outside": lab(subnet="10.0.0.0/8"),
        "a configuration elsewhere": lab(config={"all": {"../../root/.ssh/authorized_keys": "x"}}),
        "a configuration of the system": lab(config={"all": {"passwd": "root::0:0::/:/bin/sh"}}),
        "a configuration of a service": lab(config={"all": {"service/asterisk/run": "#!/bin/sh"}}),
        "an unknown key": lab(privileged=True),
        "an image": lab(image="evil:latest"),
        "a step that is none": steps({"system": "reboot"}),
        "a step in Python": steps({"__import__('os').system('reboot')": {}}),
        "a step by a dunder": steps({"__class__": {}}),
        "a method that is no step": steps({"close": {}}),
        "an endless wait": steps({"settle": "999999999h"}),
        "a wait that is no number": steps({"settle": "nan"}),
        "a node that is not there": steps({"set_state": {"node": "n9", "device": "mystate", "state": "BUSY"}}),
        "a state that is none": steps({"set_state": {"node": "n1", "device": "mystate", "state": "BUSY\nAction: x"}}),
        "a pattern that is none": lambda scenario: scenario["known"][0].update(finding="("),
        "a pattern that never ends": lambda scenario: scenario["known"][0].update(finding="(.*)*x"),
        "a pattern of choices that never ends": lambda scenario: scenario["known"][0].update(finding="(a|a){1,99}x"),
        "an answer that is looked for without end": steps(
            {"cli": {"node": "n1", "command": "core show uptime", "expect": "(.+)+x"}}
        ),
        "a command on a node": steps({"exec": {"node": "n1", "command": "reboot"}}),
        "a pattern that takes very long": lambda scenario: scenario["known"][0].update(finding=".*" * 30 + "x"),
        "a check that is none": lambda scenario: scenario.update(expect=["__init__"]),
        "a limit that is none": lambda scenario: scenario.update(limits={"delay": "-1s"}),
    }
    for what, change in changes.items():
        yield what, good.with_scenario(change)


@kind
def commands(good: Good) -> Iterator[Case]:
    """Configuration that has a node run commands; without --trust that is refused."""
    texts = {
        "System": ("extensions.conf", "[x]\nexten => 1,1,System(reboot)"),
        "TrySystem": ("extensions.conf", "[x]\nexten => 1,1,TrySystem(reboot)"),
        "SHELL": ("extensions.conf", "[x]\nexten => 1,1,Set(a=${SHELL(id)})"),
        "AGI": ("extensions.conf", "[x]\nexten => 1,1,AGI(evil.agi)"),
        "FILE": ("extensions.conf", "[x]\nexten => 1,1,Set(FILE(/etc/x)=y)"),
        "an assembled name": ("extensions.conf", "[x]\nexten => 1,1,Exec(${a}${b}(reboot))"),
        "#exec": ("extensions.conf", "#exec /bin/sh -c reboot"),
        "execincludes": ("asterisk.conf", "[options]\nexecincludes = yes"),
        "live_dangerously": ("asterisk.conf", "[options]\nlive_dangerously = yes"),
        "mailcmd": ("voicemail.conf", "[general]\nmailcmd=/bin/sh"),
        "externnotify": ("voicemail.conf", "[general]\nexternnotify=/bin/sh"),
        "music": ("musiconhold.conf", "[x]\nmode=custom\napplication=/bin/sh"),
        "Lua": ("extensions.lua", "os.execute('reboot')"),
        "a mixed case": ("extensions.conf", "[x]\nexten => 1,1,sYsTeM(reboot)"),
        "within a comment": ("extensions.conf", "[x]\nexten => 1,1,Sys;-- x --;tem(reboot)"),
    }
    for what, (file, text) in texts.items():
        scenario = quick_yaml.load(good.files["scenario.yaml"])
        scenario["lab"]["config"] = {"all": {f"asterisk/{file}": text}}
        yield what, good.with_files(scenario__yaml=quick_yaml.dump(scenario))


@kind
def stacks(good: Good) -> Iterator[Case]:
    """A stack that is none, or asks for what is not this labctl's."""
    text = good.files["stack.yaml"].decode()
    yield "a picture", good.with_files(stack__yaml=b"\x89PNG\0\0")
    yield "empty", good.with_files(stack__yaml="")
    yield "an unknown key", good.with_files(stack__yaml=text + "privileged: true\n")
    yield "a template elsewhere", good.with_files(stack__yaml=text.replace("asterisk.conf.j2", "../../../etc/passwd"))
    yield "an image of its own", good.with_files(stack__yaml=text + "image: evil:latest\n")
    pattern = re.sub(r"lost_ring:\n(?:- .*\n)+", "lost_ring: ['(']\n", text)
    yield "a pattern that is none", good.with_files(stack__yaml=pattern)
    yield "deep", good.with_files(stack__yaml="a: " + "[" * 5000)
    own = text.replace("name: '22'", "name: mine")

    def mine(scenario: dict[str, Any]) -> None:
        scenario["lab"]["stack"] = "mine"
        scenario["known"][0]["stack"] = "mine"

    scenario = quick_yaml.load(good.files["scenario.yaml"])
    mine(scenario)
    yield "of its own name", good.with_files(stack__yaml=own, scenario__yaml=quick_yaml.dump(scenario))
    yield "with a name that is not its own", good.with_files(scenario__yaml=quick_yaml.dump(scenario))


@kind
def patches(good: Good) -> Iterator[Case]:
    """A patch that is none, or of another file; and one that is right, which is a stranger's program."""
    texts: dict[str, bytes] = {
        "empty": b"",
        "a picture": b"\x89PNG\r\n\x1a\n",
        "a script": b"#!/bin/sh\nreboot\n",
        "of another file": b"--- a/main/asterisk.c\n+++ b/main/asterisk.c\n@@ -1 +1 @@\n-a\n+b\n",
        "of a file elsewhere": b"--- a/../../etc/passwd\n+++ b/../../etc/passwd\n@@ -1 +1 @@\n-a\n+b\n",
        "of an absolute file": b"--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n",
        "a hunk that lies": b"--- a/res/res_corosync.c\n+++ b/res/res_corosync.c\n@@ -1,9999 +1,9999 @@\n-a\n+b\n",
        "right, and not trusted": b"--- a/res/res_corosync.c\n+++ b/res/res_corosync.c\n@@ -1 +1 @@\n-a\n+b\n",
    }
    for what, text in texts.items():
        yield what, good.with_paths({"patches/001-evil.patch": text})


@kind
def verdicts(good: Good) -> Iterator[Case]:
    """A verdict that is none."""
    texts: dict[str, bytes | None] = {
        "none": None,
        "empty": b"",
        "a list": b"[]",
        "deep": b"[" * 200_000,
        "a number of many digits": b'{"seconds": ' + b"9" * 500_000 + b"}",
        "no UTF-8": b'{"scenario": "\xff"}',
        "of a standing that is none": good.files["verdict.json"].replace(b'"known"', b'"splendid"'),
        "judged that is a text": json.dumps({**json.loads(good.files["verdict.json"]), "judged": "all"}).encode(),
        "seconds that are a text": json.dumps({**json.loads(good.files["verdict.json"]), "seconds": "many"}).encode(),
    }
    for what, text in texts.items():
        yield what, good.with_files(verdict__json=text)


@kind
def images(good: Good) -> Iterator[Case]:
    """An image that is not the one it is said to be, or that would take another's place."""
    index = {"manifests": [{"annotations": {"io.containerd.image.name": "registry.example/library/debian:sid"}}]}
    large_name = bytearray(image())
    large_name[124:136] = b"77777777777\0"  # its size, in octal
    pax = bytearray(image())
    pax[156:157] = b"x"
    pax[124:136] = b"00777777777\0"
    for header in (large_name, pax):
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header[:512])
    archives = {
        "empty": b"",
        "a picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 600,
        "text": b"FROM debian\n" * 100,
        "another zip": good.bundle,
        "no description": image({"manifest.json": b""}),
        "a description that is a list of nothing": image({"manifest.json": b"[]"}),
        "two images": image({"manifest.json": b"[{}, {}]"}),
        "a deep description": image({"manifest.json": b"[" * 100_000}),
        "a name of labctl's own": image(RepoTags=["labctl/22-node:b39208942126"]),
        "the name of a base system": image(RepoTags=["debian:sid"]),
        "a name in the old form": image({"repositories": b'{"debian": {"sid": "0"}}'}),
        "a name in an OCI index": image({"index.json": json.dumps(index).encode()}),
        "another configuration": image({f"{IMAGE_ID[7:]}.json": b"{}"}),
        "a configuration that is not there": image(Config="0.json"),
        "a configuration elsewhere": image(Config="../../etc/passwd"),
        "a member up": image({"../evil": b"evil"}),
        "an absolute member": image({"/etc/cron.d/evil": b"evil"}),
        "a member of gigabytes": bytes(large_name),
        "a header of gigabytes": bytes(pax),
        "described twice": image({"./manifest.json": json.dumps([{"RepoTags": ["debian:sid"]}]).encode()}),
        "described by a link": image(links={"index.json": "layer/json"}),
        "a name by a link": image(links={"repositories": "layer/json"}),
        "many members": image({f"layer{number}": b"" for number in range(6000)}),
    }
    for what, archive in archives.items():
        yield what, with_image(good.bundle, archive)
    yield "of another id", with_image(good.bundle, image(), "sha256:" + "0" * 64)
    yield "of an id that is none", with_image(good.bundle, image(), "latest")
    yield "of no id", with_image(good.bundle, image(), "")
    manifest, files = contents(good.bundle)
    yield (
        "of a role that is not told of",
        zipped({**files, "images/phones.tar": image()}, sealed(manifest, {**files, "images/phones.tar": image()})),
    )
