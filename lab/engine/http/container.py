"""A container of a lab. Looking at it needs the standard library only: see lab.engine.http.api.

Everything else, such as starting and stopping it, goes through the Docker SDK, which is imported when it is
first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from lab.engine.http.api import ApiError, EngineApi

if TYPE_CHECKING:
    import docker


class Container:
    """A container, with the names of the Docker SDK's class of this name."""

    def __init__(
        self, api: EngineApi, client: Callable[[], docker.DockerClient], attrs: Mapping[str, Any]
    ) -> None:
        """``client`` returns the Docker SDK. ``attrs`` is the engine's description, in whole or in part."""
        self._api = api
        self._client = client
        self.attrs = dict(attrs)

    @property
    def id(self) -> str:
        return str(self.attrs["Id"])

    @property
    def name(self) -> str:
        return str(self.attrs["Name"]).lstrip("/")

    @property
    def labels(self) -> dict[str, str]:
        return self.attrs["Config"].get("Labels") or {}

    @property
    def client(self) -> docker.DockerClient:
        """The Docker SDK. Raises EnvironmentFailure if no engine answers."""
        return self._client()

    def reload(self) -> None:
        """Reads ``attrs`` again. If another container has replaced it, this is that one from now on.

        Raises ApiError; its status is 404 if the container was removed.
        """
        try:
            self.attrs = self._api.get(f"/containers/{self.id}/json")
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            self.attrs = self._api.get(f"/containers/{self.name}/json")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # the class has no such attribute; copy looks them up
            raise AttributeError(name)
        return getattr(self.client.containers.prepare_model(self.attrs), name)
