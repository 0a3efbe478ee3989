"""Every mistake in a lab or stack file is reported at once, at its line, and none that is not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

import pytest
import yaml

from labctl import cli
from labctl.engine import client
from labctl.errors import InvalidFile
from labctl.labfile import reader
from labctl.scenario.entries import CHECKS
from labctl.stack import loader as sources
from labctl.yamlfile import document
from tests.unit.labs import DATA

LABS = sorted((DATA / "bad-labs").iterdir())
STACKS = sorted((DATA / "bad-stacks").iterdir())

ALIAS_BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

ODD: dict[str, tuple[str, int, str]] = {
    "empty": ("", 1, "the file is empty"),
    "only a comment": ("# nothing\n", 1, "the file is empty"),
    "NUL": ("name: a\nnodes: \0\n", 2, "a character YAML does not allow"),
    "escape sequence": ("name: a\nnodes: \x1b[31m\n", 2, "a character YAML does not allow"),
    "too large": ("#" * (document.MAX_SIZE + 1), 1, "larger than 1024 KiB"),
    "deep, in brackets": ("name: a\nnodes: " + "[" * 100_000, 2, "nested too deep"),
    "deep, in dashes": ("name: a\nnodes:\n" + "- " * 5_000, 3, "nested too deep"),
    "deep, in braces": ("name: a\nnodes: " + "{a: " * 5_000, 2, "nested too deep"),
    "alias bomb": (ALIAS_BOMB, 1, "aliases make it far too large"),
    "large text by alias": ("x: &x " + "x" * 9_000 + "\nnodes: [" + "*x, " * 50 + "]\n", 1, "aliases make it"),
    "mistake after the last line": ("name: a\nnodes: [\n\n\n", 2, "not YAML"),
    "line separator that editors do not count": ("name: a\u2028\nfoo: 1\n", 2, "unknown key `foo`"),
}


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said does not depend on whether PyYAML was built with libyaml."""
    if request.param == "python":
        monkeypatch.setattr(document, "_LOADER", yaml.SafeLoader)


@pytest.fixture(autouse=True)
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with mistakes is refused before anybody asks for Docker."""

    def connect(*_: object, **__: object) -> NoReturn:
        raise AssertionError("Docker was asked for")

    monkeypatch.setattr(client, "connect", connect)


def expected(path: Path) -> list[tuple[int, str]]:
    """The mistakes that a file says it has: `# expect: LINE: PART OF THE MESSAGE`; `{a check}`: any."""
    *most, last = [f"'{check}'" for check in CHECKS]
    text = path.read_text("utf-8").replace("{a check}", f"{', '.join(most)} or {last}")
    found = re.findall(r"^# expect: (\d+): (.+)$", text, re.MULTILINE)
    return [(int(line), part) for line, part in found]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines that the command line ends with, having ended as it does for a wrong file."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert "Traceback" not in said.err
    return said.err.removeprefix("labctl: ").splitlines()


def check(lines: list[str], path: Path) -> None:
    wanted = expected(path)
    assert wanted
    assert len(lines) == len(wanted), lines
    for line, (number, part) in zip(lines, wanted, strict=True):
        assert line.startswith(f"{path}:{number}: ")
        assert part in line


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_a_bad_lab_file_is_refused_with_every_mistake(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(refusal(capsys, "config", "-f", str(path)), path)


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.stem)
def test_a_bad_stack_file_is_refused_with_every_mistake(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(refusal(capsys, "config", "--stack", str(path)), path)


@pytest.mark.long
@pytest.mark.parametrize(("text", "line", "part"), ODD.values(), ids=ODD)
def test_what_no_editor_would_write_is_refused(text: str, line: int, part: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        reader.read(text, "odd.yaml", sources.find_stack)
    assert refused.value.problems[0].line == line
    assert part in refused.value.problems[0].what


@pytest.mark.parametrize("command", ["up", "config", "export", "ps", "state", "down"])
def test_every_command_refuses_it_alike(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if command in ("ps", "state", "down"):
        monkeypatch.setattr(client, "connect", lambda: None)
    check(refusal(capsys, command, "-f", str(LABS[0])), LABS[0])


def test_mistakes_of_a_lab_and_of_its_stack_come_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = tmp_path / "lab.yaml"
    lab.write_text(f"nodes: 2\nstack: {STACKS[0]}\nphones: [{{name: ann, node: n3, extension: 101}}]\n")
    lines = refusal(capsys, "config", "-f", str(lab))
    assert lines[0] == f"{lab}:3: no node `n3` (known here: n1, n2)"
    check(lines[1:], STACKS[0])


def test_a_wrong_flag_is_named_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "up", "--image", "a b;c")[0] == "--image: not a name of an image: 'a b;c'"
    assert refusal(capsys, "config", "--name", "My Lab")[0] == "--name: not a name: My Lab"
    assert refusal(capsys, "config", "--stack", "23")[0] == "no stack `23`"
    assert refusal(capsys, "config", "--stack", "./none.yaml")[0] == "none.yaml: No such file or directory"
