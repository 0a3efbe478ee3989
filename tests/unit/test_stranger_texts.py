"""A run may be a stranger's: whatever its texts hold, a terminal is told nothing that it would obey."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from labctl import cli
from labctl.report.plain_console import PlainConsole
from labctl.shortening import plain
from tests.unit.bundles import keep_run

EVIL = "\x1b]0;evil\x07\x9b2J\r\u202e"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
FILES = ("history.jsonl", "verdict.json", "terms.json", "made_with.json")
VERBS = (["show"], ["check"], ["report"], ["ladder"], ["bundle", "-o", "evil.labz"])


def _spoilt(value: Any, key: str, here: bool = False) -> Any:
    """JSON with `EVIL` in each string below such a key."""
    if isinstance(value, dict):
        return {name: _spoilt(inner, key, here or name == key) for name, inner in value.items()}
    if isinstance(value, list):
        return [_spoilt(inner, key, here) for inner in value]
    return value + EVIL if here and isinstance(value, str) else value


def _keys(value: Any) -> Iterator[str]:
    """The keys below which there are strings."""
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(inner)
    for name, inner in value.items() if isinstance(value, dict) else ():
        if _spoilt(inner, "", here=True) != inner:
            yield name


def _values(file: Path) -> list[Any]:
    text = file.read_text()
    return [json.loads(line) for line in text.splitlines()] if file.suffix == ".jsonl" else [json.loads(text)]


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments])
    return int(ended.value.code or 0)


@pytest.mark.long
@pytest.mark.parametrize("name", FILES)
def test_what_is_told_of_a_run_has_nothing_that_a_terminal_obeys(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    right = keep_run(tmp_path / "right")
    values, told = _values(right / name), 0
    for key in sorted({key for value in values for key in _keys(value)}):
        shutil.copytree(right, tmp_path / key)
        indent = None if name.endswith("l") else 2
        text = "\n".join(json.dumps(_spoilt(value, key), indent=indent) for value in values)
        (tmp_path / key / name).write_text(text + "\n")
        for verb, *rest in VERBS:
            assert _run(verb, key, *rest) != cli.EXIT_BUG
            shown = "".join(capfd.readouterr())
            assert not OBEYED.search(shown), (verb, key, shown)
            told += "evil" in shown
    assert told


def test_what_is_drawn_in_colour_has_none_but_what_draws_it() -> None:
    drawn = io.StringIO()
    PlainConsole(file=drawn, force_terminal=True, color_system="standard", width=80).print(Text(f"a{EVIL}", "red"))
    assert drawn.getvalue() == "\x1b[31ma\ufffd]0;evil\ufffd2J\ufffd\x1b[0m\n"


def test_what_is_left_is_as_it_was() -> None:
    assert plain("a\tb\nc\r\nd \u00a0é 日本 \U0001f600\n") == "a\tb\nc\nd \u00a0é 日本 \U0001f600\n"
