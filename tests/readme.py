"""README as data: its code blocks by language, the commands in it, and its paragraphs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TEXT = (Path(__file__).parent.parent / "README.md").read_text("utf-8")

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"# (\S+)\n")


@dataclass(frozen=True)
class Command:
    """A line of a block `sh`. `exit_code` is what its comment says (`# exit code 2: …`), else 0."""

    line: str
    exit_code: int = 0


def blocks(language: str) -> list[str]:
    """The code blocks of a language, in order."""
    return [text for of, text in _BLOCK.findall(TEXT) if of == language]


def files(language: str) -> dict[str, str]:
    """The code blocks of a language by the file name in their first line: `# mine.yaml`."""
    named = {}
    for text in blocks(language):
        name = _FILE_NAME.match(text)
        assert name, f"the first line of a block `{language}` names its file: {text.splitlines()[0]}"
        named[name[1]] = text
    return named


def commands() -> list[Command]:
    """Every line of the blocks `sh`: what README says can be typed, in order."""
    lines = (line.partition(" #") for text in blocks("sh") for line in text.splitlines())
    return [Command(line.strip(), _exit_code(comment)) for line, _, comment in lines]


def _exit_code(comment: str) -> int:
    code = re.search(r"exit code (\d+)", comment)
    return int(code[1]) if code else 0


def shown_commands() -> list[str]:
    """The commands whose output is shown, in blocks `console`."""
    return [
        line.removeprefix("$ ") for text in blocks("console") for line in text.splitlines() if line.startswith("$ ")
    ]


def inline_commands() -> list[str]:
    """What stands in the text as `labctl …` or `make …`, each once."""
    text = _BLOCK.sub("", TEXT).replace("\\|", "|")
    return list(dict.fromkeys(re.findall(r"`((?:labctl|make) [^`]+)`", text)))


def paragraphs() -> list[str]:
    """What README claims: paragraphs and items of lists, each in one line. Code, tables and headings are no claims of
    this kind."""
    text = _BLOCK.sub("\n\n", TEXT)
    text = re.sub(r"^(\||#).*$", "", text, flags=re.MULTILINE)
    parts = re.split(r"\n\s*\n|\n(?=- )", text)
    return [" ".join(part.split()) for part in parts if part.strip()]


def rows(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]
