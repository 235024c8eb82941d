"""A headless Chromium over a pipe: open a file, look, press keys, take pictures, see every request and error.

The DevTools protocol over file descriptors 3 and 4: a JSON message and a NUL each. No package and no port.
Every wait has a deadline; closing kills the whole process group and removes the profile.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--no-default-browser-check",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--no-first-run",
    "--disable-breakpad", "--mute-audio", "--hide-scrollbars", "--remote-debugging-pipe", "about:blank",
)  # fmt: skip


class Chromium:
    """One browser with one page. ``requests`` and ``errors`` fill as the page lives."""

    def __init__(self, path: str, width: int = 1400, height: int = 900) -> None:
        self.profile = tempfile.mkdtemp(prefix="traitor-chromium-")
        from_us, to_browser = os.pipe()
        from_browser, to_us = os.pipe()
        # bash, for descriptors beyond 9; the copies are high, so that neither is 3 or 4 itself.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (from_us, to_us)]
        shell = f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", path, f"--user-data-dir={self.profile}", *FLAGS],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "HOME": self.profile},
        )
        for end in (from_us, to_us, *ends):
            os.close(end)
        self.write_to, self.read_from = to_browser, from_browser
        self.buffer = b""
        self.number = 0
        self.session: str | None = None
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.loaded = False
        try:
            self._attach()
            self.size(width, height)
        except BaseException:
            self.close()
            raise

    def _attach(self) -> None:
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(info["targetId"] for info in targets if info["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Chromium:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        os.close(self.write_to)
        os.close(self.read_from)
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method: str, timeout_s: float = 60, **params: object) -> dict[str, Any]:
        """Send one command and wait for its answer; events that come meanwhile are noted."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + timeout_s
        while True:
            answer = self._next(deadline, method)
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _next(self, deadline: float, what: str) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            ready = select.select([self.read_from], [], [], max(0, left))[0]
            assert ready, f"Chromium did not answer in time: {what}"
            data = os.read(self.read_from, 1 << 20)
            assert data, f"Chromium ended while waiting for {what}"
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self.errors.append(f"dialog: {params['message']}")
        elif method == "Page.loadEventFired":
            self.loaded = True

    def open(self, page: Path, timeout_s: float = 60, fragment: str = "") -> None:
        """Open a file and wait until its scripts say they are done (or there is nothing to wait for)."""
        self._navigate("about:blank", timeout_s)  # else a new fragment of the same page would load nothing
        self.requests.clear()
        self.errors.clear()
        self._navigate(page.resolve().as_uri() + fragment, timeout_s)
        self.wait_for(
            "!document.getElementById('data') || 'ready' in document.documentElement.dataset", timeout_s
        )

    def _navigate(self, url: str, timeout_s: float) -> None:
        self.loaded = False
        self.call("Page.navigate", url=url)
        deadline = time.monotonic() + timeout_s
        while not self.loaded:
            self._next(deadline, f"{url} to load")

    def open_static(self, page: Path, timeout_s: float = 60) -> None:
        """Open a file whose scripts are switched off: the load event is all there is to wait for."""
        self._navigate(page.resolve().as_uri(), timeout_s)

    def visible_ids(self) -> set[str]:
        """The ids of elements that have a place in the layout; needs no script in the page."""
        got = self.call("DOMSnapshot.captureSnapshot", computedStyles=[])
        document, strings = got["documents"][0], got["strings"]
        placed = set(document["layout"]["nodeIndex"])
        found = set()
        for node, attributes in enumerate(document["nodes"]["attributes"]):
            names = [strings[place] for place in attributes]
            if node in placed and "id" in names[::2]:
                found.add(names[names[::2].index("id") * 2 + 1])
        return found

    def shown_text(self) -> str:
        """The text that is laid out."""
        got = self.call("DOMSnapshot.captureSnapshot", computedStyles=[])
        layout = got["documents"][0]["layout"]
        return " ".join(got["strings"][place] for place in layout["text"] if place >= 0)

    def wait_for(self, expression: str, timeout_s: float = 30) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.value(expression):
            assert time.monotonic() < deadline, f"never became true: {expression}; errors: {self.errors}"
            time.sleep(0.02)

    def value(self, expression: str) -> Any:
        """Evaluate in the page; promises are awaited."""
        got = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, timeout=60_000
        )
        assert "exceptionDetails" not in got, f"{expression}: {got['exceptionDetails']}"
        return got["result"].get("value")

    def size(self, width: int, height: int, scale: float = 1, mobile: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=mobile,
        )

    def media(self, scheme: str = "light", kind: str = "") -> None:
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", media=kind, features=[feature])

    def scripts(self, on: bool) -> None:
        self.call("Emulation.setScriptExecutionDisabled", value=not on)

    def press(self, key: str, shift: bool = False) -> None:
        text = {"text": key} if len(key) == 1 else {}
        event = {"key": key, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def screenshot(self, path: Path, whole: bool = True) -> None:
        got = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(got["data"]))

    def pdf(self, path: Path) -> None:
        got = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        path.write_bytes(base64.b64decode(got["data"]))
