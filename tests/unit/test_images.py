"""A tag changes with what goes into its image, and with nothing else; only what is missing is built."""

from __future__ import annotations

from typing import Any

import pytest

from labctl import images
from labctl.images import ASTERISK, BASE, COROSYNC, MODULE, NODE, PHONE, Context, Recipe
from labctl.stack import Stack
from tests.unit.labs import stack

CONTEXTS: dict[str, Context] = {name: {"Dockerfile": (f"FROM {name}\n".encode(), 0o644)} for name in images.FOLDERS}
ALL = {BASE, COROSYNC, ASTERISK, MODULE, NODE, PHONE}


def changed(**values: Any) -> Stack:
    """The shipped stack with other values, some of them within `build`."""
    data = stack().model_dump()
    for key, value in values.items():
        (data["build"] if key in data["build"] else data)[key] = value
    return Stack.model_validate(data)


def tags(of: Stack, contexts: dict[str, Context] = CONTEXTS, mirror: str = "") -> dict[str, str]:
    return {name: recipe.tag for name, recipe in images.recipes(of, contexts, mirror).items()}


@pytest.mark.parametrize(
    ("values", "other"),
    [
        ({}, set()),
        ({"title": "Another", "modules": {"core": []}, "transports": ["udp"]}, set()),
        ({"phone": {"packages": ["sip-tester"]}}, {PHONE}),
        ({"asterisk": ["asterisk", "sox"]}, {ASTERISK, NODE}),
        ({"corosync": ["corosync"]}, {COROSYNC, ASTERISK, NODE}),
        ({"cluster_module": "res_other"}, {MODULE, NODE}),
        ({"suite": "forky"}, ALL),
        ({"name": "mine"}, ALL),
    ],
)
def test_a_tag_changes_with_what_the_stack_puts_in(values: dict[str, Any], other: set[str]) -> None:
    before, after = tags(stack()), tags(changed(**values))
    assert {name for name in before if before[name] != after[name]} == other


@pytest.mark.parametrize(
    ("folder", "other"),
    [(BASE, ALL), (COROSYNC, {COROSYNC, ASTERISK, NODE}), (MODULE, {MODULE, NODE}), (NODE, {NODE}), (PHONE, {PHONE})],
)
@pytest.mark.parametrize("file", [("new", (b"", 0o644)), ("Dockerfile", (b"FROM x\n", 0o644))])
def test_a_tag_changes_with_the_files(folder: str, other: set[str], file: tuple[str, tuple[bytes, int]]) -> None:
    before = tags(stack())
    after = tags(stack(), CONTEXTS | {folder: {**CONTEXTS[folder], file[0]: file[1]}})
    assert {name for name in before if before[name] != after[name]} == other


def test_a_file_that_may_be_run_is_another_file() -> None:
    runnable = {"Dockerfile": (CONTEXTS[PHONE]["Dockerfile"][0], 0o755)}
    assert tags(stack())[PHONE] != tags(stack(), CONTEXTS | {PHONE: runnable})[PHONE]


def test_the_same_files_are_the_same_bytes_in_any_order() -> None:
    one: Context = {"a": (b"1", 0o644), "b": (b"2", 0o755)}
    assert images.pack(one) == images.pack(dict(sorted(one.items(), reverse=True)))


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        (set(), [BASE, COROSYNC, ASTERISK, PHONE, MODULE, NODE]),
        ({BASE}, [COROSYNC, ASTERISK, PHONE, MODULE, NODE]),
        ({NODE, PHONE}, []),
        ({NODE}, [BASE, PHONE]),
        ({NODE, BASE}, [PHONE]),
        ({PHONE, ASTERISK, MODULE}, [NODE]),
        ({PHONE, ASTERISK}, [BASE, MODULE, NODE]),
    ],
)
def test_what_is_missing_comes_after_what_it_stands_on(present: set[str], missing: list[str]) -> None:
    made = images.recipes(stack(), CONTEXTS)
    found: list[Recipe] = images.missing(made, {made[name].tag for name in present})
    assert [recipe.name for recipe in found] == missing


def test_a_stack_whose_image_was_built_elsewhere_has_nothing_to_build() -> None:
    assert images.recipes(changed(image="registry.example/asterisk:1"), CONTEXTS) == {}


def test_settings_reach_the_shell_as_they_are() -> None:
    made = images.recipes(changed(phone={"packages": ["a b", "$(reboot)"]}), CONTEXTS)
    assert made[PHONE].context[images.SETTINGS][0] == b"PACKAGES='a b $(reboot)'\nMIRROR=''\n"


def test_an_image_says_what_it_stands_on() -> None:
    made = images.recipes(stack(), CONTEXTS)
    assert images.build_args(made[NODE], made) == {"BASE": made[ASTERISK].tag, "MODULE": made[MODULE].tag}


def test_a_stack_whose_module_is_packaged_runs_asterisk_as_it_is() -> None:
    made = images.recipes(changed(module=None), CONTEXTS)
    assert MODULE not in made
    assert images.run_by_labs(made) == (ASTERISK, PHONE)


def test_the_contents_of_an_image_are_lines() -> None:
    assert images.parse_contents("asterisk=1:22.10\n\nbroken\ncorosync=3\n") == {"asterisk": "1:22.10", "corosync": "3"}
