"""Histories at random: of a cluster that does all right, and of one that does one thing wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from random import Random
from typing import Any

from labctl.asterisk.device_state import HINTS, ORDER, aggregate, hint
from labctl.history.events import (
    BY_ITSELF,
    Back,
    Began,
    Called,
    Did,
    Ended,
    Event,
    FaultBegan,
    Gone,
    Healed,
    Heard,
    Looked,
    Over,
    Said,
    Seen,
)

PHONES = ("alice", "bob", "carol")
SLOWEST_S = 0.9
"""What a state takes at most to reach a node, within the bound of a second."""

LAG_S = 0.05
"""What a phone's word may come to be known later than it was said."""

SETTLED_S = 11.0


@dataclass(frozen=True)
class Place:
    """What the nodes of a group tell of an extension in a look, all alike; `heard` are the words of those among them,
    `lost` all that each who left has ever said, `left` the last that each of these said before it left the group."""

    look: Looked
    group: tuple[str, ...]
    extension: str
    right: frozenset[str]
    heard: tuple[str, ...]
    lost: tuple[tuple[str, ...], ...]
    left: tuple[str, ...]

    def explained(self) -> set[str]:
        """Whatever could be told by who has forgotten the wrong ones of those who left."""
        words = sorted({word for spoken in self.lost for word in spoken})
        some = (combination for count in range(1, len(words) + 1) for combination in combinations(words, count))
        return {hint(aggregate([*self.heard, *combination])) for combination in some}

    def ghosts(self) -> list[str]:
        """What is told by who has forgotten nobody, or all but one of those who left; where it is wrong."""
        some = [*((word,) for word in self.left), *([self.left] if self.left else [])]
        return sorted({hint(aggregate([*self.heard, *combination])) for combination in some} - self.right)

    def strange(self) -> list[str]:
        """What nothing explains."""
        return sorted({*HINTS.values()} - self.right - self.explained())


@dataclass
class World:
    """A cluster that does all right by chance, and its history. The actions may come in any order."""

    chance: Random
    events: list[Event] = field(default_factory=list)
    at_s: float = 0.0
    gone: set[str] = field(default_factory=set)
    split: bool = False
    broken_until_s: float = -SETTLED_S
    places: list[Place] = field(default_factory=list)
    slow: list[tuple[Said, Seen]] = field(default_factory=list)
    unhurt: list[str] = field(default_factory=list)
    lit: list[tuple[Looked, str]] = field(default_factory=list)
    cut_off: dict[str, tuple[tuple[str, ...], dict[str, int]]] = field(default_factory=dict)
    """Node -> its side of a cut, and how many words of each device it had said before; until it hears all again."""

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Short, for hypothesis: what happened in it is noted where it matters."""
        printer.text(f"<a world of {len(self.events)} events>")

    def __post_init__(self) -> None:
        self.nodes = tuple(f"n{number}" for number in range(1, self.chance.randint(2, 4) + 1))
        phones = PHONES[: self.chance.randint(2, 3)]
        self.homes = {f"PJSIP/{phone}": self.chance.choice(self.nodes) for phone in phones}
        self.devices = {f"10{number}": device for number, device in enumerate(self.homes, 1)}
        self.devices |= {"mystate": "Custom:mystate", "yours": "Custom:yours"}
        self.groups: list[tuple[str, ...]] = [self.nodes]
        self.corosyncs = set(self.nodes)
        self.boxes = {"101": self.chance.choice(self.nodes), "102": self.chance.choice(self.nodes)}
        self.lamps = {phone: self.chance.choice([*self.boxes]) for phone in phones}
        self.kept = dict.fromkeys(self.boxes, (0, 0))
        self.said: dict[str, dict[str, list[str]]] = {device: {} for device in self.devices.values()}
        self.unspoken = self.chance.choice(("Idle", "Unavailable"))
        keys = product(self.nodes, self.devices)
        self.told = {key: self._state(*key) for key in keys}
        self.tellings: dict[tuple[str, str], list[Seen]] = {key: [] for key in self.told}
        self.known_s = dict.fromkeys(self.said, 0.0)
        self.events.append(Began(0.0, "s", "lab", "22", self.nodes, self.devices, self.homes, self.boxes, self.lamps))

    @property
    def live(self) -> list[str]:
        return [node for node in self.nodes if node not in self.gone]

    @property
    def broken(self) -> set[str]:
        """The nodes that have a fault."""
        return {*self.nodes} if self.split else {*self.gone}

    @property
    def settled(self) -> bool:
        return not self.broken and self.at_s >= self.broken_until_s + SETTLED_S

    def group(self, node: str) -> tuple[str, ...]:
        """The nodes that are alive and hear the node, itself among them."""
        return next(tuple(member for member in group if member in self.live) for group in self.groups if node in group)

    def heard(self, group: Sequence[str], extension: str) -> tuple[str, ...]:
        """What those of a group said last."""
        said = self.said[self.devices[extension]]
        return tuple(said[node][-1] for node in group if node in said)

    def _state(self, node: str, extension: str) -> str:
        """What a node is to tell; of a Custom device that nobody speaks for what this Asterisk takes it for."""
        words = self.heard(self.group(node), extension)
        if not words and self.devices[extension] not in self.homes:
            return self.unspoken
        return hint(aggregate(words))

    # What is said, and who tells of it

    def say(self, node: str, extension: str, state: str, lag_s: float = 0.0) -> None:
        """A node has a new word of a device, and whoever hears it tells of it in time."""
        device = self.devices[extension]
        self.known_s[device] = max(self.known_s[device], self.at_s + lag_s)
        self.events.append(Said(self.known_s[device], node, device, state))
        self.said[device].setdefault(node, []).append(state)
        self.tell([extension])

    def tell(self, extensions: Sequence[str]) -> None:
        """Each node tells of what is new to it."""
        for key in ((node, extension) for node in self.live for extension in extensions):
            state = self._state(*key)
            if state != self.told[key]:
                self._tell_one(key, state)

    def _tell_one(self, key: tuple[str, str], state: str) -> None:
        """A node tells of a state after all that it has yet to tell, or passes over that."""
        known = self.tellings[key]
        late = [seen for seen in known if seen.at_s > self.at_s]
        at_s = max([self.at_s + SLOWEST_S * self.chance.random(), *(seen.at_s for seen in late)])
        if late and self.chance.random() < 0.5:
            self.events = [event for event in self.events if all(event is not seen for seen in late)]
            del known[-len(late) :]
        self.told[key] = state
        before = known[-1].state if known else None
        if before != state:
            known.append(Seen(at_s, *key, state))
            self.events.append(known[-1])

    def change(self) -> None:
        """Custom devices change, several times in a moment or once in a long while."""
        extension, node = self.chance.choice(("mystate", "yours")), self.chance.choice(self.live)
        for _ in range(self.chance.randint(1, 4)):
            self.say(node, extension, self.chance.choice(ORDER))
            self.at_s += self.chance.choice((0.004, 0.04, 0.4))
            node = self.chance.choice((node, self.chance.choice(self.live)))

    def change_slowly(self, state: str = "") -> None:
        """A Custom device changes, and for some time nothing else does."""
        node, extension = self.chance.choice(self.live), self.chance.choice(("mystate", "yours"))
        self.at_s += 2 * SLOWEST_S
        count, settled = len(self.events), self.settled
        self.say(node, extension, state or self.chance.choice(ORDER))
        if settled:
            said, told = self.events[count], [event for event in self.events[count:] if isinstance(event, Seen)]
            assert isinstance(said, Said)
            self.slow += [(said, seen) for seen in told if seen.state not in ("Idle", "Unavailable")]
        self.at_s += 4

    def ring(self) -> None:
        """A phone is called, in a moment; labctl hears of it after its node does."""
        extension = self.chance.choice([number for number in self.devices if self.devices[number] in self.homes])
        home = self.homes[self.devices[extension]]
        for state in ("NOT_INUSE", "RINGING", "INUSE", "NOT_INUSE")[: self.chance.randint(1, 4)]:
            if home in self.live:
                self.say(home, extension, state, LAG_S * self.chance.random())
                self.at_s += self.chance.choice((0.01, 0.3))

    # What goes wrong, and what is done

    def cut(self) -> None:
        """The network is cut in two."""
        if not self.split:
            apart = self.chance.sample(self.nodes, self.chance.randint(1, len(self.nodes) - 1))
            self.groups = [tuple(apart), tuple(node for node in self.nodes if node not in apart)]
            self.split = True
            self.cut_off |= {node: self._cut_off(node) for node in self.live}
            self.events.append(FaultBegan(self.at_s, "split", "partition", self.nodes))
            self.at_s += 1.5
            self.tell([*self.devices])

    def _cut_off(self, node: str) -> tuple[tuple[str, ...], dict[str, int]]:
        """The side of a cut that a node is on, and how many words of each device it has said by now."""
        side = next(group for group in self.groups if node in group)
        return side, {device: len(words.get(node, ())) for device, words in self.said.items()}

    def heal(self) -> None:
        """The network is whole again."""
        if self.split:
            self.groups, self.split = [self.nodes], False
            self.cut_off = {node: cut for node, cut in self.cut_off.items() if node in self.gone}
            self._mended(Healed(self.at_s, "split"))

    def kill(self, node: str = "") -> None:
        """A node dies, or its Asterisk alone."""
        node = node or self.chance.choice(self.live)
        if len(self.live) > 1:
            self.at_s += LAG_S
            self.gone.add(node)
            self.corosyncs -= {node} if self.chance.random() < 0.7 else set()
            self.events += [Gone(self.at_s, node, "kill"), FaultBegan(self.at_s, f"kill-{node}", "kill", (node,))]
            self.at_s += 1.5
            self.tell([*self.devices])

    def start(self) -> None:
        """A dead node comes back."""
        if self.gone:
            node = self.chance.choice(sorted(self.gone))
            self.gone.discard(node)
            self.corosyncs.add(node)
            if self.split:  # the other side hears nothing of what it says from now on
                self.cut_off.setdefault(node, self._cut_off(node))
            else:
                self.cut_off.pop(node, None)
            self._mended(Healed(self.at_s, f"kill-{node}"), Back(self.at_s + 0.5, node))

    def _mended(self, *events: Event) -> None:
        self.events += events
        self.at_s += 1
        self.broken_until_s = self.at_s
        self.tell([*self.devices])
        self.at_s += self.chance.choice((2.0, SETTLED_S))

    def call(self, meanwhile: Callable[[], None] | None = None) -> None:
        """A phone calls another, while something else may happen; through a broken node it may be lost."""
        caller, callee = self.chance.sample([*self.homes], 2)
        nodes = tuple(dict.fromkeys([self.homes[caller], self.homes[callee]]))
        name = f"call-{len(self.events)}"
        self.events.append(Called(self.at_s, name, caller, callee, nodes))
        hurt = self.broken & {*nodes}
        self.at_s += 0.5
        (meanwhile or self.chance.choice((self.cut, self.kill, self.heal, self.start)))()
        hurt |= self.broken & {*nodes}
        lost = bool(hurt) and self.chance.random() < 0.5
        self.at_s += 0.5
        wanted = self.chance.randint(1, 100)
        self.events += [Heard(self.at_s, name, phone, 0 if lost else wanted, wanted) for phone in (caller, callee)]
        self.events.append(Ended(self.at_s + 0.1, name, not lost, "lost" if lost else ""))
        self.unhurt += [] if hurt else [name]
        self.at_s += 0.2

    def message(self) -> None:
        """A mailbox gets a message, or one of its messages is heard."""
        box = self.chance.choice([*self.boxes])
        self.kept[box] = (self.kept[box][0] + 1, self.kept[box][1] + self.chance.randint(0, 1))

    def look(self) -> None:
        """All is quiet, and looked at."""
        self.at_s += 2 * SLOWEST_S
        states = {node: {extension: self._state(node, extension) for extension in self.devices} for node in self.live}
        rings = {node: self._ring(node) for node in self.live}
        hints = {node: dict(states[node]) for node in _some(self.chance, self.live, len(self.live))}
        kept = {box: count for box, count in self.kept.items() if self.boxes[box] in self.live}
        lamps = {phone: self._lamp(phone) for phone in self.lamps}
        look = Looked(self.at_s, states, rings, {}, hints, kept, lamps)
        self.events.append(look)
        self.lit += [(look, phone) for phone in lamps if self._hears(phone)]
        for group in {self.group(node) for node in self.live}:
            self.places += [self._place(look, group, extension) for extension in self.devices]
        self.at_s += 0.5

    def _ring(self, node: str) -> tuple[str, ...]:
        whole = next(group for group in self.groups if node in group)
        return tuple(member for member in whole if member in self.corosyncs)

    def _hears(self, phone: str) -> bool:
        """Whether a phone's node hears the one that keeps its mailbox."""
        home, keeper = self.homes[f"PJSIP/{phone}"], self.boxes[self.lamps[phone]]
        return home in self.live and keeper in self.group(home)

    def _lamp(self, phone: str) -> tuple[int, int]:
        return self.kept[self.lamps[phone]] if self._hears(phone) else (self.chance.randint(0, 3), 0)

    def _place(self, look: Looked, group: tuple[str, ...], extension: str) -> Place:
        heard, device = self.heard(group, extension), self.devices[extension]
        either = not heard and device not in self.homes
        right = frozenset({"Idle", "Unavailable"} if either else {hint(aggregate(heard))})
        lost = {node: tuple(words) for node, words in self.said[device].items() if node not in group}
        left = (self._before_it_left(node, words, device, group) for node, words in lost.items())
        return Place(look, group, extension, right, heard, tuple(lost.values()), tuple(word for word in left if word))

    def _before_it_left(self, node: str, words: tuple[str, ...], device: str, group: tuple[str, ...]) -> str:
        """The last word of a node that any of a group has heard; "" where they heard none."""
        side, counts = self.cut_off.get(node, (group, {}))
        audible = words if {*side} & {*group} else words[: counts[device]]
        return audible[-1] if audible else ""

    def play(self, actions: int) -> None:
        """Do all that there is to find fault with, then as many things by chance, then leave a ghost to be seen."""
        more: list[Callable[[], None]] = [self.change, self.change_slowly, self.ring, self.look, self.look, self.call]
        more += [self.cut, self.heal, self.kill, self.start, self.message]
        chosen = [self.chance.choice(more) for _ in range(actions)]
        for number, act in enumerate([self.begin, *chosen, self.haunt], 1):
            began_s = self.at_s
            act()
            self.events.append(Did(self.at_s, number, act.__name__, began_s))
        self.events.append(Over(self.at_s + 2))

    def begin(self) -> None:
        """Nothing is broken: a device changes, a phone calls, all is looked at."""
        self.change_slowly("BUSY")
        self.call(self.message)
        self.look()

    def haunt(self) -> None:
        """All is whole; a node says the most that can be said, the others the least, and it dies."""
        self.heal()
        while self.gone:
            self.start()
        node = self.chance.choice(self.nodes)
        for speaker in self.nodes:
            self.say(speaker, "yours", "RINGINUSE" if speaker == node else "NOT_INUSE")
        self.kill(node)
        self.look()


# One thing that is wrong


def _with(world: World, old: Event, *new: Event) -> list[Event]:
    """The events, with new ones in the place of an old one."""
    return [kept for event in world.events for kept in (new if event is old else (event,))]


def _retold(world: World, place: Place, nodes: Sequence[str], state: str) -> list[Event]:
    """Some nodes tell another state in a look, in a run in which their command line is asked nothing: that would be
    held against what they told unasked."""
    look = place.look
    states = {
        node: by_node | ({place.extension: state} if node in nodes else {}) for node, by_node in look.states.items()
    }
    events = _with(world, look, replace(look, states=states))
    return [replace(event, hints={}) if isinstance(event, Looked) else event for event in events]


def _some(chance: Random, nodes: Sequence[str], most: int) -> list[str]:
    return chance.sample(nodes, chance.randint(1, most))


def stale(world: World) -> list[Event]:
    """Some of a group tell of what nobody said, the others of what is right."""
    place = world.chance.choice([place for place in world.places if len(place.group) > 1 and place.strange()])
    nodes = _some(world.chance, place.group, len(place.group) - 1)
    return _retold(world, place, nodes, world.chance.choice(place.strange()))


def lie(world: World) -> list[Event]:
    """All of a group tell of what nobody said."""
    place = world.chance.choice([place for place in world.places if place.strange()])
    return _retold(world, place, place.group, world.chance.choice(place.strange()))


def ghost(world: World) -> list[Event]:
    """All of a group tell of what those said who left."""
    place = world.chance.choice([place for place in world.places if place.ghosts()])
    return _retold(world, place, place.group, world.chance.choice(place.ghosts()))


def half_a_ghost(world: World) -> list[Event]:
    """Some of a group tell of what those said who left, the others of what is right."""
    places = [place for place in world.places if place.ghosts() and len(place.group) > 1]
    place = world.chance.choice(places or [place for place in world.places if place.ghosts()])
    nodes = _some(world.chance, place.group, max(1, len(place.group) - 1))
    return _retold(world, place, nodes, world.chance.choice(place.ghosts()))


def contradiction(world: World) -> list[Event]:
    """A node's command line tells something else than its manager interface."""
    look = world.chance.choice([event for event in world.events if isinstance(event, Looked) and event.hints])
    node, extension = world.chance.choice([*look.hints]), world.chance.choice([*world.devices])
    other = world.chance.choice([state for state in HINTS.values() if state != look.states[node][extension]])
    return _with(world, look, replace(look, hints=look.hints | {node: look.hints[node] | {extension: other}}))


def wrong_lamp(world: World) -> list[Event]:
    """A lamp is of one message too many, or of one too few."""
    look, phone = world.chance.choice(world.lit)
    new, old = look.lamps[phone]
    told = world.chance.choice([(new + 1, old), (new, old + 1), *([(new - 1, old)] if new else [])])
    return _with(world, look, replace(look, lamps=look.lamps | {phone: told}))


def _of_a_call(world: World, kind: type[Ended | Heard]) -> Event:
    """An event of a call through nodes that had no fault."""
    of_kind = [event for event in world.events if isinstance(event, kind)]
    return world.chance.choice([event for event in of_kind if event.call in world.unhurt])


def lost_call(world: World) -> list[Event]:
    """A call is lost, though no node of it had a fault."""
    end = _of_a_call(world, Ended)
    assert isinstance(end, Ended)
    return _with(world, end, replace(end, ok=False, why="lost"))


def silence(world: World) -> list[Event]:
    """A phone hears too few packets."""
    heard = _of_a_call(world, Heard)
    assert isinstance(heard, Heard)
    return _with(world, heard, replace(heard, packets=world.chance.randrange(heard.wanted)))


def late(world: World) -> list[Event]:
    """A node tells of a change too late, or not at all, in a run in which its command line is asked nothing: that would
    say otherwise meanwhile."""
    said, seen = world.chance.choice(world.slow)
    later = replace(seen, at_s=said.at_s + 1.01 + 2 * world.chance.random())
    alone = [event for event in world.events if isinstance(event, Seen) and event.node == seen.node] == [seen]
    events = _with(world, seen, *([later] if alone else world.chance.choice([(), (later,)])))
    return [replace(event, hints={}) if isinstance(event, Looked) else event for event in events]


def deaf_to_the_manager(world: World) -> list[Event]:
    """Not one event of the manager interface came of all that changed, and no look asked `asterisk -rx` what did."""
    events = (event for event in world.events if not isinstance(event, Seen))
    return [replace(event, hints={}) if isinstance(event, Looked) else event for event in events]


def flap(world: World) -> list[Event]:
    """A node tells for a moment of another state, long after it told of what is right."""
    said, seen = world.chance.choice(world.slow)
    other = world.chance.choice([state for state in HINTS.values() if state != seen.state])
    at_s = said.at_s + 1.1 + 2 * world.chance.random()
    return [*world.events, replace(seen, at_s=at_s, state=other), replace(seen, at_s=at_s + 0.01)]


def wrong_step(world: World) -> list[Event]:
    """A step has an error, or the whole run."""
    over = world.events[-1]
    step = world.chance.choice([event for event in world.events if isinstance(event, Did)])
    return world.chance.choice([_with(world, step, replace(step, error="e")), _with(world, over, Over(over.at_s, "e"))])


def crash(world: World) -> list[Event]:
    """An Asterisk ends by itself, after all has been looked at."""
    over = world.events[-1]
    return _with(world, over, Gone(over.at_s - 0.5, world.chance.choice(world.live), BY_ITSELF), over)


def cut_off(world: World) -> list[Event]:
    """The history is cut off anywhere, but between what a node tells of a phone and that phone's own word."""
    ordered = sorted(world.events, key=lambda event: event.at_s)
    words_s = [event.at_s for event in world.events if isinstance(event, Said) and event.device in world.homes]
    ends = [
        count
        for count, event in enumerate(ordered[:-1], 1)
        if not any(event.at_s <= word_s <= event.at_s + LAG_S for word_s in words_s)
    ]
    return ordered[: world.chance.choice(ends)]


Spoil = Callable[[World], list[Event]]

WRONGS: Mapping[tuple[str, ...], tuple[Spoil, ...]] = {
    ("agreement",): (stale,),
    ("truth",): (lie,),
    ("no_ghosts",): (ghost,),
    ("agreement", "no_ghosts"): (half_a_ghost,),
    ("bounded_delay",): (late, deaf_to_the_manager),
    ("no_flapping",): (flap,),
    ("lamps",): (wrong_lamp,),
    ("calls",): (lost_call, silence),
    ("views",): (contradiction,),
    ("course",): (wrong_step, cut_off, crash),
}
"""By the checks that find it: what makes one thing wrong in a right history."""
