"""Rules of the house that no linter knows. The floors themselves stand in pyproject.toml, for import-linter."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import labctl

ROOT = Path(labctl.__file__).parent
FILES = {str(path.relative_to(ROOT)): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in FILES.items()}

LONGEST_FILE = 400
LONGEST_FUNCTION = 40


def names(tree: ast.AST) -> set[str]:
    """Every name that is called or looked up: `print`, `time.sleep`."""
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)}


def users(*wanted: str) -> set[str]:
    """The files that use any of these names."""
    return {file for file, tree in TREES.items() if names(tree) & set(wanted)}


def test_nothing_sleeps() -> None:
    assert users("time.sleep", "sleep") == set()


def test_only_the_command_line_prints_and_exits_and_reads_the_environment() -> None:
    found = users("print", "click.echo", "os.environ", "os.getenv", "sys.exit", "sys.argv")
    assert {file for file in found if not file.startswith("cli/")} == set()


def test_one_place_catches_every_exception() -> None:
    def catches(tree: ast.AST) -> int:
        caught = [node.type for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
        return sum(each is None or ast.unparse(each) in ("Exception", "BaseException") for each in caught)

    assert {file: catches(tree) for file, tree in TREES.items() if catches(tree)} == {"cli/__init__.py": 1}


def test_no_file_is_too_long() -> None:
    lengths = {file: len(path.read_text("utf-8").splitlines()) for file, path in FILES.items()}
    assert {file: length for file, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    functions = [
        (file, node.name, (node.end_lineno or 0) - node.lineno + 1)
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    ]
    assert [each for each in functions if each[2] > LONGEST_FUNCTION] == []


def test_no_two_classes_have_one_name() -> None:
    classes = Counter(
        node.name
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in classes.items() if count > 1] == []
