"""A file of lines that is only ever added to: what is in it survives whoever writes it, to the last whole line."""

from __future__ import annotations

from pathlib import Path

from labctl.errors import HostError


def read_lines(path: Path) -> list[str]:
    """The lines of a file; none where there is none. Raises HostError."""
    try:
        return path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []
    except OSError as error:
        raise _failed(path, error) from None


def add_line(path: Path, line: str) -> None:
    """Write a line at the end. What was cut off there, as whoever wrote it was ended, stays a line of its own. Raises
    HostError."""
    try:
        with path.open("a+b") as stream:
            stream.seek(max(0, stream.tell() - 1))
            cut_off = stream.read(1) not in (b"", b"\n")
            stream.write(b"\n" * cut_off + line.encode() + b"\n")
    except OSError as error:
        raise _failed(path, error) from None


def _failed(path: Path, error: OSError) -> HostError:
    return HostError(f"{path}: {error.strerror}", "is there room? --folder names another place")
