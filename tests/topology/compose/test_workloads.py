"""The user's containers as Compose services: their own settings stay, the network is the host's."""

import pytest

from lab.topology.compose.user_compose import OWNED
from lab.topology.compose.workloads import workload_services
from lab.topology.model import Attachment, Host, Mount, Segment, Topology, Workload
from lab.topology.plan import TopologyError, plan


def planned(*hosts, compose="/theirs/docker-compose.yml"):
    attached = [host if host.attachments else add_segment(host) for host in hosts]
    return plan(Topology("test", segments=(Segment("lan"),), hosts=tuple(attached), compose=compose))


def add_segment(host):
    return Host(**{**vars(host), "attachments": (Attachment("lan"),)})


def from_service(*names, **services):
    """The workloads of a Compose project, of which the services ``names`` are hosts of the same name."""
    hosts = [Host(name, workload=Workload(service=name)) for name in names]
    return workload_services(planned(*hosts), {"name": "theirs", "services": services})


def mistake(*names, **services):
    with pytest.raises(TopologyError) as caught:
        from_service(*names, **services)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def left_out(*names, **services):
    return [str(text) for text in from_service(*names, **services).left_out]


def test_an_image_runs_unmodified_in_the_namespace_of_its_host():
    found = workload_services(planned(Host("web", workload=Workload(image="nginx:1.27")), Host("alice")))
    assert found.services == {
        "web-workload": {
            "image": "nginx:1.27",
            "network_mode": "service:web",
            "depends_on": {"web": {"condition": "service_healthy"}},
            "volumes": [{"type": "volume", "source": "web-small", "target": "/mnt/small"}],
            "labels": {"socketlab.role": "workload", "socketlab.host": "web", **OWNED},
        }
    }
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=8m,mode=1777"}
    assert found.volumes == {
        "web-small": {"labels": {"socketlab.lab": "test", **OWNED}, "driver_opts": options}
    }
    assert (found.configs, found.secrets, found.left_out) == ({}, {}, ())


def test_command_environment_and_mounts_are_passed_on_without_replacing_variables():
    workload = Workload(build="/my/$dir", command=("sh", "-c", "echo $HOME"), environment={"A": "$B"})
    host = Host("web", workload=workload, mounts=(Mount("/my/src", "/src"), Mount("/etc/a", "/a", True)))
    service = workload_services(planned(host)).services["web-workload"]
    assert service["build"] == {"context": "/my/$$dir"}
    assert (service["image"], service["pull_policy"]) == ("test-web", "build")
    assert service["command"] == ["sh", "-c", "echo $$HOME"]
    assert service["environment"] == {"A": "$$B"}
    assert [(v["source"], v["target"], v.get("read_only")) for v in service["volumes"]] == [
        ("/my/src", "/src", False),
        ("/etc/a", "/a", True),
        ("web-small", "/mnt/small", None),
    ]


def test_each_host_of_a_count_has_its_own_workload():
    host = Host("web", count=2, workload=Workload(image="nginx"))
    assert list(workload_services(planned(host)).services) == ["web-1-workload", "web-2-workload"]


def test_a_service_of_the_users_compose_file_keeps_its_settings():
    theirs = {
        "build": {"context": "/theirs/web", "args": {"A": "1"}},
        "command": None,
        "entrypoint": ["/start"],
        "environment": {"TOKEN": "a$$b"},
        "healthcheck": {"test": ["CMD", "true"]},
        "privileged": True,
        "restart": "unless-stopped",
        "labels": {"their": "label"},
        "volumes": [{"type": "bind", "source": "/theirs/conf", "target": "/conf", "read_only": True}],
        "a_setting_of_the_future": 1,
    }
    service = from_service("web", web=theirs).services["web-workload"]
    changed = {"command", "labels", "volumes"}
    assert {key: service[key] for key in theirs.keys() - changed} == {
        key: theirs[key] for key in theirs.keys() - changed
    }
    assert (service["image"], service["pull_policy"]) == ("theirs-web", "build")
    assert "command" not in service  # null in the JSON: that of the image
    assert service["labels"]["their"] == "label"
    assert service["volumes"][0] == theirs["volumes"][0]


def test_the_description_overrides_the_compose_file():
    workload = Workload(service="web", command=("serve",), environment={"B": "2"})
    config = {"services": {"web": {"image": "x", "command": ["old"], "environment": {"A": "1", "B": "1"}}}}
    service = workload_services(planned(Host("web", workload=workload)), config).services["web-workload"]
    assert service["command"] == ["serve"]
    assert service["environment"] == {"A": "1", "B": "2"}


def test_the_network_of_a_service_is_replaced_by_that_of_its_host():
    theirs = {
        "image": "x",
        "networks": {"back": None},
        "ports": [{"target": 80, "published": "8080"}],
        "expose": ["80"],
        "hostname": "h",
        "container_name": "web",
        "extra_hosts": ["a=1.2.3.4"],
        "dns": ["1.1.1.1"],
        "mac_address": "02:00:00:00:00:01",
        "sysctls": {"net.core.somaxconn": "10", "kernel.msgmax": "1"},
    }
    service = from_service("web", web=theirs).services["web-workload"]
    assert service.keys() == {"image", "network_mode", "depends_on", "volumes", "labels", "sysctls"}
    assert service["sysctls"] == {"kernel.msgmax": "1"}


def test_a_dependency_between_two_hosts_keeps_its_condition():
    web = {"image": "x", "depends_on": {"db": {"condition": "service_healthy", "required": True}}}
    service = from_service("web", "db", web=web, db={"image": "y"}).services["web-workload"]
    assert service["depends_on"] == {
        "db-workload": {"condition": "service_healthy", "required": True},
        "web": {"condition": "service_healthy"},
    }


def test_a_dependency_on_a_service_that_is_no_host_is_an_error_with_its_remedy():
    web = {"image": "x", "depends_on": {"db": {"condition": "service_started", "required": True}}}
    assert mistake("web", web=web, db={"image": "y"}) == (
        "hosts.web.service: the service web depends on db, which isn't a host; "
        'add [hosts.db] with service = "db"'
    )
    assert "add [hosts.db]" in mistake("web", web={"image": "x", "links": ["db:database"]}, db={})


def test_an_optional_dependency_on_a_service_that_is_no_host_is_dropped():
    web = {"image": "x", "depends_on": {"db": {"condition": "service_started", "required": False}}}
    assert list(from_service("web", web=web).services["web-workload"]["depends_on"]) == ["web"]


def test_a_service_that_the_file_lacks_is_an_error_that_lists_the_others():
    assert mistake("web", frontend={}, db={}) == (
        "hosts.web.service: the Compose file has no service 'web'; there are: db, frontend"
    )


def test_unknown_services_are_reported_before_dependencies_with_the_name_that_was_probably_meant():
    web = {"image": "x", "depends_on": {"db": {"condition": "service_started", "required": True}}}
    with pytest.raises(TopologyError) as caught:
        from_service("web", "dbb", "fronted", web=web, db={}, frontend={})
    assert str(caught.value).splitlines() == [
        "hosts.dbb.service: the Compose file has no service 'dbb'; did you mean 'db'?",
        "hosts.fronted.service: the Compose file has no service 'fronted'; did you mean 'frontend'?",
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"network_mode": "none"},
        {"network_mode": "service:db"},
        {"pid": "service:db"},
        {"ipc": "container:x"},
        {"volumes_from": ["db"]},
    ],
)
def test_a_shared_namespace_is_refused(settings):
    assert "can't be a host; " in mistake("web", web={"image": "x", **settings})


def test_the_users_volumes_belong_to_the_lab_and_not_to_the_users_project():
    def use(name):
        return {"type": "volume", "source": name, "target": f"/{name}"}

    services = {
        "web": {"image": "x", "volumes": [use("data"), use("keys"), use("shared")]},
        "b": {"volumes": [use("b")]},
    }
    volumes = {
        "data": {"name": "theirs_data", "driver": "local", "labels": {"their": "label"}},
        "keys": {"name": "theirs_keys"},
        "shared": {"name": "shared", "external": True},
        "b": {"name": "theirs_b"},
    }
    host = Host("web", workload=Workload(service="web"))
    found = workload_services(planned(host), {"services": services, "volumes": volumes})
    assert found.volumes == {
        "web-small": found.volumes["web-small"],
        "data": {"driver": "local", "labels": {"their": "label", **OWNED}},
        "user-keys": {"labels": OWNED},  # "keys" are the lab's own
        "shared": {"name": "shared", "external": True},
    }
    sources = [volume["source"] for volume in found.services["web-workload"]["volumes"]]
    assert sources == ["data", "user-keys", "shared", "web-small"]


def test_configs_and_secrets_are_kept():
    web = {"image": "x", "configs": [{"source": "topology"}], "secrets": [{"source": "s", "target": "/s"}]}
    config = {
        "services": {"web": web},
        "configs": {"topology": {"name": "theirs_topology", "file": "/f"}},
        "secrets": {"s": {"name": "theirs_s", "file": "/s"}},
    }
    found = workload_services(planned(Host("web", workload=Workload(service="web"))), config)
    assert found.configs == {"user-topology": {"file": "/f"}}
    assert found.secrets == {"s": {"file": "/s"}}
    assert found.services["web-workload"]["configs"] == [{"source": "user-topology"}]
    assert found.services["web-workload"]["secrets"] == [{"source": "s", "target": "/s"}]


def test_parts_that_the_lab_does_not_use_are_reported():
    web = {
        "image": "x",
        "ports": [{"target": 80}],
        "network_mode": "host",
        "extra_hosts": ["a=1.2.3.4"],
        "deploy": {"replicas": 3, "resources": {"limits": {"memory": "1"}}},
        "logging": {"driver": "none"},
    }
    said = left_out("web", web=web, tools={"image": "y"})
    assert [
        text.split(" is ")[0].split(" are ")[0].split(" uses ")[0].split(" runs ")[0] for text in said
    ] == [
        "The service tools",
        "The published ports of web",
        "web",
        "The extra_hosts of web",
        "web",
        "The logging driver of web",
    ]
    service = from_service("web", web=web).services["web-workload"]
    assert "logging" not in service
    assert service["deploy"] == {"resources": {"limits": {"memory": "1"}}}


def test_a_name_in_the_users_networks_that_does_not_resolve_is_reported_with_a_remedy():
    services = {
        "web": {"image": "x", "links": ["db:database"]},
        "db": {
            "image": "y",
            "networks": {"back": {"aliases": ["store"]}, "front": None},
            "container_name": "db",
        },
    }
    assert left_out("web", "db", **services) == [
        "The name store of db doesn't resolve; aliases = ['store'] in [hosts.db] adds it.",
        "The name database of db doesn't resolve; aliases = ['database'] in [hosts.db] adds it.",
    ]


def test_a_project_whose_names_all_resolve_has_nothing_left_out():
    services = {
        "web": {"image": "x", "depends_on": {"db": {"condition": "service_started"}}},
        "db": {"image": "y"},
    }
    assert left_out("web", "db", **services) == []


def test_the_name_of_a_service_resolves_although_its_host_has_another():
    hosts = (
        Host("database", aliases=("d",), workload=Workload(service="db")),
        Host("db2", workload=Workload(service="x")),
    )
    names = {node.name: node.names for node in planned(*hosts).nodes}
    assert names == {"database": ("db", "database", "d"), "db2": ("x", "db2")}


def test_the_name_of_a_service_of_several_hosts_stays_free():
    hosts = (
        Host("web", count=2, workload=Workload(service="frontend")),
        Host("db", workload=Workload(service="db")),
    )
    assert [node.names for node in planned(*hosts).nodes] == [("web-1",), ("web-2",), ("db",)]
