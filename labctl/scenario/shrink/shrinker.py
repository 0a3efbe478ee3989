"""Shrinks a scenario for one failure: guesses by the history of a run, delta debugging over its steps, then a smaller
lab and fewer settings; at the end it is run until it is known how often it fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from labctl.history.events import Event
from labctl.scenario.reader import Scenario
from labctl.scenario.shrink import needs
from labctl.scenario.shrink.delta_debugging import Items, minimize, minimize_units
from labctl.scenario.shrink.guesses import guesses
from labctl.scenario.shrink.simpler import simpler
from labctl.scenario.shrink.target import TargetFailure
from labctl.scenario.shrink.trials import Demand, OutOfTimeError, Trials
from labctl.scenario.step_registry import Step

UNITS_FROM = 6
"""With fewer steps than this there is nothing to gain from taking them together first."""

CAREFUL = Demand(2, 1)
"""What is asked at last of a smaller scenario of which one run was enough until then."""


@dataclass(frozen=True)
class Shrunk:
    """What came of it. It failed in `failed` of `runs` runs; with 0 the failure was not seen again. `whole`: the search
    came to its end."""

    scenario: Scenario
    failed: int
    runs: int
    tried: int
    whole: bool = True


@dataclass(frozen=True)
class Hooks:
    """`valid`: whether the scenario would be taken by `labctl run`. `say` is told what is tried, in a line; `smaller`
    each time of the smallest that fails so far."""

    valid: Callable[[Scenario], bool]
    say: Callable[[str], None]
    smaller: Callable[[Scenario], None]


class Shrinker:
    """One search. `first` is what a smaller scenario must do to be taken, `last` what the smallest must do."""

    def __init__(
        self, scenario: Scenario, target: TargetFailure, trials: Trials, hooks: Hooks, first: Demand, last: Demand
    ):
        # A step is known by its number in what this began with, whatever goes before it: its line.
        steps = tuple(replace(step, line=number) for number, step in enumerate(scenario.steps, 1))
        self._original = replace(scenario, steps=steps, expect=(target.check,), explicit=False, known=())
        self._target = target
        self._trials = trials
        self._hooks = hooks
        self._demand = first
        self._last = last
        self._taken: list[Scenario] = []
        self._taken_index = 0
        self._tried = 0

    def shrink(self, events: Sequence[Event]) -> Shrunk:
        """Search, given the history of a run that had the failure."""
        try:
            if not self._guess(events):
                return self._shrunk(self._original)
            self._reduce()
            while not self._confirmed():
                if not self._go_back():
                    return self._shrunk(self._original)
                self._reduce()
        except OutOfTimeError:
            return replace(self._shrunk(self._best), whole=False)
        return self._shrunk(self._best)

    @property
    def _best(self) -> Scenario:
        return self._taken[-1] if self._taken else self._original

    # Steps

    def _guess(self, events: Sequence[Event]) -> bool:
        """Begin with the least that fails of what the history suggests, or with the whole; whether any failed."""
        steps = self._original.steps
        choices = guesses(steps, self._original.lab, events, self._target.finding)
        choices = list(dict.fromkeys([*choices, tuple(range(len(steps)))]))
        picked = [self._picked(self._original, choice) for choice in choices]
        return self._take([(f"{_numbers(one.steps)} alone", one) for one in picked])

    def _reduce(self) -> None:
        """Take away whatever is not needed, until nothing more can go."""
        if len(self._best.steps) >= UNITS_FROM:
            self._reduce_steps(by_units=True)
        self._reduce_steps()
        self._confirmed()
        by_chance = self._trials.memory.outcomes(self._best)["gone"] > 0
        # What does not fail each time must not stay for one run in which it did not.
        with self._demanding(CAREFUL if by_chance and self._demand == Demand() else self._demand):
            self._simplify()
            self._reduce_steps()

    @contextmanager
    def _demanding(self, demand: Demand) -> Iterator[None]:
        before, self._demand = self._demand, demand
        yield
        self._demand = before

    def _reduce_steps(self, *, by_units: bool = False) -> None:
        scenario = self._best
        steps = scenario.steps
        of_steps = needs.needs(steps, scenario.lab)
        everything = tuple(range(len(steps)))

        def close(kept: Items) -> Items:
            return needs.closed(kept, of_steps)

        def find(candidates: Sequence[Items]) -> Items | None:
            picked = [self._picked(scenario, kept) for kept in candidates]
            named = [(f"without {_numbers(_left_out(self._best, one))}", one) for one in picked]
            return candidates[self._taken_index] if self._take(named) else None

        if by_units:
            minimize_units(needs.units(everything, steps, of_steps), close, find)
        else:
            minimize(everything, close, find, len(steps))

    def _picked(self, scenario: Scenario, items: Items) -> Scenario:
        return replace(scenario, steps=in_order(tuple(scenario.steps[index] for index in items)))

    # Other than steps

    def _simplify(self) -> None:
        """Say less in other ways, one after the other."""
        tried = set[str]()
        while choices := [(what, one) for what, one in simpler(self._best) if what not in tried]:
            tried.add(choices[0][0])
            self._take(choices[:1])

    # Runs

    def _take(self, candidates: Sequence[tuple[str, Scenario]]) -> bool:
        """Try candidates, each with what is tried in words, and take the first that still fails; whether there is one.

        What `labctl run` would refuse is not run.
        """
        indices = [index for index, (_, one) in enumerate(candidates) if self._hooks.valid(one)]
        for begin in range(0, len(indices), self._trials.jobs):
            batch = indices[begin : begin + self._trials.jobs]
            new = [index for index in batch if self._trials.known(candidates[index][1], self._demand) is None]
            found = self._trials.first([candidates[index][1] for index in batch], self._demand)
            for index in new:
                self._tried += 1
                self._tell(*candidates[index], taken=found is not None and index == batch[found])
            if found is not None:
                self._taken_index = batch[found]
                self._taken.append(candidates[self._taken_index][1])
                self._hooks.smaller(self._best)
                return True
        return False

    def _tell(self, what: str, candidate: Scenario, *, taken: bool) -> None:
        met = self._trials.known(candidate, self._demand)
        outcomes = self._trials.memory.outcomes(candidate)
        word = "still fails" if met else "does not fail" if outcomes["gone"] else "not judged"
        total, left = len(self._original.steps), len(candidate.steps if taken else self._best.steps)
        self._hooks.say(f"{left} of {total} steps left, try {self._tried}: {what}: {word}")

    def _confirmed(self) -> bool:
        """Whether the smallest fails as often as it must in the end."""
        if self._trials.known(self._best, self._last) is None:
            self._hooks.say(f"{len(self._best.steps)} steps: how often do they fail?")
        return self._trials.first([self._best], self._last) is not None

    def _go_back(self) -> bool:
        """What was taken by luck is given back: go on from the last that fails often enough, and take from now on
        nothing that does not. Whether there is any."""
        self._demand = self._last
        choices = [self._original, *self._taken]
        for index in range(len(choices) - 1, -1, -1):
            if self._trials.first([choices[index]], self._last) is not None:
                self._taken = choices[: index + 1]
                self._hooks.say(f"back to {len(self._best.steps)} steps, which fail often enough")
                return True
        return False

    def _shrunk(self, scenario: Scenario) -> Shrunk:
        outcomes = self._trials.memory.outcomes(scenario)
        return Shrunk(scenario, outcomes["same"], outcomes["same"] + outcomes["gone"], self._tried)


def in_order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps, of which none goes side by side with none: of a block with one branch left they go in order."""
    branches = {step.branch for step in steps if step.branch}
    blocks = Counter(branch[0] for branch in branches)
    return tuple(replace(step, branch=None) if step.branch and blocks[step.branch[0]] < 2 else step for step in steps)


def _left_out(scenario: Scenario, smaller: Scenario) -> list[Step]:
    kept = {step.line for step in smaller.steps}
    return [step for step in scenario.steps if step.line not in kept]


def _numbers(steps: Iterable[Step]) -> str:
    """Which steps these are, for people: 1-3,7."""
    spans: list[list[int]] = []
    for number in sorted(step.line for step in steps):
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(f"{first}-{last}" if first != last else f"{first}" for first, last in spans)
