"""The templates that come with labctl, and how all of them are read: a name that is not known is an error."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined


@cache
def environment(
    folder: str = "templates", *, ends_line: bool = False, finalize: Callable[[Any], Any] | None = None
) -> Environment:
    """The templates of a folder of labctl's; whoever asks again gets the same, with what has been compiled.

    `ends_line`: the last line of a template ends as the others do. `finalize` is for HTML: it bounds each value, and
    all that is put in is escaped.
    """
    return Environment(
        loader=PackageLoader("labctl", folder),
        # Compiling takes longer than filling in. How that was done is part of the name: it is in what was compiled.
        bytecode_cache=FileSystemBytecodeCache(pattern=f"labctl-{ends_line:d}{finalize is not None:d}-%s.cache"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=ends_line,
        finalize=finalize,
        autoescape=finalize is not None,  # noqa: S701 - the others are configuration and XML of checked values, not HTML
    )
