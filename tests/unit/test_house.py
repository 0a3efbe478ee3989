"""Rules of the house that no linter knows. The floors themselves stand in pyproject.toml, for import-linter."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import labctl

ROOT = Path(labctl.__file__).parent
FILES = {str(path.relative_to(ROOT)): path for path in sorted(ROOT.rglob("*.py"))}

LONGEST_FILE = 400
LONGEST_FUNCTION = 40


@cache
def text(file: str) -> str:
    """What stands in a file."""
    return FILES[file].read_text("utf-8")


@cache
def nodes(file: str) -> tuple[ast.AST, ...]:
    """Every node of a file's syntax tree."""
    return tuple(ast.walk(ast.parse(text(file))))


@cache
def names(file: str) -> set[str]:
    """Every name that a file calls or looks up: `print`, `time.sleep`."""
    return {dotted(node) for node in nodes(file) if isinstance(node, ast.Name | ast.Attribute)}


def dotted(node: ast.AST) -> str:
    """A name as it is written: `time.sleep`; of what is no name, such as a call, only what is looked up in it."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return f"{dotted(node.value)}.{node.attr}"
    return ""


def users(*wanted: str) -> set[str]:
    """The files that use any of these names."""
    words = [name.rpartition(".")[2] for name in wanted]  # a file in which none of them stands need not be parsed
    return {file for file in FILES if any(word in text(file) for word in words) and names(file) & set(wanted)}


def test_nothing_sleeps() -> None:
    assert users("time.sleep", "sleep") == set()


def test_only_the_command_line_prints_and_exits_and_reads_the_environment() -> None:
    found = users("print", "click.echo", "os.environ", "os.getenv", "sys.exit", "sys.argv")
    docker = "engine/endpoint.py"  # DOCKER_HOST and its like, which Docker's library reads by itself, too
    assert {file for file in found if not file.startswith("cli/")} == {docker}


def test_one_place_writes_to_the_terminal() -> None:
    assert users("click.echo", "click.secho", "print") == {"cli/terminal.py"}


def test_one_place_catches_every_exception() -> None:
    def catches(file: str) -> int:
        caught = [node.type for node in nodes(file) if isinstance(node, ast.ExceptHandler)]
        return sum(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in caught)

    assert {file: catches(file) for file in FILES if catches(file)} == {"cli/__init__.py": 1}


def test_no_file_is_too_long() -> None:
    lengths = {file: len(path.read_text("utf-8").splitlines()) for file, path in FILES.items()}
    assert {file: length for file, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    functions = [
        (file, node.name, (node.end_lineno or 0) - node.lineno + 1)
        for file in FILES
        for node in nodes(file)
        if isinstance(node, ast.FunctionDef)
    ]
    assert [(file, name, lines) for file, name, lines in functions if lines > LONGEST_FUNCTION] == []


def test_no_two_classes_have_one_name() -> None:
    classes = Counter(
        node.name
        for file in FILES
        for node in nodes(file)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in classes.items() if count > 1] == []


def test_a_run_of_tests_shares_its_folder_with_no_other_run(tmp_path: Path) -> None:
    """Where runs share one, each clears it of older folders, and two that end together clear the same ones."""
    assert not [folder for folder in tmp_path.parents if folder.name.startswith("pytest-of-")]
