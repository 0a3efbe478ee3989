"""The connection to a Docker Engine, whose errors become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from docker import errors as docker_errors

from labctl.errors import HostError, LabError


class Access:
    """The engine's API. What is done with it stands in the classes that are made from this one."""

    def __init__(self, api: Any) -> None:
        self._api = api


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Docker's errors become ours."""
    try:
        yield
    except docker_errors.NotFound as error:
        raise LabError(f"{doing}: {error.explanation or error}", "labctl up makes what is missing") from None
    except docker_errors.APIError as error:
        raise HostError(f"{doing}: {error.explanation or error}") from None
    except (docker_errors.DockerException, requests.exceptions.RequestException) as error:
        raise HostError(f"{doing}: {error}", "is the Docker Engine running? labctl doctor tells more") from None
