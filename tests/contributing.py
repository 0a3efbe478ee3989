"""The examples of CONTRIBUTING.md, as Python runs them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text("utf-8")


def example(decorator: str, **known: Any) -> dict[str, Any]:
    """What the one example under `@decorator` defines, where the names `known` are there before it."""
    (text,) = re.findall(rf"^```python\n((?:(?!```).)*^@{decorator}\b.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": f"contributing_{decorator}", **known}
    exec(compile(text, "CONTRIBUTING.md", "exec", dont_inherit=True), names)  # noqa: S102 - the text is ours
    return names
