"""The commands that were run in the containers of a lab with ``docker exec``, and the files copied there.

The engine reports them as events. Those of the past are lost, so a log begins when it is opened.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

from docker.errors import DockerException

from lab.engine.client import PROJECT_LABEL, Engine, sdk_call

ACTIONS = ("exec_create", "extract-to-dir", "update")
HEALTH = "/usr/lib/socketlab/health"
LAB_USERS = ("", "lab", "1000")  # "": that of the image


class ExecLog:
    """Follows the events of one lab in a thread."""

    def __init__(self, engine: Engine, project: str) -> None:
        self._api = engine.sdk
        self._lock = threading.Lock()
        self._touched: set[str] = set()  # ids of containers in which somebody ran something
        self._as_root: set[str] = set()
        self._broken = False
        filters = {"label": [f"{PROJECT_LABEL}={project}"], "event": list(ACTIONS)}
        # Not api.events(): its requests end when nothing happens for API_TIMEOUT.
        api: Any = self._api
        query = {"params": {"filters": json.dumps(filters)}, "stream": True, "timeout": None}
        self._response = sdk_call(api.get, f"{api.base_url}/v{api.api_version}/events", **query)
        sdk_call(api._raise_for_status, self._response)
        self._stream = api._stream_helper(self._response, decode=True)
        self._thread = threading.Thread(target=self._follow, daemon=True, name=f"events of {project}")
        self._thread.start()

    def take(self, container: str) -> tuple[bool, bool]:
        """Whether anybody ran something in the container since the last call, and whether as root.

        Both are True if the engine's events were interrupted.
        """
        with self._lock:
            if self._broken:
                return True, True
            found = container in self._touched, container in self._as_root
            self._touched.discard(container)
            self._as_root.discard(container)
            return found

    def close(self) -> None:
        with suppress(DockerException, OSError):
            self._response.close()

    def _follow(self) -> None:
        try:
            for event in self._stream:
                self._handle(event)
        except Exception:  # whatever ends the stream: nothing is known from now on
            pass
        with self._lock:
            self._broken = True

    def _handle(self, event: dict[str, Any]) -> None:
        action, _, command = event["Action"].partition(": ")
        attributes = event["Actor"]["Attributes"]
        if command.strip() == HEALTH:
            return
        as_root = action != "exec_create" or self._is_root(attributes.get("execID", ""))
        with self._lock:
            self._touched.add(event["Actor"]["ID"])
            if as_root:
                self._as_root.add(event["Actor"]["ID"])

    def _is_root(self, number: str) -> bool:
        try:
            process = self._api.exec_inspect(number)["ProcessConfig"]
        except (DockerException, KeyError, OSError):
            return True
        return process.get("privileged", True) or process.get("user", "") not in LAB_USERS
