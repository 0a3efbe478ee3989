"""docker-py's client of an engine's API, as labctl has it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

import docker
import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connection import HTTPConnection


@dataclass(frozen=True)
class EngineTimeouts:
    """How many seconds an engine is waited for. Docker's own client waits for good; a lab is to say what is the matter.

    `reach_s`: until it can be connected to, which takes the kernel of its machine alone, however busy that is.
    `first_s`: until it answers for the first time. `answer_s`: until any other answer begins: where much is being
    written to its disk, to make or to start a container was seen to take more than a minute. `command_s`: until a
    command in a container has begun.
    """

    reach_s: int = 60
    first_s: int = 60
    answer_s: int = 300
    command_s: int = 60


_KEPT_HOW = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
KEPT_ALIVE = (
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _KEPT_HOW.items() if hasattr(socket, name)),
)
"""What a command prints, a log and the engine's events are waited for as long as it takes; where their machine is gone
without a word, the kernel finds that within 30 s (tcp(7)). It answers for a machine that is busy."""


class ApiClient(docker.APIClient):
    """docker-py's, with a time-out of its own for connections, and for which the CA of a context counts though requests
    has another one (REQUESTS_CA_BUNDLE)."""

    def __init__(self, timeouts: EngineTimeouts, **arguments: Any) -> None:
        self._reach_s, self._command_s = timeouts.reach_s, timeouts.command_s
        super().__init__(timeout=timeouts.first_s, **arguments)
        self.timeout = timeouts.answer_s

    def mount(self, prefix: str | bytes, adapter: BaseAdapter) -> None:
        """As requests does; over TCP the connections are kept alive."""
        if isinstance(adapter, HTTPAdapter):
            adapter.poolmanager.connection_pool_kw["socket_options"] = KEPT_ALIVE
        super().mount(prefix, adapter)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """As requests does; docker-py has one time-out for both, the connection and the answer."""
        answer_s = kwargs.get("timeout")
        if answer_s == self.timeout and "/exec/" in (request.url or ""):
            answer_s = min(answer_s, self._command_s)
        if answer_s is None or isinstance(answer_s, int | float):
            kwargs["timeout"] = (min(self._reach_s, answer_s or self._reach_s), answer_s)
        response: requests.Response = super().send(request, **kwargs)
        return response

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """As requests does; but the client's own CA goes before that of the environment, as Docker's client has it."""
        own = self.verify if verify is None else verify
        return super().merge_environment_settings(url, proxies, stream, own, cert)
