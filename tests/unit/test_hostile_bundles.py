"""What a stranger could send: refused with a reason, and nothing of it anywhere, before an engine is asked for."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from labctl import cli
from labctl.bundle import packing
from labctl.engine import client
from tests.hostile_bundles import KINDS, Case, Good, Kind
from tests.unit.bundles import keep_run

LEAST = 200


@cache
def good() -> Good:
    """A bundle with nothing wrong in it."""
    with tempfile.TemporaryDirectory() as folder:
        run = keep_run(Path(folder) / "one")
        packing.pack(run, Path(folder) / "good.labz")
        return Good.of((Path(folder) / "good.labz").read_bytes())


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which is all that a process may write to; and an engine that must not be asked for."""

    def connect(**_: object) -> None:
        raise AssertionError("an engine was asked for")

    for name in ("tmp", "home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(client, "connect", connect)
    return tmp_path


def replay(path: str, *more: str) -> int:
    """The exit code of a replay that nobody is asked about."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["replay", path, "--yes", *more])
    return int(ended.value.code or 0)


def written(folder: Path) -> set[str]:
    """Every file and folder below one."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@cache
def cases_of(make: Kind) -> tuple[Case, ...]:
    """The bundles of a kind, by name."""
    return tuple(make(good()))


@pytest.mark.long
def test_there_are_many_and_each_is_another() -> None:
    cases = [(f"{make.__name__}: {name}", sha256(data).digest()) for make in KINDS for name, data in cases_of(make)]
    names, sums = zip(*cases, strict=True)
    assert len({*names}) == len({*sums}) == len(cases) >= LEAST


@pytest.mark.long
@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_a_hostile_bundle_is_refused_and_leaves_nothing(
    make: Kind, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in cases_of(make):
        (here / "work" / "bug.labz").write_bytes(data)
        before = written(here)
        assert replay("bug.labz") == 2, name
        told = capsys.readouterr()
        assert told.out == "", name
        assert "Traceback" not in told.err, name
        assert told.err.startswith(("labctl: ", "bug.labz: ")), name
        assert all(letter.isprintable() or letter == "\n" for letter in told.err), name
        assert written(here) == before, name


def test_what_is_right_is_not_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "work" / "bug.labz").write_bytes(good().bundle)
    assert replay("bug.labz") == 3
    assert "an engine was asked for" in capsys.readouterr().err


def test_a_pipe_a_device_and_a_folder_are_no_bundles(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe")
    for path in ("pipe", "/dev/zero", ".", "/dev/null"):
        assert replay(path) == 2
        assert "it is no plain file" in capsys.readouterr().err
    for path in ("nothing.labz", "\0", "a" * 5000):
        assert replay(path) == 2
        assert capsys.readouterr().err.startswith("labctl: ")
