"""Translates the services of a user's own Compose file into workloads of a lab. No I/O.

The lab replaces the networks and everything that belongs to them: a service has the addresses and names of
its host. All other settings are kept, including settings that Compose adds in later versions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeAlias

from lab.locale import Message, message
from lab.topology.errors import Mistake, TopologyError, suggestion
from lab.topology.plan import Plan, workload_service

Service: TypeAlias = dict[str, Any]

# The lab has its own values for these settings, or they are translated below.
REPLACED = {
    "container_name", "depends_on", "dns", "dns_opt", "dns_search", "domainname", "env_file", "expose",
    "external_links", "extra_hosts", "hostname", "links", "mac_address", "network_mode", "networks", "ports",
    "profiles", "scale", "sysctls",
}  # fmt: skip
REFERENCES = ("pid", "ipc", "network_mode")  # each may be "service:NAME"
RESOURCES = ("volumes", "configs", "secrets")
OWNED = {"socketlab.owner": "${LAB_OWNER:-}"}  # the label that all containers, networks and volumes have


class UserCompose:
    """The user's Compose file, as `docker compose config --format json` prints it."""

    def __init__(self, plan: Plan, config: Mapping[str, Any], reserved: Collection[str]) -> None:
        """``reserved`` are the names of the lab's own volumes and configs: a resource of the user with such
        a name is renamed.
        """
        self._config = config
        self._services: Mapping[str, Service] = config.get("services", {})
        self._reserved = reserved
        self._names = {name for node in plan.nodes for name in node.names}
        self._hosts: dict[str, list[str]] = defaultdict(list)  # the nodes of each service
        for name, host in plan.hosts.items():
            if host.workload and host.workload.service:
                self._hosts[host.workload.service].append(name)

    def require_services(self, plan: Plan) -> None:
        """Raises TopologyError if the file lacks a service that a host names. A wrong name would also be
        reported as a missing dependency of the others.
        """
        named = {h.name: h.workload.service for h in plan.hosts.values() if h.workload and h.workload.service}
        unknown = [
            Mistake(
                ("hosts", host, "service"),
                message("the Compose file has no service {name!r}", name=name),
                suggestion(name, sorted(self._services)),
            )
            for host, name in named.items()
            if name not in self._services
        ]
        if unknown:
            raise TopologyError(*unknown)

    def service(self, name: str, host: str) -> Service:
        """The service as a workload of ``host``. Raises TopologyError."""
        theirs = self._services[name]
        _refuse_shared_namespaces(theirs, host)
        dropped = REPLACED | {"logging"} if _is_silent(theirs) else REPLACED
        kept = {k: v for k, v in theirs.items() if k not in dropped and v is not None}
        sysctls = {k: v for k, v in (theirs.get("sysctls") or {}).items() if not k.startswith("net.")}
        return (
            kept
            | self._image(name, kept)
            | ({"sysctls": sysctls} if sysctls else {})
            | {kind: [self._renamed(each) for each in kept[kind]] for kind in RESOURCES if kind in kept}
            | {"depends_on": self._dependencies(name, host)}
            | ({"deploy": _without_replicas(kept["deploy"])} if "deploy" in kept else {})
        )

    def _image(self, name: str, service: Service) -> Service:
        """For a service that is built: the image of the user's own project, built again at each start."""
        if "build" not in service:
            return {}
        image = service.get("image") or f"{self._config.get('name', 'lab')}-{name}"
        return {"image": image, "pull_policy": service.get("pull_policy") or "build"}

    def resources(self, kind: str) -> dict[str, Any]:
        """The volumes, configs or secrets that the hosts' services use.

        The lab has copies of its own, without the names in the user's project. External ones are shared.
        """
        described = self._config.get(kind) or {}
        used = {each["source"] for name in self._hosts for each in self._uses(name, kind)}
        owned = {self._free(name): _own(described[name]) for name in described if name in used}
        return {name: _labelled(each) for name, each in owned.items()} if kind == "volumes" else owned

    def left_out(self) -> Iterator[Message]:
        """The parts of the file that the lab doesn't use, one sentence each."""
        for name, service in sorted(self._services.items()):
            if name not in self._hosts:
                yield message("The service {name} is left out: no host uses it.", name=name)
                continue
            yield from self._dropped(name, service)

    def _dropped(self, name: str, service: Service) -> Iterator[Message]:
        host = self._hosts[name][0]
        if service.get("ports"):
            yield message(
                "The published ports of {name} are left out: other hosts reach it at the address of {host}.",
                name=name,
                host=host,
            )
        if service.get("network_mode") == "host":
            yield message(
                "{name} uses the network of its host {host}, not that of the machine.", name=name, host=host
            )
        if service.get("extra_hosts"):
            yield message("The extra_hosts of {name} are left out.", name=name)
        if _replicas(service) > 1:
            yield message(
                "{name} runs once, not {replicas} times; `count` in [hosts.{host}] sets the number of hosts.",
                name=name,
                replicas=_replicas(service),
                host=host,
            )
        if _is_silent(service):
            yield message("The logging driver of {name} is replaced: it keeps no output.", name=name)
        for alias, target in self._aliases(name, service):
            if target in self._hosts and alias not in self._names:
                yield message(
                    "The name {alias} of {target} doesn't resolve; aliases = [{alias!r}] in [hosts.{host}] "
                    "adds it.",
                    alias=alias,
                    target=target,
                    host=self._hosts[target][0],
                )

    def _aliases(self, name: str, service: Service) -> Iterator[tuple[str, str]]:
        """The further names in the user's networks, each with the service that it stands for."""
        yield name, name
        for link in service.get("links") or ():
            target, _, alias = link.partition(":")
            yield alias or target, target
        networks = (service.get("networks") or {}).values()
        for alias in dict.fromkeys(
            a for network in networks if network for a in network.get("aliases") or ()
        ):
            yield alias, name
        if service.get("container_name"):
            yield service["container_name"], name

    def _dependencies(self, name: str, host: str) -> dict[str, Any]:
        """The services that must be started first: those of the lab. Raises TopologyError."""
        service = self._services[name]
        links = {
            link.partition(":")[0]: {"condition": "service_started"} for link in service.get("links") or ()
        }
        found: dict[str, Any] = {}
        for target, condition in {**links, **(service.get("depends_on") or {})}.items():
            if target in self._hosts:
                found |= {workload_service(node): condition for node in self._hosts[target]}
            elif condition.get("required", True):
                raise _mistake(
                    host,
                    message(
                        "the service {name} depends on {target}, which isn't a host",
                        name=name,
                        target=target,
                    ),
                    message('add [hosts.{target}] with service = "{target}"', target=target),
                )
        return found

    def _uses(self, name: str, kind: str) -> Iterator[Mapping[str, Any]]:
        for each in self._services.get(name, {}).get(kind) or ():
            if each.get("source") and each.get("type", "volume") == "volume":
                yield each

    def _renamed(self, use: Mapping[str, Any]) -> dict[str, Any]:
        """A volume, config or secret of a service, with the name that it has in the lab."""
        named = use.get("source") and use.get("type", "volume") == "volume"
        return {**use, "source": self._free(use["source"])} if named else dict(use)

    def _free(self, name: str) -> str:
        return f"user-{name}" if name in self._reserved else name


def _refuse_shared_namespaces(service: Service, host: str) -> None:
    """Raises TopologyError if the service shares a namespace with another one."""
    for key in REFERENCES:
        value = str(service.get(key) or "")
        if value.startswith(("service:", "container:")) or (key, value) == ("network_mode", "none"):
            raise _mistake(
                host,
                message('a service with {key}: "{value}" can\'t be a host', key=key, value=value),
                message("remove the setting from the Compose file"),
            )
    if service.get("volumes_from"):
        raise _mistake(
            host,
            message("a service with volumes_from can't be a host"),
            message("give both services the same volume"),
        )


def _mistake(host: str, problem: Message, remedy: Message) -> TopologyError:
    return TopologyError(Mistake(("hosts", host, "service"), problem, remedy))


def _own(resource: Mapping[str, Any]) -> dict[str, Any]:
    """A resource of the user's project as one of the lab: a name in the engine is left to Compose."""
    return dict(resource) if resource.get("external") else {k: v for k, v in resource.items() if k != "name"}


def _labelled(volume: Mapping[str, Any]) -> dict[str, Any]:
    """A volume with the label of the lab's owner, unless the lab only uses it."""
    if volume.get("external"):
        return dict(volume)
    return {**volume, "labels": {**(volume.get("labels") or {}), **OWNED}}


def _replicas(service: Service) -> int:
    return int(service.get("scale") or (service.get("deploy") or {}).get("replicas") or 1)


def _without_replicas(deploy: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in deploy.items() if key not in ("replicas", "mode", "endpoint_mode")}


def _is_silent(service: Service) -> bool:
    """True if the engine doesn't keep the service's output."""
    return (service.get("logging") or {}).get("driver") == "none"
