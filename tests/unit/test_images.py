"""A tag changes with what goes into its image, and with nothing else; only what is missing is built."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.images import recipes
from labctl.images.recipes import (
    ASTERISK,
    BASE,
    BUILDER,
    BUILDER_BASE,
    COROSYNC,
    MODULE,
    NODE,
    PHONE,
    PHONE_BASE,
    SYSTEM,
    WHOLE,
    Context,
    Recipe,
)
from labctl.stack.model import Stack
from tests.unit.labs import stack

CONTEXTS: dict[str, Context] = {name: {"Dockerfile": (f"FROM {name}\n".encode(), 0o644)} for name in recipes.FOLDERS}
ALL = {BASE, COROSYNC, ASTERISK, MODULE, NODE, PHONE}


def changed(**values: Any) -> Stack:
    """The shipped stack with other values, some of them within `build`."""
    data = stack().model_dump()
    for key, value in values.items():
        (data["build"] if key in data["build"] else data)[key] = value
    return Stack.model_validate(data)


def tags(of: Stack, contexts: dict[str, Context] = CONTEXTS, mirror: str = "") -> dict[str, str]:
    return {name: recipe.tag for name, recipe in recipes.recipes(of, contexts, mirror).items()}


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
        ({"name": "mine"}, ALL - {BASE, PHONE}),
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
    assert recipes.pack(one) == recipes.pack(dict(sorted(one.items(), reverse=True)))


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        (set(), [BASE, COROSYNC, ASTERISK, MODULE, NODE, PHONE]),
        ({BASE}, [COROSYNC, ASTERISK, MODULE, NODE, PHONE]),
        ({NODE, PHONE}, []),
        ({NODE}, [BASE, PHONE]),
        ({NODE, BASE}, [PHONE]),
        ({PHONE, ASTERISK, MODULE}, [NODE]),
        ({PHONE, ASTERISK}, [BASE, MODULE, NODE]),
    ],
)
def test_what_is_missing_comes_after_what_it_stands_on(present: set[str], missing: list[str]) -> None:
    made = recipes.recipes(stack(), CONTEXTS)
    wanted: list[Recipe] = recipes.missing(made, {made[name].tag for name in present})
    assert [recipe.name for recipe in wanted] == missing


def test_a_stack_whose_node_image_was_built_elsewhere_has_its_phones_built_here() -> None:
    foreign = stack().with_image("registry.example/asterisk:1")
    made = recipes.recipes(foreign, CONTEXTS)
    assert {name: recipe.tag for name, recipe in made.items()} == {name: tags(stack())[name] for name in (BASE, PHONE)}
    assert [recipe.name for recipe in recipes.missing(made, set())] == [BASE, PHONE]
    assert recipes.run_by_labs(made) == (None, made[PHONE])


def test_a_stack_whose_images_were_built_elsewhere_has_nothing_to_build() -> None:
    assert recipes.recipes(changed(image="registry.example/asterisk:1", phone_image="phone:1"), CONTEXTS) == {}


def test_without_an_image_a_stack_stays_as_it_is() -> None:
    assert stack().with_image(None) is stack()


def test_settings_reach_the_shell_as_they_are() -> None:
    made = recipes.recipes(changed(phone={"packages": ["a b", "$(reboot)"]}), CONTEXTS)
    assert made[PHONE].context[recipes.SETTINGS][0] == b"PACKAGES='a b $(reboot)'\nMIRROR=''\n"


def test_an_image_says_what_it_stands_on() -> None:
    made = recipes.recipes(stack(), CONTEXTS)
    assert recipes.build_args(made[NODE], made) == {"BASE": made[ASTERISK].tag, "MODULE": made[MODULE].tag}


def test_a_stack_whose_module_is_packaged_runs_asterisk_as_it_is() -> None:
    made = recipes.recipes(changed(module=None), CONTEXTS)
    assert MODULE not in made
    assert recipes.run_by_labs(made) == (made[ASTERISK], made[PHONE])


def test_the_contents_of_an_image_are_lines() -> None:
    assert recipes.parse_contents("asterisk=1:22.10\n\nbroken\ncorosync=3\n") == {
        "asterisk": "1:22.10",
        "corosync": "3",
    }


OLD = changed(
    suite="squeeze",
    base="debian/eol:squeeze",
    module=None,
    at_once=True,
    keyring="removed.gpg",
    phone=stack().model_dump()["build"]["phone"] | {"suite": "sid", "base": "debian:sid"},
)


def old(**values: Any) -> Stack:
    """A stack whose node comes with its base system, with other values within `build`."""
    data = OLD.model_dump()
    return Stack.model_validate(data | {"build": data["build"] | values})


def test_a_node_that_comes_at_once_stands_on_a_system_with_all_its_packages() -> None:
    made = recipes.recipes(OLD, CONTEXTS)
    assert set(made) == {BUILDER_BASE, BUILDER, SYSTEM, WHOLE, PHONE_BASE, PHONE}
    assert recipes.run_by_labs(made) == (made[WHOLE], made[PHONE])
    assert recipes.ground(made[WHOLE], made) == made[SYSTEM]
    packages = (*OLD.build.corosync, *OLD.build.asterisk) if OLD.build else ()
    assert made[SYSTEM].system == recipes.System("squeeze", "debian/eol:squeeze", packages, "removed.gpg")
    assert made[WHOLE].tag.startswith("labctl/22-node:")


def test_its_phones_are_those_of_a_stack_of_their_suite() -> None:
    assert (tags(OLD)[PHONE_BASE], tags(OLD)[PHONE]) == (tags(stack())[BASE], tags(stack())[PHONE])
    assert tags(OLD)[PHONE].startswith("labctl/sid-phone:")


def test_where_its_packages_came_from_is_no_part_of_it() -> None:
    assert tags(OLD, mirror="http://mirror.example") == tags(OLD)


@pytest.mark.parametrize(
    ("values", "other"),
    [
        ({"asterisk": ["asterisk", "sox"]}, {SYSTEM, WHOLE}),
        ({"keyring": "mine.gpg"}, {SYSTEM, WHOLE}),
    ],
)
def test_its_tag_changes_with_what_is_in_it_and_who_signed_that(values: dict[str, Any], other: set[str]) -> None:
    before, after = tags(OLD), tags(old(**values))
    assert {name for name in before if before[name] != after[name]} == other


@pytest.mark.parametrize("folder", [COROSYNC, ASTERISK, WHOLE])
def test_its_tag_changes_with_the_files_of_its_layers(folder: str) -> None:
    before = tags(OLD)
    after = tags(OLD, CONTEXTS | {folder: {**CONTEXTS[folder], "root/new": (b"", 0o644)}})
    assert {name for name in before if before[name] != after[name]} == {WHOLE}


def test_it_has_the_dockerfile_of_its_own_folder() -> None:
    assert recipes.recipes(OLD, CONTEXTS)[WHOLE].context["Dockerfile"] == CONTEXTS[WHOLE]["Dockerfile"]


def test_what_makes_its_system_is_built_only_where_that_is_missing() -> None:
    made = recipes.recipes(OLD, CONTEXTS)
    assert made[SYSTEM].made_in == BUILDER
    assert made[BUILDER].tag.startswith("labctl/bookworm-builder:")
    wanted = [recipe.name for recipe in recipes.missing(made, set())]
    assert wanted == [BUILDER_BASE, BUILDER, SYSTEM, WHOLE, PHONE_BASE, PHONE]
    assert [recipe.name for recipe in recipes.missing(made, {made[SYSTEM].tag, made[PHONE].tag})] == [WHOLE]
    assert recipes.missing(made, {made[WHOLE].tag, made[PHONE].tag}) == []


def test_other_tools_make_another_system() -> None:
    contexts = CONTEXTS | {BUILDER: {**CONTEXTS[BUILDER], "root/new": (b"", 0o644)}}
    before, after = tags(OLD), tags(OLD, contexts)
    assert {name for name in before if before[name] != after[name]} == {BUILDER, SYSTEM, WHOLE}


def test_a_node_of_another_architecture_is_another_image() -> None:
    before, after = tags(OLD), tags(old(architecture="i386"))
    assert {name for name in before if before[name] != after[name]} == {SYSTEM, WHOLE}
    system = recipes.recipes(old(architecture="i386"), CONTEXTS)[SYSTEM]
    assert b"ARCHITECTURE=i386\n" in system.context[recipes.SETTINGS][0]
    assert b"ARCHITECTURE" not in recipes.recipes(OLD, CONTEXTS)[SYSTEM].context[recipes.SETTINGS][0]
