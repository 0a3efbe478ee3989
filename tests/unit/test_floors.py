"""Imports go down: a module imports from lower floors only, never sideways."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import labctl

FLOORS = {
    17: ["__main__"],
    16: ["cli"],
    15: ["comparison", "pytest_plugin", "soak"],
    14: ["container", "runs"],
    13: ["stage"],
    12: ["footprint", "inquiry", "nemesis", "switchboard"],
    11: ["ground", "measure", "shelf", "watch"],
    10: ["lab", "recorder", "sources", "survey"],
    9: ["proof", "trial"],
    8: ["cluster", "phone"],
    7: ["build", "doctor", "ear", "inspection", "junit", "nodelogs", "sabotage", "useragent", "verdicts"],
    6: ["compose", "engine", "judgement", "mirror", "plan", "running"],
    5: ["blueprint", "checks", "mmdebstrap", "scenario"],
    4: ["asked", "changes", "images", "labfile", "screen"],
    3: ["ami", "journal", "phoneline", "replay", "stack", "story", "tables", "verbs"],
    2: [
        "asterisk",
        "chaos",
        "corosync",
        "dundi",
        "history",
        "load",
        "patches",
        "report",
        "review",
        "sipp",
        "transcript",
        "tshark",
    ],
    1: [
        "console",
        "devicestate",
        "document",
        "facts",
        "faults",
        "finding",
        "lock",
        "progress",
        "spec",
        "steps",
        "wait",
    ],
    0: ["errors", "__init__"],
}
FLOOR = {module: floor for floor, modules in FLOORS.items() for module in modules}
ROOT = Path(labctl.__file__).parent


def source(path: Path) -> ast.Module:
    """A module, or a package as the one module that all its files make."""
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    return ast.Module([statement for file in files for statement in ast.parse(file.read_text("utf-8")).body], [])


MODULES = [each for each in sorted(ROOT.iterdir()) if each.suffix == ".py" or (each / "__init__.py").is_file()]
TREES = {path.stem: source(path) for path in MODULES}


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere, be it for types alone; of labctl, by what stands after the dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "labctl":
            yield from (f"labctl.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def own(module: str) -> set[str]:
    """The other modules of labctl that a module imports; `labctl.__version__` is of `__init__`."""
    found = {name.split(".")[1] for name in imports(TREES[module]) if name.startswith("labctl.")}
    return {"__init__" if name == "__version__" else name for name in found - {module}}


def names(tree: ast.AST) -> set[str]:
    """Every name that is called or looked up: `print`, `time.sleep`."""
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)}


def users(*wanted: str) -> set[str]:
    return {module for module, tree in TREES.items() if names(tree) & set(wanted)}


@pytest.mark.parametrize("module", TREES)
def test_a_module_imports_from_lower_floors_only(module: str) -> None:
    assert {each for each in own(module) if FLOOR[each] >= FLOOR[module]} == set()


def test_every_module_stands_on_one_floor() -> None:
    assert sorted(module for modules in FLOORS.values() for module in modules) == sorted(FLOOR)
    assert set(TREES) <= set(FLOOR)
    assert all(upper > lower for upper, lower in pairwise(FLOORS))


def test_only_engine_imports_docker() -> None:
    libraries = {"docker", "requests"}
    users = {module for module, tree in TREES.items() if libraries & {name.split(".")[0] for name in imports(tree)}}
    assert users == {"engine"}


def test_nothing_sleeps() -> None:
    assert users("time.sleep", "sleep") == set()


def test_only_the_command_line_prints_and_exits_and_reads_the_environment() -> None:
    assert users("print", "click.echo", "os.environ", "os.getenv", "sys.exit", "sys.argv") <= {"cli"}


def test_one_place_catches_every_exception() -> None:
    def catches(tree: ast.AST) -> int:
        caught = [node.type for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
        return sum(each is None or ast.unparse(each) in ("Exception", "BaseException") for each in caught)

    assert {module: catches(tree) for module, tree in TREES.items() if catches(tree)} == {"cli": 1}
