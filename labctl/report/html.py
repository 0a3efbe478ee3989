"""What every HTML page of labctl's has in common: it needs nothing else, and what it shows may be a stranger's.

Every text is escaped, what is too long is cut, and a policy in the page lets no script run but its own.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from labctl.templating import environment

LONGEST_TEXT = 600
"""Characters of any one text that is no `Whole`."""


class Whole(str):
    """A text that is not cut: its length is bounded already."""

    __slots__ = ()


def fill(name: str, **values: Any) -> str:
    """The page `NAME.html.j2`, with its style (`base.css` and `NAME.css`) and its script (`NAME.js`) in it."""
    templates = environment("templates/report", finalize=_bounded)
    style = "".join(_source(templates, file) for file in ("base.css", f"{name}.css"))
    script = _source(templates, f"{name}.js")
    return templates.get_template(f"{name}.html.j2").render(
        style=Markup(style),  # noqa: S704 - labctl's own text
        script=Markup(script),  # noqa: S704 - labctl's own text
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **values,
    )


def cut(text: str, size: int) -> tuple[str, str]:
    """A text that takes so many characters of HTML at most, its middle left out; and a note that says so."""
    if len(escape(text)) <= size:
        return text, ""
    kept = size // 10  # of each end: an escaped character takes five at most
    left_out = len(text) - 2 * kept
    if left_out <= 0:
        return text, ""
    note = f"{left_out} characters left out in the middle; all of it is in the folder of the run"
    return f"{text[:kept]}\n[… {note} …]\n{text[len(text) - kept :]}", note


def _bounded(value: Any) -> Any:
    """What stands in the page: no text that is too long, and no character that HTML has no place for."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    if not isinstance(value, Whole) and len(value) > LONGEST_TEXT:
        value = f"{value[:LONGEST_TEXT]} […]"
    if value.isprintable():
        return value
    value = value.replace("\r\n", "\n")
    return "".join(letter if letter in "\n\t" or letter.isprintable() else "\ufffd" for letter in value)


def _source(templates: Environment, name: str) -> str:
    assert templates.loader
    return templates.loader.get_source(templates, name)[0]
