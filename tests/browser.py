"""A real Chromium without a screen, driven by its DevTools protocol over a pipe: nothing but the browser is needed.

https://chromedevtools.github.io/devtools-protocol/ says what the methods take and what the events hold.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fcntl import F_DUPFD_CLOEXEC, fcntl
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_S = 120.0
"""So long no answer takes, not even on a machine that is busy."""

LAST_S = 20.0
"""So long a browser may take to end by itself."""

FLAGS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36}
KEYS |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
"""Windows' key codes, which the protocol takes."""

SHIFT = 8


def program() -> str | None:
    """The browser of this machine; None where there is none."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class Page:
    """A tab: what is shown in it, what it complained of on its console, and what it asked a network for."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Do something by the protocol, and wait for the answer."""
        return self._browser.send(method, self._session, **parameters)

    def show(self, width: int = 1280, scheme: str = "light", media: str = "screen", height: int = 900) -> None:
        """Be of this width, in `light` or `dark`, on `screen` or in `print`."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", media=media, features=features)

    def open(self, file: Path) -> None:
        """Load a file, and wait until it is there whole. What was complained of and asked for before is forgotten."""
        with self.loading():
            self.send("Page.navigate", url=file.resolve().as_uri())

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Until what is done within has led to another page, and that is there whole."""
        self._browser.events.clear()
        yield
        self._browser.wait_for("Page.loadEventFired")

    def evaluate(self, script: str) -> Any:
        """The value of an expression of JavaScript, in the page."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key and let it go."""
        what = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": SHIFT if shift else 0}
        text = {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **what, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **what)

    def write(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.send("Input.insertText", text=text)

    def click(self, selector: str, number: int = 0) -> None:
        """Click in the middle of an element, wherever it is, as a mouse would."""
        element = f"document.querySelectorAll({json.dumps(selector)})[{number}]"
        box = self.evaluate(
            f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return {x: b.x + b.width / 2, y: b.y + b.height / 2}; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **box)

    @property
    def requests(self) -> list[str]:
        """The addresses of all that it asked for, itself too."""
        return [event["request"]["url"] for event in self._browser.of("Network.requestWillBeSent")]

    @property
    def complaints(self) -> list[str]:
        """What stands on the console of the page: errors, warnings, violations of its policy."""
        self.evaluate("0")  # what was under way has come
        entries = [event["entry"] for event in self._browser.of("Log.entryAdded")]
        thrown = [event["exceptionDetails"] for event in self._browser.of("Runtime.exceptionThrown")]
        return [
            *(f"{entry['level']}: {entry['text']}" for entry in entries),
            *(f"{details['text']} {details.get('exception', {}).get('description', '')}" for details in thrown),
            *(f"console.{event['type']}: {event['args']}" for event in self._browser.of("Runtime.consoleAPICalled")),
        ]

    def picture(self, file: Path, height: int = 0) -> None:
        """Write what is shown as PNG: what fits into the window, or so many pixels from above."""
        whole: dict[str, Any] = {}
        if height:
            width = self.evaluate("innerWidth")
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            whole = {"captureBeyondViewport": True, "clip": clip}
        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png", **whole)["data"]))

    def print(self) -> bytes:
        """The page on paper, as PDF."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True)["data"])


class Browser:
    """A process of Chromium. Messages are JSON, each ended by a NUL; it reads from its descriptor 3, writes to 4."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.events: list[dict[str, Any]] = []
        self._write, self._read = to_browser, from_browser
        self._number = 0
        self._rest = b""

    def send(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Do something, and wait for the answer; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        os.write(self._write, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def of(self, method: str) -> list[dict[str, Any]]:
        """What each event of a kind says that has come."""
        return [event["params"] for event in self.events if event["method"] == method]

    def wait_for(self, method: str) -> None:
        """Until an event of a kind has come."""
        while not self.of(method):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        end_s = time.monotonic() + PATIENCE_S
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end_s - time.monotonic()))
            assert ready, f"Chromium said nothing for {PATIENCE_S} s"
            piece = os.read(self._read, 1 << 20)
            assert piece, "Chromium has ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser of one's own, with a profile of its own, that ends at the end."""
    path = program()
    assert path, f"none of {', '.join(PROGRAMS)} is installed"
    with ExitStack() as stack:
        profile = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        ours, theirs = [], []
        for end in (0, 1):  # above those that they become, so that none is overwritten
            pipe = os.pipe()
            theirs.append(fcntl(pipe[end], F_DUPFD_CLOEXEC, 10))
            os.close(pipe[end])
            ours.append(pipe[1 - end])
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        null = os.open(os.devnull, os.O_RDWR)
        places = [(theirs[0], 3), (theirs[1], 4), (null, 0), (null, 1), (null, 2)]
        process = os.posix_spawn(
            path,
            [path, *FLAGS, *sandbox, f"--user-data-dir={profile}"],
            {**os.environ, "HOME": profile},
            file_actions=[(os.POSIX_SPAWN_DUP2, ours_is, theirs_is) for ours_is, theirs_is in places],
        )
        stack.callback(_end, process)
        for descriptor in (*theirs, null):
            os.close(descriptor)
        for descriptor in ours:
            stack.callback(os.close, descriptor)
        yield Browser(ours[0], ours[1])


def _end(process: int) -> None:
    """Its pipe is closed, and so it ends; where it does not, it is ended."""
    ended = os.pidfd_open(process)
    if not select.select([ended], [], [], LAST_S)[0]:
        os.kill(process, signal.SIGKILL)
    os.close(ended)
    os.waitpid(process, 0)
