"""Names in texts of lab files and scenarios that stand for what a lab comes to: `${n1.address}`, `${node.name}`. Pure.

They have a dot, and small letters before and behind it; Asterisk's own, such as `${EXTEN}`, have not, and stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from labctl.yamlfile.document import Path, suggestion

OF_NODE = ("name", "address", "nodeid", "entityid", "mac", "site")
"""What there is of each node, and as `node` of the one whose file it is."""

OF_SERVICE = ("name", "address")
"""What there is of each service."""

OF_LAB: Mapping[str, tuple[str, ...]] = {"lab": ("name", "subnet", "virtual"), "phones": ("address",)}
"""What there is beside nodes."""

OWN = "node"
"""The node whose file it is."""

Values = Mapping[str, Mapping[str, str]]
"""What each name stands for: `n1` -> `address` -> the address."""

VARIABLE = re.compile(r"\$\{(?P<of>[a-z][a-z0-9-]*)\.(?P<what>[a-z]\w*)\}")


def filled(text: str, values: Values) -> str:
    """The text with what is known in place of the names; what is none of them stays."""
    return VARIABLE.sub(lambda match: values.get(match["of"], {}).get(match["what"], match[0]), text)


def filled_in(value: object, values: Values) -> object:
    """The same for all texts of what YAML holds, keys of mappings too."""
    if isinstance(value, str):
        return filled(value, values)
    if isinstance(value, list | tuple):
        return [filled_in(item, values) for item in value]
    if isinstance(value, Mapping):
        return {filled(str(key), values): filled_in(item, values) for key, item in value.items()}
    return value


def each_text(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Each text of what YAML holds, with where it stands."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from each_text(item, (*path, index))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from each_text(item, (*path, key))


def unknown(text: str, nodes: Iterable[str] | Mapping[str, tuple[str, ...]]) -> Iterator[tuple[int, str, str]]:
    """Each such name in a text that stands for nothing: its line (from 0), what is wrong, and the way out.

    `nodes` are those that may be named; where there are services too, a mapping of each name to what there is of it.
    """
    named = nodes if isinstance(nodes, Mapping) else dict.fromkeys((OWN, *nodes), OF_NODE)
    known = {**named, **OF_LAB}
    for number, line in enumerate(text.splitlines() or [""]):
        for match in VARIABLE.finditer(line):
            of, what = match["of"], match["what"]
            if of not in known:
                yield number, f"no node `{of}`, of which `{match[0]}` could be", suggestion(of, known)
            elif what not in known[of]:
                yield number, f"`{of}` has no `{what}`, as in `{match[0]}`", suggestion(what, known[of])
