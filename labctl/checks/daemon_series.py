"""What one process of a daemon took over the time of a run, and what is wrong with that. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labctl.checks.finding import Finding
from labctl.history.events import Called, Ended, Event, Load
from labctl.history.process_events import Measured

FULL = 0.9
"""The part of one core's time from which on it is held at full load."""

FULL_S = 8.0
"""So long it must be, by the node's own clock. That of a boot is not counted: it takes less CPU time than that."""

BOOT_S = 10.0
"""So long a process is young, and grows and works for that reason."""

AFTER_LOAD_S = 40.0
"""So long after a load its calls are still held: Timer B and its like are 32 s (RFC 3261, 17.1.1.2)."""

GROWTH_S = 30.0
"""Growth is judged of a process that was watched for so long."""

PARTS = 4
"""Growth without bound is greater in every such part of that time than in the one before."""


@dataclass(frozen=True)
class Resource:
    """What may grow. `steady`: what counts where it never stops to grow, in `unit`s; `at_once`: what does anyway;
    `of_call`: more than a call takes while it is open, also one that has ten phones ring."""

    name: str
    unit: str
    steady: int
    at_once: int
    of_call: int
    of: Callable[[Measured], int]


RESOURCES = (
    Resource("memory", " MB", 64, 512, 16, lambda sample: sample.memory_kb // 1024),
    Resource("descriptors", " descriptors", 100, 400, 100, lambda sample: sample.descriptors),
    Resource("threads", " threads", 100, 400, 20, lambda sample: sample.threads),
)
"""Idle, Asterisk 22 has 57 MB, 19 descriptors and 42 threads; pools of threads grow to 50 each, and shrink again."""


@dataclass(frozen=True)
class OpenCalls:
    """When calls began, and when they ended, in order. They are those of the whole lab: a call goes through more nodes
    than its history names, where a queue or a transfer has it go on."""

    begins_s: tuple[float, ...] = ()
    ends_s: tuple[float, ...] = ()

    def at(self, at_s: float) -> int:
        """How many are open."""
        return bisect_right(self.begins_s, at_s) - bisect_right(self.ends_s, at_s)


@dataclass(frozen=True)
class Series:
    """The samples of one process, in order. `loads`: the times when a generator of load was at work; `calls`: those of
    the phones."""

    node: str
    daemon: str
    samples: tuple[Measured, ...]
    loads: tuple[tuple[float, float], ...] = ()
    calls: OpenCalls = OpenCalls()

    def findings(self) -> Iterator[Finding]:
        """All that is wrong with it."""
        yield from self._full_load()
        for resource in RESOURCES:
            yield from self._growth(resource)

    def _full_load(self) -> Iterator[Finding]:
        """The first longest time in which it held a core."""
        run: list[Measured] = []
        longest: list[Measured] = []
        for before, after in pairwise(self.samples):
            if self._held_core(before, after):
                run = [*(run or [before]), after]
                longest = run if _span_s(run) > _span_s(longest) else longest
            else:
                run = []
        if _span_s(longest) >= FULL_S:
            first, last = longest[0], longest[-1]
            share = (last.cpu_s - first.cpu_s) / _span_s(longest)
            what = (
                f"{self.daemon} on {self.node} held a core at full load, {share:.0%} of it for {_span_s(longest):.0f} s"
            )
            text = f"+{first.at_s:.3f} s: {what}"
            yield Finding(text, last.at_s, (self.node,), since_s=first.at_s, certain=True)

    def _held_core(self, before: Measured, after: Measured) -> bool:
        elapsed_s = after.clock_s - before.clock_s
        young = before.clock_s - before.started_s < BOOT_S
        loaded = any(since_s <= after.at_s and before.at_s <= until_s for since_s, until_s in self.loads)
        return elapsed_s > 0 and not young and not loaded and after.cpu_s - before.cpu_s >= FULL * elapsed_s

    def _growth(self, resource: Resource) -> Iterator[Finding]:
        """That it grew at rest, by more than the calls may take that are open since. Where it did so in every part of
        the time, no stumble of the machine explains it."""
        quiet = [sample for sample in self.samples if self._is_at_rest(sample)]
        if len(quiet) < 2 * PARTS or _span_s(quiet) < GROWTH_S:
            return
        first, last = quiet[0], quiet[-1]
        parts = [quiet[len(quiet) * part // PARTS : len(quiet) * (part + 1) // PARTS] for part in range(PARTS)]
        least = [min(part, key=resource.of) for part in parts]
        steadily = all(self._growth_of(resource, before, after) > 0 for before, after in pairwise(least))
        grown = self._growth_of(resource, least[0], least[-1])
        if (steadily and grown >= resource.steady) or grown >= resource.at_once:
            change = f"from {resource.of(first)} to {resource.of(last)}{resource.unit} in {_span_s(quiet):.0f} s"
            text = f"+{last.at_s:.3f} s: {self.daemon} on {self.node} grew {change}"
            yield Finding(text, last.at_s, (self.node,), since_s=first.at_s, certain=steadily)

    def _growth_of(self, resource: Resource, before: Measured, after: Measured) -> int:
        """By how much it grew between two samples, but for what the calls may take that are open since."""
        more_calls = max(0, self.calls.at(after.at_s) - self.calls.at(before.at_s))
        return resource.of(after) - resource.of(before) - more_calls * resource.of_call

    def _is_at_rest(self, sample: Measured) -> bool:
        loaded = any(since_s <= sample.at_s <= until_s + AFTER_LOAD_S for since_s, until_s in self.loads)
        return not loaded and sample.clock_s - sample.started_s >= BOOT_S


def _span_s(samples: Sequence[Measured]) -> float:
    return samples[-1].clock_s - samples[0].clock_s if samples else 0.0


def all_series(events: Sequence[Event]) -> list[Series]:
    """Each process that was measured, by node, daemon and time."""
    loads = [event for event in events if isinstance(event, Load)]
    calls = _open_calls(events)
    by_process: dict[tuple[str, str, float, int], list[Measured]] = {}
    for event in events:
        if isinstance(event, Measured):
            key = (event.node, event.daemon, event.started_s, event.process)
            by_process.setdefault(key, []).append(event)
    return [
        Series(
            node,
            daemon,
            tuple(samples),
            tuple((load.began_s, load.at_s) for load in loads if not load.nodes or node in load.nodes),
            calls,
        )
        for (node, daemon, _, _), samples in sorted(by_process.items())
    ]


def _open_calls(events: Sequence[Event]) -> OpenCalls:
    began_s = {event.call: event.at_s for event in events if isinstance(event, Called)}
    ended_s = {event.call: event.at_s for event in reversed(events) if isinstance(event, Ended)}  # the first of several
    ends_s = (at_s for call, at_s in ended_s.items() if call in began_s)
    return OpenCalls(tuple(sorted(began_s.values())), tuple(sorted(ends_s)))
