"""What Corosync did not take of what a node said, as its ring formed anew. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

_FORMED = re.compile(r"\[TOTEM \] A new membership \(\S+\) was formed\. Members(?P<change>.*)")
"""exec/totemsrp.c, memb_state_operational_enter, Corosync 2 and 3: `change` is ` joined: 3`, ` left: 2`, or nothing."""


def refused_with_none_lost(log: str, words: Collection[str]) -> str:
    """The last line of a node's log that holds one of these words, where it came after a ring had formed anew of those
    who were in it before, and since none has joined or left; else "".

    A fault that cuts a node off has it leave, and come back; a machine that is too busy has the token lost, and no
    node.
    """
    none_lost, last = False, ""
    for line in log.splitlines():
        if formed := _FORMED.search(line):
            none_lost = not formed["change"].strip()
            last = last if none_lost else ""
        elif none_lost and any(word in line for word in words):
            last = line
    return last
