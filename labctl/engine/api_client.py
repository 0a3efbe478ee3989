"""docker-py's client of an engine's API, as labctl has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import docker
import requests


@dataclass(frozen=True)
class EngineTimeouts:
    """How many seconds an engine is waited for. Docker's own client waits for good; a lab is to say what is the matter.

    `reach_s`: until it can be connected to, which takes the kernel of its machine alone, however busy that is.
    `first_s`: until it answers for the first time. `answer_s`: until any other answer is there: where much is being
    written to its disk, to make or to start a container was seen to take more than a minute.
    """

    reach_s: int = 60
    first_s: int = 60
    answer_s: int = 300


class ApiClient(docker.APIClient):
    """docker-py's, with a time-out of its own for connections, and for which the CA of a context counts though requests
    has another one (REQUESTS_CA_BUNDLE)."""

    def __init__(self, timeouts: EngineTimeouts, **arguments: Any) -> None:
        self._reach_s = timeouts.reach_s
        super().__init__(timeout=timeouts.first_s, **arguments)
        self.timeout = timeouts.answer_s

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """As requests does; docker-py has one time-out for both, the connection and the answer."""
        answer_s = kwargs.get("timeout")
        if isinstance(answer_s, int | float):
            kwargs["timeout"] = (min(self._reach_s, answer_s), answer_s)
        response: requests.Response = super().send(request, **kwargs)
        return response

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """As requests does; but the client's own CA goes before that of the environment, as Docker's client has it."""
        own = self.verify if verify is None else verify
        return super().merge_environment_settings(url, proxies, stream, own, cert)
