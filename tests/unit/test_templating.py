"""Templates are read once, strictly, and each in the way that it was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import UndefinedError

from labctl.templating import environment


def plain(value: Any) -> Any:
    """What HTML puts in as it is."""
    return value


def test_whoever_asks_again_gets_what_has_been_compiled() -> None:
    assert environment() is environment()
    template = "sipp/call.xml.j2"
    assert environment().get_template(template) is environment().get_template(template)


def test_a_name_that_is_not_known_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="nobody"):
        environment().from_string("{{ nobody }}").render()


def test_the_last_line_ends_where_that_is_asked_for() -> None:
    assert environment().from_string("a\n").render() == "a"
    assert environment(ends_line=True).from_string("a\n").render() == "a\n"


def test_html_is_escaped_and_nothing_else_is() -> None:
    assert environment().from_string("{{ it }}").render(it="<&") == "<&"
    assert environment("templates/report", finalize=plain).from_string("{{ it }}").render(it="<&") == "&lt;&amp;"


def test_what_was_compiled_in_one_way_is_not_taken_for_another() -> None:
    ways = (environment(), environment(ends_line=True), environment(finalize=plain))
    patterns = {way.bytecode_cache.pattern for way in ways}  # type: ignore[union-attr] # it has a cache of files
    assert len(patterns) == len(ways)
