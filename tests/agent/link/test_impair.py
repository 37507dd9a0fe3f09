"""Requests to impair that a router refuses. Its effects are tested in tests/control/link/test_link.py."""

import pytest

from lab.agent.lines import Refused
from lab.agent.link import impair
from lab.errors import EnvironmentFailure


@pytest.fixture
def on_a_router(tmp_path, monkeypatch):
    """The files of a router that has no settings."""
    monkeypatch.setattr(impair, "STATE", tmp_path)
    (tmp_path / "node").write_text("name=router\nrole=router\nnames=router\n")
    return tmp_path


@pytest.mark.parametrize("request_", [None, "show", 7, [], {}, {"op": "destroy"}, {"op": 1}, {"op": None}])
def test_an_invalid_request_is_refused_in_one_line(on_a_router, request_):
    with pytest.raises(Refused, match="the request has no op: expected show, apply, clear") as refused:
        impair.impair_as_root({"op": "impair", "request": request_})
    assert refused.value.code == 2
    assert [file.name for file in on_a_router.iterdir()] == ["node"]


@pytest.mark.parametrize("settings", ["role=host\n", "", "name='role=router'\n"])
def test_a_node_that_is_no_router_refuses(on_a_router, settings):
    (on_a_router / "node").write_text(settings)
    with pytest.raises(Refused, match="only a router impairs links"):
        impair.impair_as_root({"op": "impair", "request": {"op": "show"}})


@pytest.mark.lab
@pytest.mark.parametrize(
    "request_",
    [
        {"op": "apply"},
        {"op": "apply", "interfaces": {"clients": "eth0", "servers": "eth1"}},
        {"op": "apply", "interfaces": {"clients": "10.99.99.99", "servers": "10.99.99.98"}},
        {"op": "apply", "interfaces": None, "link": {"to-servers": {"delay": "1; reboot"}}},
        {"op": "apply", "link": {"to-servers": {"delay": -1}}},
        {"op": "apply", "between": ["clients", "office"]},
        {"op": "partition", "partition": {"sets": [["10.1.1.1"]]}},
        {"op": "apply", "backend": "tc"},
        {"op": "apply", "seed": 7},
        {"op": "apply", "link": {"to-office": {"delay": 1}}},
        {"op": "apply", "link": {"drops": [{"nth": [1]}]}, "counted": [[0]]},
        {"op": "apply", "interfaces": {"a b": "10.99.99.99", "servers": "10.99.99.98"}},
        {"op": "clear"},
    ],
)
def test_a_request_with_invalid_settings_changes_nothing(shared_lab, request_):
    own = dict(zip(shared_lab.router.node.segments, shared_lab.router.node.addresses, strict=True))
    if request_["op"] != "clear" and len(request_) > 1:
        request_ = {"interfaces": own, "between": list(own)} | request_
    with pytest.raises(EnvironmentFailure, match=r"router: .+"):
        shared_lab.router.agent.request("impair", timeout=20, request=request_)
    assert shared_lab.link.show().settings.is_nothing
