"""Where lab files and stacks come from, and what is said where nothing comes."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from labctl import cli, paths
from labctl.errors import UsageError
from labctl.stack.loader import find_stack
from labctl.yamlfile import source
from tests.unit.labs import stack
from tests.unit.test_bad_files import refusal


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"name: \xff\n", "not UTF-8 text (byte 6)"),
        ("name: a\n".encode("utf-16"), "not UTF-8 text (byte 0)"),
        (b"name: \xc3", "not UTF-8 text"),
    ],
)
def test_bytes_that_are_no_text_are_refused(
    data: bytes, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lab.yaml"
    file.write_bytes(data)
    assert f"{file}: {part}" in refusal(capsys, "config", "-f", str(file))[0]


@pytest.mark.parametrize("name", ["no-such-lab", "no-such-lab.yaml", "/", "a" * 300, "a/\0.yaml", "/dev/zero"])
def test_what_is_no_lab_file_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "config", "-f", name)


def test_a_folder_is_no_lab_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        source.read_text(tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"name: a\nfoo: 1\n", "labctl: -:2: unknown key `foo`"),
        (b"name: \xff\n", "labctl: standard input: not"),
    ],
)
def test_what_comes_by_standard_input_is_judged_alike(
    given: bytes, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    with pytest.raises(SystemExit) as ended:
        cli.main(["config", "-f", "-"])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert printed.err.startswith(said)
    assert "Traceback" not in printed.err


@pytest.mark.long
def test_a_lab_on_standard_input_is_read() -> None:
    command = [sys.executable, "-m", "labctl", "config", "-f", "-"]
    ended = subprocess.run(command, input="\ufeffname: a\r\nnodes: 1\r\n".encode(), capture_output=True, check=True)
    assert ended.stdout.startswith(b"name: a\n")


def test_a_stack_file_is_a_stack(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text((paths.images_folder() / "stacks" / "22.yaml").read_text("utf-8").replace('"22"', "mine"))
    assert find_stack(str(file)) == stack().model_copy(update={"name": "mine"})
