"""Images on their way to the hosts that lack them, side by side, from the engine on which they were made."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from labctl.engine.actions import ContainerSpec
from labctl.engine.client import Engine
from labctl.engine.host import PlacedImage
from labctl.progress import Progress, step


def deliver(engine: Engine, containers: Iterable[ContainerSpec], progress: Progress) -> None:
    """Have the image of each container on its host: another one that has its name there, as before `--refresh` or of a
    tag that was made anew, makes way.

    Raises HostError when all have ended.
    """
    lacking = engine.lacking(PlacedImage(spec.host, spec.image, spec.image_id) for spec in containers)
    if not lacking:
        return

    def send(image: PlacedImage) -> None:
        with step(progress, f"send {image.reference} to {image.host}"):
            engine.send_image(image)

    with ThreadPoolExecutor(max_workers=len(lacking)) as pool:
        sendings = [pool.submit(send, image) for image in lacking]
    for sending in sendings:
        sending.result()
