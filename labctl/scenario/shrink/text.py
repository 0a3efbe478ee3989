"""The smallest scenario as a file that a person reads: what it shows, where it is from, and how often it failed."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace

from labctl.scenario import writer
from labctl.scenario.reader import Scenario
from labctl.scenario.shrink.simpler import lab_in_short
from labctl.scenario.shrink.target import TargetFailure
from labctl.scenario.writer import LONGEST_TITLE
from labctl.shortening import shortened

WIDTH = 118


@dataclass(frozen=True)
class Origin:
    """Where a scenario was shrunk from: `run` is the folder of the run that failed, `steps` how many it had."""

    scenario: str
    run: str
    steps: int
    seed: int | None = None


def to_text(scenario: Scenario, target: TargetFailure, origin: Origin, failed: int, runs: int) -> str:
    """The scenario of a file of its own; it failed in so many of so many runs."""
    seed = f", seed {origin.seed}" if origin.seed is not None else ""
    remark = (
        f"{target.check}: {target.sentence}. Seen in {failed} of {runs} runs of this file. "
        f"Shrunk by labctl from the {origin.steps} steps of {origin.scenario}{seed}: {origin.run}"
    )
    title = shortened(f"{target.check} fails: {target.sentence}", LONGEST_TITLE)
    named = replace(scenario, title=title, about="", expect=(target.check,), explicit=True, known=())
    data = writer.to_data(named) | {"lab": lab_in_short(named)}
    comment = "\n".join(f"# {line}" for line in textwrap.wrap(remark, WIDTH, break_on_hyphens=False))
    return f"{comment}\n{writer.dump(data)}"
