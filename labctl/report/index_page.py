"""Several runs as one HTML page beside the pages of the runs: a folder that opens anywhere, without a network. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote

from labctl.report.html import fill
from labctl.report.overview import Overview

INDEX = "index.html"

SHOWN_RUNS = 200
"""So many of a scenario's runs are shown, the newest."""


def render(runs: Overview) -> str:
    """The page. The files of the runs' own pages lie beside it."""
    return fill("index", overview=runs, shown_runs=SHOWN_RUNS, quote=quote, span=_span(runs))


def _span(runs: Overview) -> str:
    """From when to when they began: `2026-11-26 15:20 to 16:40 UTC`."""
    began = sorted(run.began for scenario in runs.scenarios for run in scenario.runs)
    if not began:
        return ""
    first, last = (f"{moment:%Y-%m-%d %H:%M}" for moment in (began[0], began[-1]))
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"


def page_name(run: str, taken: set[str]) -> str:
    """A name for the page of a run that no other file of the folder has; it is taken from now on."""
    stem = re.sub(r"[^\w.-]", "-", run)[:100].lstrip(".-") or "run"
    names = (f"{stem}{suffix}.html" for suffix in ("", *(f"-{number}" for number in range(2, len(taken) + 3))))
    name = next(name for name in names if name.lower() not in taken)
    taken.add(name.lower())
    return name
