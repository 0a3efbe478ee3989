"""Where an engine answers: DOCKER_HOST, a Docker context, or an address, in the order and the form that Docker has.

docker-py has a reader of contexts too, from 7.2 on; it finds none where there is no config.json, and takes no context
that has a CA alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import TLSParameterError
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

from labctl.errors import UsageError
from labctl.yamlfile.document import shown, suggestion

DEFAULT = "default"
"""The context that is no file: DOCKER_HOST, or the socket of this machine."""


@dataclass(frozen=True)
class EngineAddress:
    """Where an engine answers; `url` is "" for the socket of this machine. `tls` is docker-py's, None without."""

    url: str = ""
    tls: TLSConfig | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What docker-py's client is made with."""
        values = {"base_url": self.url or None, "tls": self.tls}
        return {name: value for name, value in values.items() if value}


def of_environment(environment: Mapping[str, str] = os.environ) -> EngineAddress:
    """The one that `docker` would use: by DOCKER_HOST, else DOCKER_CONTEXT, else `docker context use`.

    Raises UsageError where that context is not there.
    """
    name = environment.get("DOCKER_CONTEXT") or _chosen(environment)
    if environment.get("DOCKER_HOST") or name == DEFAULT:
        return _default(environment)
    return of_context(name, environment)


def of_host(text: str, environment: Mapping[str, str] = os.environ) -> EngineAddress:
    """That of a host as a user names it: a context's name, or an address (`ssh://`, `tcp://`, `unix://`), with which
    DOCKER_CERT_PATH and DOCKER_TLS_VERIFY count as they do in `docker --host`. Raises UsageError."""
    if "://" not in text:
        return _default(environment) if text == DEFAULT else of_context(text, environment)
    tls = _default(environment).tls if text.startswith(("tcp://", "https://")) else None
    return EngineAddress(text, tls)


def of_context(name: str, environment: Mapping[str, str] = os.environ) -> EngineAddress:
    """That of a context (`docker context create`). Raises UsageError where it is not there, or cannot be read."""
    folder = _folder(environment) / "contexts"
    identity = hashlib.sha256(name.encode()).hexdigest()  # docker/cli, cli/context/store: a folder's name
    file = folder / "meta" / identity / "meta.json"
    try:
        docker = json.loads(file.read_text("utf-8"))["Endpoints"]["docker"]
        url, unchecked = _address(docker["Host"]), bool(docker.get("SkipTLSVerify"))
    except FileNotFoundError:
        known = sorted({DEFAULT, *_names(folder)})
        raise UsageError(f"no Docker context `{shown(name)}`", suggestion(name, known)) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = f"docker context inspect {name}"
        raise UsageError(f"the Docker context {name} cannot be read: {file}: {error}", hint) from None
    return EngineAddress(url, _tls(folder / "tls" / identity / "docker", unchecked=unchecked))


def _address(host: object) -> str:
    if not isinstance(host, str) or not host:
        raise ValueError(f"its Host is {json.dumps(host)}")
    return host


def _default(environment: Mapping[str, str]) -> EngineAddress:
    try:
        arguments = kwargs_from_env(dict(environment) or {"": ""})
    except TLSParameterError:
        folder = Path(environment.get("DOCKER_CERT_PATH") or _folder(environment))
        raise _lacking(folder, f"{_said(environment)} asks for TLS", "or unset that") from None
    return EngineAddress(arguments.get("base_url", ""), arguments.get("tls"))


def _tls(folder: Path, *, unchecked: bool) -> TLSConfig | None:
    """TLS with what a context has of it: a CA, a certificate of the user's with its key, either, or none."""
    ca, certificate, key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    if not unchecked and not any(file.is_file() for file in (ca, certificate, key)):
        return None
    own = (str(certificate), str(key)) if certificate.is_file() or key.is_file() else None
    try:
        return TLSConfig(client_cert=own, ca_cert=str(ca) if ca.is_file() else None, verify=not unchecked)
    except TLSParameterError:
        raise _lacking(folder, "the context has half of a certificate", "or make the context anew") from None


def _lacking(folder: Path, why: str, otherwise: str) -> UsageError:
    """What TLS wants of a folder, and is not there: a certificate of the user's comes with its key, and a CA."""
    wanted = ("ca.pem", "cert.pem", "key.pem")
    files = ", ".join(name for name in wanted if not (folder / name).is_file()) or "what can be read"
    return UsageError(f"{why}, and {folder} has no {files}", f"put {files} there, {otherwise}")


def _said(environment: Mapping[str, str]) -> str:
    """The variable by which TLS is asked for."""
    return next((name for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH") if environment.get(name)), "DOCKER_HOST")


def _folder(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _chosen(environment: Mapping[str, str]) -> str:
    """The context of `docker context use`."""
    try:
        config = json.loads((_folder(environment) / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return DEFAULT
    name = config.get("currentContext") if isinstance(config, dict) else None
    return str(name or DEFAULT)


def _names(folder: Path) -> list[str]:
    names = []
    for file in folder.glob("meta/*/meta.json"):
        try:
            names.append(str(json.loads(file.read_text("utf-8"))["Name"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # only a proposal would come of it
    return names
