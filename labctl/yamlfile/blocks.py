"""YAML as people write it: a text of several lines is a block. Pure."""

from __future__ import annotations

from typing import Any

import yaml

Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""libyaml's where it is there: several times as fast."""


class BlockDumper(Dumper):  # type: ignore[misc] # which of the two it is, is known when it runs
    """Writes a text of several lines as a block."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


BlockDumper.add_representer(str, _text)


def written(data: Any, *, flow: bool = False, dumper: Any = Dumper) -> str:
    """Data as YAML, in its own order. `flow`: what holds no list and no mapping stands on one line."""
    text: str = yaml.dump(
        data, Dumper=dumper, sort_keys=False, default_flow_style=None if flow else False, width=100, allow_unicode=True
    )
    return text
