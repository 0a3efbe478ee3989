"""Docker: the only package that imports its library. Applies steps, observes, opens streams."""

from __future__ import annotations

import docker
import requests
from docker import errors as docker_errors

from labctl.engine.commands import Commands, Output
from labctl.engine.containers import Containers, SubnetTaken
from labctl.engine.image_store import Images
from labctl.engine.observing import EngineInfo, Observing
from labctl.engine.streams import ExecStream, LogStream
from labctl.errors import HostError

__all__ = ["Engine", "EngineInfo", "ExecStream", "LogStream", "Output", "SubnetTaken", "connect"]

API_TIMEOUT_S = 60


class Engine(Observing, Containers, Commands, Images):
    """A Docker Engine. Raises HostError where it refuses, LabError where something is gone."""


def connect(timeout_s: int = API_TIMEOUT_S) -> Engine:
    """The engine that DOCKER_HOST or the default socket leads to. Raises HostError."""
    try:
        return Engine(docker.from_env(version="auto", timeout=timeout_s).api)
    except (docker_errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        hint = "start it (on Debian: apt-get install docker.io), or set DOCKER_HOST"
        raise HostError(f"no Docker Engine answers: {error}", hint) from None
