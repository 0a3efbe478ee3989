"""The connection to a Docker Engine, whose errors become ours."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from docker import errors as docker_errors

from labctl.errors import HostError, LabError

ENGINE_HINT = "is the Docker Engine running? labctl doctor tells more"


@dataclass(frozen=True)
class Access:
    """The engine's API, which every part of `Engine` holds. `api` is docker-py's low-level client."""

    api: Any

    def clock_s(self) -> float:
        """What the engine's clock says, in seconds since 1970: it may be on another machine, with another clock than
        this one has. Raises HostError."""
        with translated("ask for the engine's time"):
            now: str = self.api.info()["SystemTime"]
        return datetime.datetime.fromisoformat(now).timestamp()


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn the errors of Docker's library, and those of the connection to it, into ours.

    `action` says what was being done, and begins the message. Raises LabError where something of the lab is gone,
    HostError for all else.
    """
    try:
        yield
    except docker_errors.NotFound as error:
        raise LabError(f"{action}: {error.explanation or error}", "labctl up makes what is missing") from None
    except docker_errors.APIError as error:
        raise HostError(f"{action}: {error.explanation or error}") from None
    except (
        docker_errors.DockerException,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        ConnectionError,
    ) as error:
        raise HostError(f"{action}: {connection_error(error)}", ENGINE_HINT) from None


def connection_error(error: Exception) -> str:
    """What is wrong with the connection to an engine, without the objects in which docker-py's wraps it."""
    text = str(error)
    if late := re.search(r"timeout=([\d.]+)", text):
        return f"no answer within {late[1]} s"
    return text
