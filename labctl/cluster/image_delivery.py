"""Images on their way to the hosts that lack them, side by side, from the engine on which they were made."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from labctl.engine.actions import ContainerSpec
from labctl.engine.client import Engine
from labctl.progress import Progress, step


def deliver(engine: Engine, containers: Iterable[ContainerSpec], progress: Progress) -> None:
    """Have the image of each container on its host. A tag holds a hash of what is in it, so one that is there is right.

    Raises HostError when all have ended.
    """
    lacking = engine.lacking((spec.host, spec.image) for spec in containers)
    if not lacking:
        return

    def send(host: str, image: str) -> None:
        with step(progress, f"send {image} to {host}"):
            engine.send_image(host, image)

    with ThreadPoolExecutor(max_workers=len(lacking)) as pool:
        sendings = [pool.submit(send, host, image) for host, image in lacking]
    for sending in sendings:
        sending.result()
