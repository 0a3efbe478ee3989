"""pytest's way to a lab: the fixture `lab`, parametrised by lab, stack and number of nodes.

    def test_state_crosses(lab):
        lab.set_state("n1", "mystate", "INUSE")
        lab.wait_for(extension="mystate", state="InUse")

Every step of a scenario is a method of it. A failed test shows the story: what was done, what each node said, when;
with `--lab-runs DIR` each test has a run folder, which a failure names and `labctl report` makes a page of. What takes
long to load is imported by the first test that asks for a lab.
"""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from labctl.testcontainers import AsteriskCluster


CLUSTER = pytest.StashKey["AsteriskCluster"]()
"""The lab of a test, from before it comes up."""

LONGEST_WHY = 500
"""Characters of why a test failed, in the history of its run."""


@dataclass(frozen=True)
class LabRequest:
    """Which lab a test wants; None is the shipped one's own."""

    lab: str | None = None
    stack: str | None = None
    nodes: int | None = None

    def __str__(self) -> str:
        words = [self.lab or "", f"stack{self.stack}" if self.stack else "", f"{self.nodes}nodes" if self.nodes else ""]
        return "-".join(word for word in words if word) or "default"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which labs the fixture `lab` is made of; each option may be given several times."""
    group = parser.getgroup("labctl", "labs of Asterisk clusters")
    group.addoption("--lab", action="append", default=[], help="lab file or shipped name")
    group.addoption("--lab-stack", action="append", default=[], help="stack")
    group.addoption("--lab-nodes", action="append", default=[], type=int, help="number of nodes")
    group.addoption("--lab-runs", metavar="DIR", type=Path, help="keep a run folder for each test there")
    group.addoption("--lab-no-capture", action="store_true", help="keep no packets in run folders")
    group.addoption("--keep-lab", action="store_true", help="leave labs up when the tests are over")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "lab(lab=None, stack=None, nodes=None): which lab the fixture `lab` is, over what options say"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `lab` runs once for each lab, stack and number of nodes."""
    if "lab" not in metafunc.fixturenames or not _is_ours(metafunc):
        return
    marker = metafunc.definition.get_closest_marker("lab")
    marked: dict[str, Any] = dict(zip(("lab", "stack", "nodes"), marker.args, strict=False)) if marker else {}
    marked.update(marker.kwargs if marker else {})
    options = {"lab": "--lab", "stack": "--lab-stack", "nodes": "--lab-nodes"}
    spans = [
        _span(marked[key]) if key in marked else metafunc.config.getoption(option) or [None]
        for key, option in options.items()
    ]
    requests = [LabRequest(*combination) for combination in product(*spans)]
    metafunc.parametrize("lab", requests, ids=str, indirect=True)


def _is_ours(metafunc: pytest.Metafunc) -> bool:
    """Not where a project has a fixture of its own of that name."""
    definitions = metafunc._arg2fixturedefs.get("lab") or ()
    return bool(definitions) and definitions[-1].func is _unwrapped(lab)


def _unwrapped(fixture: Any) -> Any:
    return getattr(fixture, "__wrapped__", getattr(fixture, "_fixture_function", fixture))


def _span(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


class LabNames:
    """The names of this session's labs, which stay up from test to test and go when the tests are over.

    No other session has them, be it another worker of pytest-xdist or another run of the same tests beside it. With
    `keep` they are the same each time, but for the worker, so that the next session finds them.
    """

    def __init__(self, worker: str, keep: bool) -> None:
        self.used: set[str] = set()
        self.claims = ExitStack()
        self._claimed: set[str] = set()
        self._tag = worker if keep else uuid4().hex[:8]

    def of(self, wanted: LabRequest) -> str:
        """The name of the lab that some tests share: 31 characters at most, as every lab's."""
        tag = f"-{self._tag}" if self._tag else ""
        words = "".join(letter if letter.isalnum() else "-" for letter in f"pytest-{wanted}".lower())
        name = words[: 31 - len(tag)].strip("-") + tag
        self.used.add(name)
        return name

    def claim(self, name: str) -> None:
        """Keep a lab from other sessions until `claims` is closed. Raises UsageError where another has it."""
        from labctl.cluster.inventory import in_use  # noqa: PLC0415 - see the module's docstring

        if name not in self._claimed:
            self.claims.enter_context(in_use(name, "session"))
            self._claimed.add(name)


@pytest.fixture(scope="session")
def _lab_names(pytestconfig: pytest.Config) -> Iterator[LabNames]:
    """The labs of this session; they are taken away when it is over."""
    keep: bool = pytestconfig.getoption("--keep-lab")
    worker: dict[str, str] = getattr(pytestconfig, "workerinput", {})  # pytest-xdist's
    names = LabNames(worker.get("workerid", ""), keep)
    with names.claims:
        yield names
    if names.used and not keep:
        from labctl.testcontainers import take_away  # noqa: PLC0415 - see the module's docstring

        for name in names.used:
            take_away(name)


@pytest.fixture
def lab(request: pytest.FixtureRequest, _lab_names: LabNames) -> Iterator[AsteriskCluster]:
    """A lab that is proven ready, with its phones off, its devices idle and its mailboxes empty.

    It is the same one for every test that wants the same; one that a test has broken for good is made anew.
    """
    from labctl.testcontainers import AsteriskCluster  # noqa: PLC0415 - see the module's docstring

    wanted: LabRequest = request.param
    name = _lab_names.of(wanted)
    _lab_names.claim(name)
    runs: Path | None = request.config.getoption("--lab-runs")
    cluster = AsteriskCluster(
        wanted.lab,
        nodes=wanted.nodes,
        stack=wanted.stack,
        name=name,
        keep=True,
        runs=runs and request.config.invocation_params.dir / runs,
        title=request.node.name,
        capture=not request.config.getoption("--lab-no-capture"),
    )
    request.node.stash[CLUSTER] = cluster
    with cluster:
        cluster.reset()
        yield cluster


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Show the story of the lab beneath a failure, once, and where its run is kept; tell the run of the failure."""
    report = yield
    cluster = item.stash.get(CLUSTER, None)
    if not cluster or call.when == "teardown":
        return report
    if cluster.run_folder and (call.when == "call" or report.failed):
        item.user_properties.append(("labctl_run", str(cluster.run_folder)))  # JUnit takes these from the teardown's
    if not report.failed or not call.excinfo:
        return report
    cluster.note_failure(f"{item.name}: {call.excinfo.exconly(tryshort=True)}"[:LONGEST_WHY])
    has_story = call.excinfo.typename == "BrokenCheck"  # in its message
    if call.when == "call" and not has_story:
        report.sections.append(("labctl: what happened", "\n".join(cluster.tell())))
    if cluster.run_folder:
        folder = str(cluster.run_folder)
        report.sections.append(("labctl: the run", f"{folder}\nlabctl report {shlex.quote(folder)} --open"))
    return report
