"""Which names can be taken out of the files of a run, so that they are still such files. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from labctl.bundle.redaction import LabSecrets, Redaction, Reporter
from labctl.scenario.made_with import MADE_WITH, STACK
from labctl.scenario.run_folder import HISTORY, LAB, SCENARIO, VERDICT

Reader = Callable[[str], Any]


def cleaning(texts: Mapping[str, str], secrets: LabSecrets, reporter: Reporter, own_words: Sequence[str]) -> Redaction:
    """What takes secrets and names out of these texts, by path. A user or host whose name is a word of the files' own
    form, such as `lab` or `state`, cannot be told from it: that name stays."""
    clean = Redaction(secrets, reporter, own_words)
    words = [name for name in clean.names if any(_is_a_word_of(path, text, name) for path, text in texts.items())]
    return Redaction(secrets, reporter, (*own_words, *words)) if words else clean


def _is_a_word_of(path: str, text: str, name: str) -> bool:
    """Whether a file that is read by its form has the name in a key, or alone as a value."""
    read = _READERS.get(path)
    if read is None or name not in text:
        return False
    try:
        return _has(read(text), name)
    except (ValueError, yaml.YAMLError, RecursionError):
        return False  # it cannot be read as it is


def _has(value: Any, name: str) -> bool:
    if isinstance(value, dict):
        in_keys = any(name in re.split(r"[^\w-]", str(key)) for key in value)
        return in_keys or any(_has(part, name) for part in value.values())
    return any(_has(part, name) for part in value) if isinstance(value, list) else bool(value == name)


def _lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


_READERS: Mapping[str, Reader] = {
    HISTORY: _lines,
    **dict.fromkeys((VERDICT, MADE_WITH), json.loads),
    **dict.fromkeys((SCENARIO, LAB, STACK), yaml.safe_load),
}
