"""A bundle's file, opened as what a stranger sent: nothing of it is believed before it is checked, nothing is unpacked.

A zip says everything twice, and readers differ in which they believe. This one takes no zip but the plain kind that
`labctl bundle` writes: everything that could be meant in two ways is refused.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from labctl.bundle import layout
from labctl.bundle.layout import MANIFEST, Manifest, parse_manifest, refused
from labctl.errors import UsageError
from labctl.yamlfile.document import shown

MAX_DIRECTORY = 1 << 20
"""Bytes of the list of entries."""

MAX_RATIO = 200
"""How much larger the files may be than the bundle. Logs come to 50 at most, images to 5; deflate ends at 1032."""

RATIO_COUNTS = 1 << 20
"""Bytes in all, below which that does not matter."""

CHUNK = 1 << 20

_END = struct.Struct("<4s4H2LH")
"""The end of central directory record (APPNOTE.TXT, 4.3.16)."""
_LOCATOR_SIZE = 20
"""Of the zip64 end of central directory locator, which would stand before that (4.3.15)."""
_LOCAL = struct.Struct("<4s5H3L2H")
"""A local file header (4.3.7)."""
_SYMLINK_BITS = 16
"""Where a Unix file's mode is in an entry's external attributes."""

BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    ValueError,
    IndexError,
    UnicodeError,
)
"""What zipfile raises for a zip that is broken, or of a kind that it does not know."""


class Archive:
    """A bundle that is open: its manifest, and each file that the manifest names, of the size that it says."""

    def __init__(self, zipped: zipfile.ZipFile, source: str) -> None:
        self.source = source
        self._zip = zipped
        self._sizes = {info.filename: info.file_size for info in zipped.infolist()}
        self.manifest: Manifest = parse_manifest(self._whole(MANIFEST), source)
        _agree(self._sizes, self.manifest, source)
        self._sums = {entry.path: entry.sha256 for entry in self.manifest.files}

    def __contains__(self, path: str) -> bool:
        return path in self._sums

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file but the manifest, in order."""
        return tuple(sorted(self._sums))

    def size(self, path: str) -> int:
        """Of a file, in bytes."""
        return self._sizes[path]

    def verify(self) -> None:
        """Read all but the images to their end. Raises UsageError where one is not what the manifest says."""
        for path in self.paths:
            if path not in layout.IMAGES.values():
                for _chunk in self.chunks(path):
                    pass

    def text(self, path: str) -> str:
        """A text. Raises UsageError where it is none, or not the one that the manifest says."""
        try:
            return b"".join(self.chunks(path)).decode("utf-8")
        except UnicodeDecodeError as error:
            raise refused(self.source, f"{path} is not UTF-8 text (byte {error.start})") from None

    def data(self, path: str) -> bytes:
        """A file's bytes. Raises UsageError."""
        return b"".join(self.chunks(path))

    def chunks(self, path: str) -> Iterator[bytes]:
        """A file, bit by bit; at its end it has been checked. Raises UsageError."""
        digest = hashlib.sha256()
        for chunk in self._chunks(path):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != self._sums[path]:
            raise refused(self.source, f"{path} is not the file that the manifest means: its sha256 is another")

    def stream(self, path: str) -> IO[bytes]:
        """A file as it is unpacked, to be read here and there; nobody has checked its sum then."""
        return self._zip.open(path)

    def _whole(self, path: str) -> bytes:
        return b"".join(self._chunks(path))

    def _chunks(self, path: str) -> Iterator[bytes]:
        """The file as it is unpacked, no more of it than it says it has."""
        left = self._sizes[path]
        try:
            with self._zip.open(path) as stream:
                while chunk := stream.read(min(CHUNK, left + 1)):
                    left -= len(chunk)
                    if left < 0:
                        break
                    yield chunk
        except BROKEN as error:
            raise refused(self.source, f"{path} cannot be unpacked: {shown(str(error))}") from None
        if left:
            raise refused(self.source, f"{path} is not as long as it says")


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """A bundle, open while the block runs. Raises UsageError for what is none, or none that may be read."""
    with _regular(path) as stream:
        source = shown(str(path))
        try:
            entries, list_at = _check_end(stream, source)
            zipped = zipfile.ZipFile(stream)
        except BROKEN as error:
            raise refused(source, f"no zip: {shown(str(error))}") from None
        with zipped:
            if (len(zipped.infolist()), zipped.start_dir) != (entries, list_at):
                raise refused(source, "its list of entries can be read in two ways")
            _check_entries(zipped.infolist(), source)
            _check_places(zipped, stream, source)
            yield Archive(zipped, source)


def _regular(path: Path) -> BinaryIO:
    """The file, which is a plain one: a pipe or a device could go on for ever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(
            f"{shown(str(path))}: {error.strerror}", "the path of a bundle: labctl bundle makes one"
        ) from None
    except ValueError:  # what no path can hold, such as a NUL
        raise UsageError(f"{shown(str(path))}: not a path", "the path of a bundle: labctl bundle makes one") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise refused(shown(str(path)), "it is no plain file")
    return os.fdopen(descriptor, "rb")


def _check_end(stream: BinaryIO, source: str) -> tuple[int, int]:
    """The record at the end, before anybody reads what it leads to: how many entries there are, and where their list
    is."""
    size = stream.seek(0, os.SEEK_END)
    if size < _LOCATOR_SIZE + _END.size:
        raise refused(source, "no zip: it is too short")
    stream.seek(-_LOCATOR_SIZE - _END.size, os.SEEK_END)
    locator = stream.read(_LOCATOR_SIZE)
    mark, disk, first_disk, here, entries, length, offset, comment = _END.unpack(stream.read(_END.size))
    if mark != b"PK\5\6" or comment:
        raise refused(source, "no zip, or one with something behind its end")
    if locator[:4] == b"PK\6\7" or 0xFFFF in (disk, here, entries) or 0xFFFFFFFF in (length, offset):
        raise refused(source, "it is a zip64")
    if disk or first_disk or here != entries:
        raise refused(source, "it is a part of a zip")
    if not 0 < entries <= layout.MAX_ENTRIES or length > MAX_DIRECTORY:
        raise refused(source, f"it has {entries} entries, and {layout.MAX_ENTRIES} are the most")
    if offset + length + _END.size != size:
        raise refused(source, "its list of entries is not where it says")
    return entries, offset


def _check_entries(entries: list[zipfile.ZipInfo], source: str) -> None:
    """Each entry is a plain file with a plain name that no other has, and all of them have a bounded size."""
    names: set[str] = set()
    for entry in entries:
        name = entry.filename
        if name != entry.orig_filename or not (name == MANIFEST or layout.belongs(name)):
            raise refused(source, f"no file of a bundle is named `{shown(entry.orig_filename)}`")
        if name.lower() in names:
            raise refused(source, f"`{name}` is in it twice")
        names.add(name.lower())
        mode = entry.external_attr >> _SYMLINK_BITS
        if mode and not stat.S_ISREG(mode):
            raise refused(source, f"`{name}` is no plain file")
        # Bit 0: encrypted (4.4.4). `volume` is the disk on which it begins.
        plainly = not (entry.flag_bits or entry.comment or entry.extra or entry.volume)
        if not plainly or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise refused(source, f"`{name}` is packed in a way that no bundle has")
        if entry.file_size > _bound(name):
            raise refused(source, f"`{name}` has {entry.file_size} bytes, and {_bound(name)} are the most")
    if folder := next((name for name in names if any(parent in names for parent in _parents(name))), None):
        raise refused(source, f"`{folder}` is in a folder that is a file")
    if MANIFEST not in names:
        raise refused(source, f"no {MANIFEST} is in it")
    images = [entry for entry in entries if entry.filename in layout.IMAGES.values()]
    files = [entry for entry in entries if entry not in images]
    if sum(entry.file_size for entry in files) > layout.MAX_FILES or _swells(files) or _swells(images):
        unpacked = sum(entry.file_size for entry in entries)
        raise refused(source, f"unpacked it has {unpacked} bytes: it is an archive bomb, or no bundle")


def _swells(entries: list[zipfile.ZipInfo]) -> bool:
    """Whether entries come to far more than what they are packed in."""
    unpacked, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    return unpacked > RATIO_COUNTS and unpacked > MAX_RATIO * packed


def _bound(name: str) -> int:
    if name == MANIFEST:
        return layout.MAX_MANIFEST
    return layout.MAX_IMAGE if name in layout.IMAGES.values() else layout.MAX_FILE


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _check_places(zipped: zipfile.ZipFile, stream: BinaryIO, source: str) -> None:
    """Entries lie one behind the other from the begin on: none in another, and nothing that no entry names."""
    place = 0
    for entry in sorted(zipped.infolist(), key=lambda entry: entry.header_offset):
        if entry.header_offset != place:
            raise refused(source, f"`{entry.filename}` lies over another file, or behind something that is none")
        stream.seek(place)
        head = stream.read(_LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != b"PK\3\4":
            raise refused(source, f"`{entry.filename}` is not where the list of entries says")
        *_, flags, method, _time, _date, _crc, _packed, _size, name_length, extra_length = _LOCAL.unpack(head)
        if flags != entry.flag_bits or method != entry.compress_type:
            raise refused(source, f"`{entry.filename}` is said to be packed in two ways")
        place += _LOCAL.size + name_length + extra_length + entry.compress_size
    if place != zipped.start_dir:
        raise refused(source, "something is between its files and their list")


def _agree(sizes: dict[str, int], manifest: Manifest, source: str) -> None:
    """The manifest names every file that is there, once, and no other."""
    named = {entry.path: entry.size for entry in manifest.files}
    if len(named) != len(manifest.files):
        raise refused(source, f"{MANIFEST} names a file twice")
    there = {path: size for path, size in sizes.items() if path != MANIFEST}
    for path in sorted(named.keys() ^ there.keys()):
        where = "is not in it" if path in named else f"is not named by {MANIFEST}"
        raise refused(source, f"`{shown(path)}` {where}")
    for path, size in named.items():
        if size != there[path]:
            raise refused(source, f"{path} has {there[path]} bytes, and {MANIFEST} says {size}")
