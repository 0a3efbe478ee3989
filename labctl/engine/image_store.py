"""Images: pulled, built, looked into, named and taken away."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, cast

from docker import errors as docker_errors

from labctl.engine.access import Access, translated
from labctl.errors import BuildError, HostError

_OF_CONTAINERS = (
    *("Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "Shell", "StopSignal", "User", "Volumes"),
    "WorkingDir",
)
"""What a container has of its image's configuration (OCI image specification, config.md); engines differ in what else
they show."""


class ImageStore:
    """The images of an engine."""

    def __init__(self, access: Access) -> None:
        self._api = access.api

    def tags(self) -> dict[str, str]:
        """The tags of every image that is present, with the image's id."""
        with translated("list images"):
            images = self._api.images()
        return {tag: image["Id"] for image in images for tag in image.get("RepoTags") or []}

    def image_id(self, reference: str) -> str:
        """The id of an image, or "" if it is not present."""
        image = self._inspected(reference)
        return str(image["Id"]) if image else ""

    def image_content(self, reference: str) -> str:
        """What is in an image, in the same words on every engine; "" if it is not present.

        That is its layers, by the hash of each as it is unpacked, and what containers have of its configuration. The id
        is the hash of the configuration with one way of storing images, and that of the manifest with another.
        """
        image = self._inspected(reference)
        if not image:
            return ""
        of_containers = {key: (image["Config"] or {}).get(key) or None for key in _OF_CONTAINERS}
        return json.dumps([image["RootFS"].get("Layers"), of_containers], sort_keys=True)

    def image_labels(self, reference: str) -> dict[str, str] | None:
        """The labels of an image, or None if it is not present."""
        image = self._inspected(reference)
        return dict(image["Config"].get("Labels") or {}) if image else None

    def _inspected(self, reference: str) -> Any:
        """All that the engine knows of an image, or None if it is not present."""
        with translated(f"inspect {reference}"):
            try:
                return self._api.inspect_image(reference)
            except docker_errors.ImageNotFound:
                return None

    def pull(self, reference: str) -> None:
        """Pull an image. Raises HostError if no registry gives it."""
        with translated(f"pull {reference}"):
            self._api.pull(reference)  # of a name without a tag: latest

    def import_image(self, archive: Any, reference: str, labels: dict[str, str]) -> None:
        """Make an image of the tar archive that a file object gives."""
        with translated(f"import {reference}"):
            repository, tag = reference.rsplit(":", 1)
            # Chunks, not the file: given a file, docker-py announces both a length and chunks.
            chunks = iter(lambda: archive.read(1 << 20), b"")
            reply = self._api.import_image_from_stream(
                chunks, repository=repository, tag=tag, changes=_label_changes(labels)
            )
        if '"error"' in reply:
            raise BuildError(f"import {reference}: {reply}")

    def build(
        self, archive: bytes, tag: str, args: dict[str, str], labels: dict[str, str], fresh: bool = False
    ) -> Iterator[str]:
        """Build an image from a packed context, giving the builder's output as it comes.

        `fresh` sets the builder's cache aside. Raises BuildError with the last lines.
        """
        lines: list[str] = []
        with translated(f"build {tag}"):
            replies = self._api.build(
                fileobj=io.BytesIO(archive),
                custom_context=True,
                encoding=None,
                tag=tag,
                buildargs=args,
                labels=labels,
                rm=True,
                forcerm=True,
                nocache=fresh,
                decode=True,
                timeout=3600,
            )
            failed = False
            for reply in replies:  # to their end, also after an error: that closes the socket
                text = str(reply.get("stream") or reply.get("error") or "").rstrip()
                lines.extend(text.splitlines())
                failed = failed or "error" in reply
                if text and not failed:
                    yield text
            if failed:
                raise BuildError(f"build {tag}:\n" + "\n".join(f"  {line}" for line in lines[-15:]))

    def save(self, reference: str) -> Iterator[bytes]:
        """An image as `docker save` has it, bit by bit. Of an id it has no tag in it."""
        with translated(f"save {reference}"):
            yield from self._api.get_image(reference, chunk_size=1 << 20)

    def load(self, archive: Iterable[bytes]) -> None:
        """Load what `save` gave, as it comes."""
        with translated("load an image"):
            for reply in self._api.load_image(archive):
                if "error" in reply:
                    raise HostError(f"the engine does not load the image: {reply['error']}")

    def tag(self, reference: str, name: str) -> None:
        """Give an image another name, `repository:tag`."""
        repository, _, tag = name.rpartition(":")
        with translated(f"tag {reference}"):
            self._api.tag(reference, repository, tag)

    def remove_image(self, reference: str) -> None:
        """Take an image's tag away, and the image where that was its last."""
        with translated(f"remove {reference}"), suppress(docker_errors.ImageNotFound):
            self._api.remove_image(reference, force=True)

    def ask_registry(self, reference: str) -> None:
        """Ask the registry for an image without pulling it. Raises HostError if it is not to be had."""
        with translated(f"ask for {reference}"):
            self._api.inspect_distribution(reference)

    def probe(self, image: str, script: str, *, of_machine: bool = False) -> str:
        """What a shell script prints in a new container with NET_ADMIN and no network but loopback; `of_machine`: on
        the network of the engine's machine, with no capability at all."""
        how = {"network_mode": "none", "cap_add": ["NET_ADMIN"]}
        with translated(f"look into {image}"):
            host_config = self._api.create_host_config(
                **({"network_mode": "host", "cap_drop": ["ALL"]} if of_machine else how)
            )
            container = self._api.create_container(image, ["sh", "-c", script], host_config=host_config)["Id"]
            try:
                self._api.start(container)
                self._api.wait(container)
                return cast(bytes, self._api.logs(container)).decode("utf-8", "replace")
            finally:
                self._api.remove_container(container, force=True, v=True)

    def create_idle(self, image: str) -> str:
        """A container of an image that is never started, to look into it or to commit it."""
        with translated(f"look into {image}"):
            command = self._api.inspect_image(image)["Config"].get("Cmd") or ["sh"]
            return str(self._api.create_container(image, command)["Id"])

    def commit(self, container: str, reference: str, labels: dict[str, str]) -> None:
        """Make an image of a container, with labels."""
        repository, tag = reference.rsplit(":", 1)
        with translated(f"commit {reference}"):
            self._api.commit(container, repository=repository, tag=tag, changes=_label_changes(labels))

    def put_archive(self, container: str, archive: bytes) -> None:
        """Put what a tar archive holds into a container, from its root on."""
        with translated(f"put files into {container}"):
            self._api.put_archive(container, "/", archive)

    def remove_idle(self, container: str) -> None:
        """Remove what create_idle made."""
        with translated(f"remove {container}"), suppress(docker_errors.NotFound):
            self._api.remove_container(container, force=True, v=True)


def _label_changes(labels: dict[str, str]) -> list[str]:
    return [f"LABEL {json.dumps(name)}={json.dumps(value)}" for name, value in labels.items()]
