"""The ladders of a capture: of a run's, with the lab's names and on the history's clock, or of any file. Pure, but for
the files that are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.capture.calls import calls
from labctl.capture.messages import LARGEST_FILE, CaptureContents, read
from labctl.capture.names import AddressNames, Names
from labctl.errors import InvalidFile, Problem, UsageError
from labctl.history.events import Capture
from labctl.report.lab_names import names_of
from labctl.report.ladder import Across, Ladder, Meanwhile, ladder
from labctl.report.meanwhile import lines
from labctl.scenario.run_folder import CAPTURE, LAB
from labctl.scenario.run_record import RunRecord


@dataclass(frozen=True)
class Ladders:
    """All that a capture tells of SIP: calls, then registrations and all else, each kind in the order of its beginning.

    `zero_s`: when the clock of the ladders is 0, in seconds since 1970. `counts`: packets by kind. `broken`: why the
    capture could be read no further; `ended`: why it does not go on to the end of the run; "" where neither is so.
    """

    source: str
    ladders: tuple[Ladder, ...]
    zero_s: float
    counts: Mapping[str, int]
    broken: str = ""
    ended: str = ""

    @property
    def shown(self) -> tuple[Ladder, ...]:
        """What is shown if nothing else is asked for: the calls; where there are none, all."""
        return tuple(each for each in self.ladders if each.kind == "INVITE") or self.ladders


def of_file(path: Path) -> Ladders:
    """Of any capture, on a clock that begins with its first message. Raises UsageError, InvalidFile."""
    contents = read(read_capture(path), str(path))
    return _drawn(str(path), contents, AddressNames(contents.messages))


def of_run(record: RunRecord) -> Ladders:
    """Of a run, with the names of its lab. Raises UsageError where the run has no capture, InvalidFile."""
    path, source = record.folder / CAPTURE, record.sent_as or str(record.folder)
    if not path.is_file() or path.is_symlink():
        raise UsageError(f"{source}: no {CAPTURE} in it", "labctl run keeps one, unless --no-capture")
    contents = read(read_capture(path), source)
    captures = [event for event in record.events if isinstance(event, Capture)]
    names = names_of(_lab(record.folder), contents.messages)
    if not captures:  # nothing says when the history began, and so nothing of it can be told beside
        return _drawn(source, contents, names)
    ended = next((event.ended for event in reversed(captures) if event.ended), "")
    return _drawn(source, contents, names, captures[0].epoch_s, lines(record.events), ended)


def _drawn(
    source: str,
    contents: CaptureContents,
    names: Names,
    zero_s: float | None = None,
    meanwhile: Sequence[Across] = (),
    ended: str = "",
) -> Ladders:
    if zero_s is None:
        zero_s = contents.messages[0].at_s if contents.messages else 0.0
    happened = Meanwhile(meanwhile)
    drawn = tuple(ladder(call, names, zero_s, happened) for call in calls(contents.messages, names))
    return Ladders(source, drawn, zero_s, contents.counts, contents.broken, ended)


def read_capture(path: Path) -> bytes:
    """The bytes of a capture file. Raises UsageError, InvalidFile."""
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            fix = f"tshark -r {path.name} -Y sip -w smaller.pcapng"
            raise InvalidFile(str(path), [Problem(1, f"larger than {LARGEST_FILE >> 20} MiB", fix)])
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "a capture, the folder of a run, or `latest`") from None


def _lab(folder: Path) -> str:
    """The lab file of a run, as far as there is one."""
    path = folder / LAB
    try:
        return path.read_text("utf-8", "replace") if path.is_file() and not path.is_symlink() else ""
    except OSError:
        return ""
