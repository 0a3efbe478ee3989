"""What is in an image: the same on engines that give the same image another id, and tell of it in another way."""

from __future__ import annotations

from typing import Any

from docker import errors as docker_errors

from labctl.engine.access import Access
from labctl.engine.image_store import ImageStore

LAYERS = ["sha256:base", "sha256:node"]
OF_NODE = {"Cmd": ["/sbin/init"], "Env": ["PATH=/usr/bin:/bin"], "Labels": {"labctl.image": "node"}}
OF_ENGINE = {"Hostname": "", "Image": "sha256:before", "AttachStdin": False, "OnBuild": None}
"""What engine 20.10 tells besides, and others do not."""


class Api:
    """An engine that has one image."""

    def __init__(self, image: dict[str, Any]) -> None:
        self._image = image

    def inspect_image(self, reference: str) -> dict[str, Any]:
        if reference != "node:1":
            raise docker_errors.ImageNotFound("no such image")
        return self._image


def content(layers: list[str], config: dict[str, Any] | None, identity: str = "sha256:config") -> str:
    image = {"Id": identity, "RootFS": {"Type": "layers", "Layers": layers}, "Config": config}
    return ImageStore(Access(Api(image))).image_content("node:1")


def test_one_image_is_the_same_on_engines_that_store_it_in_another_way() -> None:
    of_old = {**OF_ENGINE, **OF_NODE, "Entrypoint": None, "Volumes": None, "User": ""}
    assert content(LAYERS, of_old) == content(LAYERS, OF_NODE, "sha256:manifest") != ""
    assert content(LAYERS, None) == content(LAYERS, {})


def test_what_was_made_anew_is_another() -> None:
    assert content(LAYERS, OF_NODE) != content(["sha256:base", "sha256:later"], OF_NODE)
    assert content(LAYERS, OF_NODE) != content(LAYERS, {**OF_NODE, "Cmd": ["sh"]})


def test_one_that_is_not_there_has_none() -> None:
    assert ImageStore(Access(Api({}))).image_content("other:1") == ""
