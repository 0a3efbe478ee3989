"""What the unit tests share: labs by hand, labs at random, and the shipped stack."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from string import ascii_lowercase, digits
from typing import Any

from hypothesis import strategies as st

from labctl.blueprint import drawing
from labctl.blueprint.drawing import Blueprint
from labctl.images.recipes import Images
from labctl.lab import Lab, Overrides
from labctl.labfile import reader
from labctl.stack.loader import find_stack
from labctl.stack.model import Stack

DATA = Path(__file__).parent / "data"
SUBNET = "198.18.16.0/24"
CARRIERS = ("corosync", "pjsip-publish")
IMAGES = Images("labctl/22-asterisk:one", "labctl/22-phone:one", "sha256:node", "sha256:phone")


@cache
def stack(name: str = "22") -> Stack:
    """A shipped stack."""
    return find_stack(name)


def lab(text: str = "name: lab\n", source: str = "lab.yaml", overrides: Overrides | None = None) -> Lab:
    """The lab of a lab file's text."""
    return reader.read(text, source, find_stack, overrides)[0]


def draw(
    text: str = "name: lab\n", subnet: str = SUBNET, seed: str = "seed", images: Images = IMAGES, name: str = "22"
) -> Blueprint:
    """The blueprint of a lab file's text, on the stack of that name."""
    return drawing.draw(lab(text, overrides=Overrides(stack=name)), stack(name), images, subnet, seed)


def files(text: str, node: str, seed: str = "seed", name: str = "22") -> dict[str, str]:
    """The configuration of one node, on the stack of that name: path below /etc -> text."""
    container = next(spec for spec in draw(text, seed=seed, name=name).containers if spec.hostname == node)
    return {file.path.removeprefix("/etc/"): file.text for file in container.files}


def words(longest: int) -> st.SearchStrategy[str]:
    """[a-z][a-z0-9-]*, of so many characters at most; hypothesis takes thrice as long for a regular expression."""
    rest = st.text(st.sampled_from(f"{ascii_lowercase}{digits}-"), max_size=longest - 1)
    return st.tuples(st.sampled_from(ascii_lowercase), rest).map("".join)


NAMES = words(31)
NODE_NAMES = NAMES.filter(lambda name: name not in ("all", "phones"))
PHONE_NAMES = NAMES.filter(
    lambda name: name not in ("general", "authentication", "udp", "phone", "node") and not name.startswith("node-")
)
SITE_NAMES = words(29).filter(lambda name: name != "stranger")
EVENTS = st.lists(st.sampled_from(["device_state", "mwi"]), unique=True)
DEVICES = words(25).filter(lambda name: not name.startswith("proof-"))
NUMBERS = st.text(st.sampled_from(digits), min_size=2, max_size=10).filter(lambda number: number != "600")
TEXTS = st.text(st.characters().filter(str.isprintable) | st.sampled_from("\n\t"))
PATHS = st.from_regex(r"(asterisk|corosync)(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}){1,3}", fullmatch=True)


@st.composite
def node_data(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    """What a valid lab file says of its nodes, or of its sites; and what the nodes are called."""
    names = draw(st.lists(NODE_NAMES, min_size=1, max_size=4, unique=True))
    sites = draw(st.lists(SITE_NAMES, min_size=2, max_size=3, unique=True))
    which = draw(st.sampled_from(["nodes", "sites", "counts"]))
    if which == "counts":
        counts = {site: draw(st.integers(1, 2)) for site in sites}
        return {"sites": counts}, [f"{site}{number}" for site in sites for number in range(1, counts[site] + 1)]
    if which == "sites" and len(names) >= len(sites):
        return {"sites": {site: names[index :: len(sites)] for index, site in enumerate(sites)}}, names
    return {"nodes": names}, names


def site(where: dict[str, Any], node: str) -> str:
    """A node's site; "" where there are none."""
    sites = where.get("sites", {})
    return next(
        (key for key, nodes in sites.items() if (node in nodes if isinstance(nodes, list) else node[:-1] == key)),
        "",
    )


@st.composite
def lab_data(draw: st.DrawFn) -> dict[str, Any]:
    """The data of a valid lab file, with any part of it left out."""
    where, names = draw(node_data())
    a_node = st.sampled_from(names)
    phones = draw(st.lists(PHONE_NAMES, max_size=4, unique=True))
    extensions = draw(st.lists(NUMBERS, min_size=len(phones), max_size=len(phones), unique=True))
    boxes = draw(st.lists(NUMBERS, min_size=1, max_size=3, unique=True))
    at = {name: draw(a_node) for name in [*phones, *boxes]}
    near = {name: {other for other in at if site(where, at[other]) == site(where, at[name])} for name in phones}
    transport = draw(st.sampled_from(["knet", "udpu", "udp"]))
    wholes: dict[str, Any] = {
        "name": draw(NAMES),
        "stack": draw(st.sampled_from(["22", 22])),
        **where,
        "share": draw(
            EVENTS | st.fixed_dictionaries({}, optional={"events": EVENTS, "via": st.sampled_from(CARRIERS)})
        ),
        **({"dundi": {"cache": draw(st.integers(0, 3600))}} if "sites" in where else {}),
        "follows_corosync": draw(st.booleans()),
        "phones": [
            {
                "name": name,
                "node": at[name],
                "extension": extension,
                "watches": draw(st.lists(st.sampled_from(sorted(near[name] & {*phones})), unique=True)),
                **({"mailbox": draw(st.sampled_from(sorted(mine)))} if (mine := near[name] & {*boxes}) else {}),
            }
            for name, extension in zip(phones, extensions, strict=True)
        ],
        "mailboxes": [{"number": number, "node": at[number]} for number in boxes],
        "devices": draw(st.lists(DEVICES, max_size=3, unique=True)),
        "totem": {
            "token": draw(st.integers(200, 60000)),
            "transport": transport,
            "encryption": draw(st.booleans()) and transport == "knet",
        },
        "config": draw(
            st.dictionaries(st.sampled_from(["all", *names]), st.dictionaries(PATHS, TEXTS, max_size=2), max_size=2)
        ),
        "subnet": draw(st.sampled_from(["198.18.7.0/24", "198.19.0.0/16", "198.18.0.64/26"])),
    }
    optional = st.sampled_from(["name", "stack", "share", "dundi", "follows_corosync", "devices", "totem", "subnet"])
    left_out = draw(st.sets(optional))
    return {key: value for key, value in wholes.items() if key not in left_out}
