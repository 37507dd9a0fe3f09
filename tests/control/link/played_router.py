"""A router whose agent answers requests as lab/agent/link/impair.py does, for tests without an engine."""

import json
from dataclasses import dataclass, field

from lab.errors import EnvironmentFailure
from lab.topology.node import Interface, Node

NO_IMPAIRMENT = {
    "delay": 0.0, "jitter": 0.0, "loss": 0.0, "duplication": 0.0, "reordering": 0.0, "corruption": 0.0,
    "rate": None,
}  # fmt: skip


def node(name, *segments, **fields):
    """A router with the address .2 on each of its segments."""
    return Node(
        name, "router", (name,), tuple(Interface(s, f"{NETWORKS[s]}.2/24") for s in segments), **fields
    )


NETWORKS = {"office": "10.1.0", "dmz": "10.2.0", "lab": "10.3.0", "core": "10.4.0"}


@dataclass
class Router:
    """Keeps the requested settings. ``broken`` makes the next change fail."""

    node: Node = node("r", "office", "dmz")
    links: dict = field(default_factory=dict)  # by pair of segments
    partitions: dict = field(default_factory=dict)  # by id
    boot: str = "1"
    broken: bool = False
    requests: list = field(default_factory=list)
    count: int = 0

    @property
    def title(self):
        return self.node.title

    @property
    def now(self):
        """The settings of its first link."""
        return self.links.get(self.node.segments[:2])

    @property
    def is_nothing(self):
        return not (self.links or self.partitions)

    @property
    def agent(self):
        """It is its own agent."""
        return self

    def request(self, op, *, timeout, request):
        assert (op, json.loads(json.dumps(request))) == ("impair", request)
        can = {"netem": False, "nfqueue": True, "statistic": True, "boot": self.boot}
        answer = {"can": can, "before": self.state()}
        if request["op"] != "show":
            self.requests.append(request)
            if self.broken:
                self.clear()
                raise EnvironmentFailure(f"{self.title}: iptables: no")
            self.change(request)
        answer["now"] = self.state()
        return json.loads(json.dumps(answer))

    def state(self):
        return {"links": list(self.links.values()), "partitions": list(self.partitions.values())}

    def change(self, request):
        if request["op"] == "apply":
            self.apply(request["link"], request["seed"], request["counted"], tuple(request["between"]))
        elif request["op"] == "clear":
            self.clear()
        elif request["op"] == "partition":
            self.count += 1
            state = {"id": str(self.count), "partition": request["partition"], "since": self.count}
            self.partitions[str(self.count)] = state | {"alive": True, "dropped": []}
        elif request["op"] == "heal":
            self.partitions.pop(request["id"], None)

    def apply(self, link, seed="0", counted=None, pair=None):
        pair = pair or self.node.segments[:2]
        self.count += 1
        drops = counted or [[0, 0] for _ in link["drops"]]
        asked = (
            link["cut"] or link["drops"] or any(link[way] != NO_IMPAIRMENT for way in link if "to-" in way)
        )
        state = {"id": str(self.count), "between": list(pair), "link": link, "seed": seed}
        self.links.pop(pair, None)
        if asked:
            state |= {"backend": "nfqueue", "alive": True, "counts": {}, "drops": drops}
            self.links[pair] = state

    def clear(self):
        self.links, self.partitions = {}, {}

    def restart(self):
        self.clear()
        self.boot = "2"
