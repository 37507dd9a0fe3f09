"""Descriptions in TOML: each key is read, and each mistake is reported in one line with its line number."""

import pytest

from lab.errors import UsageError
from lab.topology.checks.limits import FILE_SIZE, HOSTS
from lab.topology.description import DescriptionError, parse, read
from lab.topology.model import Attachment, Forward, Host, Mount, Ready, Router, Segment, Workload

EVERY_KEY = """
name = "shop"
mgmt = "172.28.250.0/24"
compose = "their/docker-compose.yml"

[segments]
office = "10.10.1.0/24"
servers = {}
core = { prefix = "10.10.3.0/24", prefix6 = "fd28:3::/64", mtu = 1400 }
lan.ipv6 = false

[hosts.alice]
segment = "office"
count = 3
aliases = ["client"]
profile = "$PROFILE"
base = "${CLIENT_BASE:-debian:trixie-slim}"
environment = { DEBUG = true, LEVEL = 3, NAME = "x" }
mounts = ["./src:/src", "/data:/data:ro"]

[hosts.web]
segments = ["servers", "core"]
address = ["10.10.3.7", "fd28:3::7"]
build = "./web"
command = "serve --port '80 80'"
environment = { DEBUG = "1" }
ready = "http 80/health"

[hosts.db]
segment = "servers"
image = "postgres"
command = ["postgres", ""]
ready = "log ready to accept connections"

[hosts.cache]
service = "redis"
profile = "windows"

[routers.edge]
segments = ["office", "core"]
nat = "office"
forward = { 8080 = "web:80", "53/udp" = "alice-1:53" }

[routers.middle]
segments = ["servers", "core", "cache", "lan"]
aliases = "mid"
address = "10.10.3.9"

[routers.other]
segments = ["lan", "core"]
nat = []
routes = { servers = "middle" }
"""


def mistakes(text):
    with pytest.raises(DescriptionError) as raised:
        parse(text)
    return str(raised.value).splitlines()


def test_every_key_is_read(tmp_path):
    found = parse(EVERY_KEY.replace("nat = []\n", ""), folder=tmp_path)
    assert (found.name, found.mgmt) == ("shop", "172.28.250.0/24")
    assert found.compose == str(tmp_path / "their/docker-compose.yml")
    assert found.segments == (
        Segment("office", "10.10.1.0/24"),
        Segment("servers"),
        Segment("core", "10.10.3.0/24", "fd28:3::/64", mtu=1400),
        Segment("lan", ipv6=False),
    )
    alice, web, db, cache = found.hosts
    assert alice == Host(
        "alice",
        (Attachment("office"),),
        ("client",),
        3,
        "$PROFILE",
        "${CLIENT_BASE:-debian:trixie-slim}",
        (Mount(str(tmp_path / "src"), "/src"), Mount("/data", "/data", read_only=True)),
        {"DEBUG": "true", "LEVEL": "3", "NAME": "x"},
    )
    assert web.attachments == (Attachment("servers"), Attachment("core", "10.10.3.7", "fd28:3::7"))
    assert web.workload == Workload(
        build=str(tmp_path / "web"),
        command=("serve", "--port", "80 80"),
        environment={"DEBUG": "1"},
        ready=Ready("http", 80, "/health"),
    )
    assert db.workload == Workload(
        "postgres", command=("postgres", ""), ready=Ready("log", text="ready to accept connections")
    )
    assert cache == Host("cache", profile="windows", workload=Workload(service="redis"))
    edge, middle, other = found.routers
    assert edge == Router(
        "edge",
        (Attachment("office"), Attachment("core")),
        nat=("office",),
        forwards=(Forward(8080, "web", 80), Forward(53, "alice-1", 53, "udp")),
    )
    assert middle.aliases == ("mid",)
    assert middle.attachments[1] == Attachment("core", "10.10.3.9")
    assert other.routes == {"servers": "middle"}


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        ("tcp 80", Ready("tcp", 80)),
        ("http 80", Ready("http", 80, "/")),
        ("http 80/a/b?c=d", Ready("http", 80, "/a/b?c=d")),
        ("log Ready.", Ready("log", text="Ready.")),
        ("healthcheck", Ready("healthcheck")),
    ],
)
def test_a_ready_condition_is_read(text, ready):
    (host,) = parse(f'[hosts.web]\nimage = "nginx"\nready = "{text}"').hosts
    assert host.workload.ready == ready


ALICE = "[hosts.alice]\n"
TWO = '[segments]\na = "10.1.1.0/24"\nb = {}\n[hosts.x]\nsegment = "a"\n[hosts.y]\nsegment = "b"\n'  # 7 lines
JOIN = '[routers.r]\nsegments = ["a", "b"]\n'
NO_KEY = "unknown key"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("hosts = 3", "1: hosts: it is a number; give a table"),
        ("", "1: hosts: there is no host; describe one: [hosts.alice]"),
        ("[hosts]", "1: hosts: there is no host; describe one: [hosts.alice]"),
        ("[host.alice]", f"1: host: {NO_KEY}; did you mean 'hosts'?"),
        (ALICE + 'segmnt = "a"', f"2: hosts.alice.segmnt: {NO_KEY}; did you mean 'segment'?"),
        ('name = "My Lab"\n' + ALICE, "1: name: 'My Lab' is not a project name; use lowercase letters"),
        ("name = ''\n" + ALICE, "1: name: it is empty; give a value, or remove the key"),
        (ALICE + 'base = "a\\u0007"', "2: hosts.alice.base: it has a control character; remove it"),
        ('[hosts."a.b"]', "1: hosts.a.b: 'a.b' is not a host name; use at most 63 lowercase letters"),
        ("[hosts.Alice]", "1: hosts.Alice: 'Alice' is not a host name"),
        ("[hosts.7]", "1: hosts[7]: '7' is not a host name"),
        ("[hosts.runner]", "1: hosts.runner: the name 'runner' is reserved; choose another name"),
        ("[segments]\nmgmt = {}\n" + ALICE, "2: segments.mgmt: the name 'mgmt' is reserved"),
        (ALICE + 'aliases = "lab"', "2: hosts.alice.aliases: the name 'lab' is reserved"),
        (ALICE + '[hosts.bob]\naliases = ["alice"]', "3: hosts.bob.aliases: the name 'alice' is already"),
        (ALICE + "count = 2\n[hosts.alice-2]", "3: hosts.alice-2: the name 'alice-2' is already used by hos"),
        (ALICE + 'image = "x"\n[hosts.alice-workload]', "3: hosts.alice-workload: the name 'alice-workload'"),
        (ALICE + "[hosts.router]", "2: hosts.router: the router between the segments has the name 'router';"),
        (ALICE + "count = 0", f"2: hosts.alice.count: 0 is out of range; use 1 to {HOSTS}"),
        (ALICE + "count = true", "2: hosts.alice.count: it is a boolean (true or false); give a number"),
        (ALICE + f"count = {10**12}", f"2: hosts.alice.count: {10**12} is out of range"),
        (ALICE + "count = 150\n[hosts.bob]\ncount = 51", "1: hosts: there are 201; the limit is 200"),
        (ALICE + "count = 65", "1: segments: there are 65; the limit is 64"),
        (ALICE + 'segment = "b"', "2: hosts.alice.segment: there is no segment 'b'; describe it in [segment"),
        (TWO + '[hosts.z]\nsegments = ["b", "b"]', "9: hosts.z.segment: the segment 'b' is listed twice"),
        (TWO + '[hosts.z]\nsegments = "b"', "9: hosts.z.segments: it is a string; give a list"),
        (TWO + '[hosts.z]\nsegment = "b"\nsegments = ["a"]', "9: hosts.z.segment: segment and segments excl"),
        (ALICE + 'image = "x"\nbuild = "y"', "3: hosts.alice.build: image and build exclude each other"),
        (ALICE + 'service = "x"', "2: hosts.alice.service: there is no Compose file with the service 'x'; n"),
        (ALICE + 'command = "x"', "2: hosts.alice.command: it requires your own container on the host;"),
        (ALICE + 'image = "i"\ncommand = "it\'s"', "3: hosts.alice.command: a quote isn't closed; close it"),
        (ALICE + 'image = "i"\nready = "udp 7"', "3: hosts.alice.ready: 'udp 7' is not a readiness condit"),
        (ALICE + 'image = "i"\nready = "tcp 70000"', "3: hosts.alice.ready: '70000' is not a port; use 1 to"),
        (ALICE + 'environment = { "A B" = 1 }', "2: hosts.alice.environment.A B: 'A B' is not the name of a"),
        (ALICE + 'mounts = [\n"a:/b",\n"c"\n]', "4: hosts.alice.mounts[1]: 'c' is not a mount; use \"SOURCE"),
        (ALICE + 'mounts = "a:b"', "2: hosts.alice.mounts: 'b' is not an absolute path; give the path in th"),
        (ALICE + 'mounts = ["a:/b", "c:/b/"]', "2: hosts.alice.mounts[1]: /b is mounted twice; choose anoth"),
        (ALICE + 'mounts = "a:/opt/socketlab"', "2: hosts.alice.mounts[0]: /opt/socketlab is used by the la"),
        (ALICE + 'mounts = "a:/usr"', "2: hosts.alice.mounts[0]: /usr is used by the lab itself; choose a"),
        (ALICE + 'mounts = "a:/lib64/"', "2: hosts.alice.mounts[0]: /lib64 is used by the lab itself"),
        (ALICE + 'mounts = "a:/usr/bin"', "2: hosts.alice.mounts[0]: /usr/bin is used by the lab itself"),
        (ALICE + 'mounts = "a:/run/socketlab/x"', "2: hosts.alice.mounts[0]: /run/socketlab/x is used by t"),
        (ALICE + 'profile = "windoze"', "2: hosts.alice.profile: there is no profile 'windoze'; did you mea"),
        (TWO.replace("{}", '"10.1.1.128/25"') + JOIN, "3: segments.b.prefix: 10.1.1.128/25 overlaps 10.1.1."),
        (TWO.replace("{}", '"10.1.2.1/24"') + JOIN, "3: segments.b.prefix: '10.1.2.1/24' is not the prefix "),
        (TWO.replace("{}", '"10.1.2.0"') + JOIN, "3: segments.b.prefix: '10.1.2.0' has no prefix length;"),
        (TWO.replace("{}", '"8.8.8.0/24"') + JOIN, "3: segments.b.prefix: 8.8.8.0/24 is not a private addre"),
        (TWO.replace("{}", '"127.0.1.0/24"') + JOIN, "3: segments.b.prefix: 127.0.1.0/24 is not a private a"),
        (TWO.replace("{}", '"10.2.0.0/30"') + JOIN, "3: segments.b.prefix: the length of an IPv4 pre"),
        (TWO.replace("{}", '"fd28::/64"') + JOIN, "3: segments.b.prefix: 'fd28::/64' is not an IPv4 prefix;"),
        (TWO.replace("{}", '{ prefix6 = "fd28::/48" }'), "3: segments.b.prefix6: the length of an IPv6 pre"),
        (
            TWO.replace("{}", '{ ipv6 = false, prefix6 = "fd28::/64" }'),
            "3: segments.b.prefix6: the segment has no IPv6; remove",
        ),
        ('mgmt = "10.1.1.0/24"\n' + TWO, "1: mgmt: 10.1.1.0/24 overlaps 10.1.1.0/24 of segments.a; choose"),
        (TWO + '[hosts.z]\nsegment = "a"\naddress = "10.1.2.3"', "10: hosts.z.address: 10.1.2.3 is not in 1"),
        (TWO + '[hosts.z]\nsegment = "a"\naddress = "10.1.1.1"', "10: hosts.z.address: 10.1.1.1 is reserved"),
        (TWO + '[hosts.z]\nsegment = "a"\naddress = "10.1.1.255"', "10: hosts.z.address: 10.1.1.255 is rese"),
        (TWO + '[hosts.z]\nsegment = "a"\naddress = "x"', "10: hosts.z.address: 'x' is not an address; an e"),
        (TWO + '[hosts.z]\nsegment = "b"\naddress = "10.1.2.3"', "10: hosts.z.address: the segment of this"),
        (
            TWO + '[hosts.z]\nsegment = "a"\naddress = ["10.1.1.4", "10.1.1.5"]',
            "10: hosts.z.address[1]: there is another address on the segment 'a'; remove one",
        ),
        (
            TWO + '[hosts.z]\nsegment = "a"\naddress = "10.1.1.4"\ncount = 2',
            "10: hosts.z.address: 2 hosts can't have one address; remove the address or the count",
        ),
        (
            TWO + JOIN + 'address = "10.1.1.4"\n[hosts.z]\nsegment = "a"\naddress = "10.1.1.4"',
            "10: routers.r.address: 10.1.1.4 is already used by hosts.z; choose another address",
        ),
        (
            '[segments]\na = "10.1.1.0/29"\n[hosts.x]\nsegment = "a"\ncount = 6',
            "2: segments.a.prefix: 10.1.1.0/29 is too small for its nodes; give it a larger prefix",
        ),
        (TWO + '[routers.r]\nsegments = ["a"]', "9: routers.r.segments: a router joins two segments or more"),
        (TWO + '[routers.r]\nsegments = ["a", "c"]', "9: routers.r.segment: there is no segment 'c'; there "),
        (TWO + JOIN + 'nat = "c"', "10: routers.r.nat: the router is not on the segment 'c'; there are: a, "),
        (TWO + JOIN + 'nat = ["a", "b"]', "10: routers.r.nat: all segments of the router are in nat; list"),
        (
            TWO + JOIN + 'nat = "a"\n[routers.s]\nsegments = ["a", "b"]',
            "10: routers.r.nat: another router leads to 'b' without address translation; add 'b' to",
        ),
        (TWO + JOIN + 'forward = { 80 = "z:80" }', "10: routers.r.forward[80]: there is no host 'z'; there "),
        (TWO + JOIN + 'forward = { 80 = "x" }', "10: routers.r.forward[80]: 'x' is not a destination; use "),
        (TWO + JOIN + 'forward = { 80 = "x:0" }', "10: routers.r.forward[80]: '0' is not a port; use 1 to 6"),
        (TWO + JOIN + 'forward = { http = "x:80" }', "10: routers.r.forward.http: 'http' is not a port; use"),
        (
            TWO + JOIN + 'forward = { 80 = "x:80", "80/tcp" = "y:80" }',
            "10: routers.r.forward[80]: this port is forwarded twice; remove one",
        ),
        (TWO + JOIN + 'routes = { c = "r" }', "10: routers.r.routes.c: there is no segment 'c'; there are: "),
        (TWO + JOIN + 'routes = { a = "r" }', "10: routers.r.routes.a: the router itself is on the segment "),
        (
            TWO.replace("b = {}", "b = {}\nc = {}") + JOIN + 'routes = { c = "s" }',
            "11: routers.r.routes.c: no router 's' is on one of its segments; there are none",
        ),
        (
            TWO + '[segments.c]\n[routers.r]\nsegments = ["a", "c"]',
            "6: hosts.y: no router leads from its segment to that of x; add a router, or leave out [routers]",
        ),
        (
            TWO + JOIN + '[routers.s]\nsegments = ["c", "d"]\n[segments.c]\n[segments.d]',
            "10: routers.s: no host can reach it; remove it, or put it on a segment with a host",
        ),
        (
            TWO
            + '[segments.c]\n[routers.r]\nsegments = ["a", "c"]\nroutes = { b = "s" }\n'
            + '[routers.s]\nsegments = ["a", "c"]\nroutes = { b = "r" }\n'
            + '[routers.t]\nsegments = ["c", "b"]',
            "11: routers.r.routes.b: it creates a routing loop; name another router, or",
        ),
        (
            TWO + JOIN + "[segments.spare]",
            "10: segments.spare: no node is on it; remove it, or name it in a host or router",
        ),
        ("[hosts.alice", "1: this isn't TOML: Expected ']' at the end of a table declaration; a string is i"),
        (ALICE + 'segment = "a', "2: this isn't TOML: "),
        (ALICE + ALICE, "2: this isn't TOML: Cannot declare ('hosts', 'alice') twice"),
        (f"a = {'[' * 5000}", "1: this isn't TOML: nested too deeply"),
        (f"a = {'9' * 5000}", "this isn't TOML: "),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_place_and_remedy(text, line):
    first, *_ = mistakes(text)
    assert line in first
    assert first.startswith("lab.toml:")


def test_all_mistakes_are_reported_in_the_order_of_the_file():
    found = mistakes('[hosts.bob]\nsegmnt = "a"\n[hosts.alice]\ncount = "2"\nready = 3')
    assert [line.split(":")[1] for line in found] == ["2", "4", "5"]


def test_a_mistake_is_reported_in_the_language_of_its_reader():
    with pytest.raises(DescriptionError) as raised:
        parse("[hosts.alice]\ncount = 0")
    assert raised.value.in_language("zh-CN").startswith("lab.toml:2: hosts.alice.count：0 超出范围")


def test_a_file_is_read_with_its_folder_as_the_name(tmp_path):
    folder = tmp_path / "My Shop"
    folder.mkdir()
    (folder / "lab.toml").write_text("[hosts.alice]\n[hosts.bob]\n")
    assert read(folder / "lab.toml").name == "myshop"
    (folder / "star.toml").write_text("[hosts.alice]\n[hosts.bob]\n")
    assert read(folder / "star.toml").name == "star"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            'compose = "x.yml"\n[hosts.a]',
            "1: compose: {folder}/x.yml doesn't exist; relative paths are",
        ),
        ('[hosts.a]\nmounts = ["./x:/x"]', "2: hosts.a.mounts[0]: {folder}/x doesn't exist; relative paths"),
        ('[hosts.a]\nbuild = "./x"', "2: hosts.a.build: {folder}/x doesn't exist; relative paths are"),
        (
            '[hosts.a]\nbuild = "."',
            "2: hosts.a.build: {folder} has no Dockerfile; add one, or name the folder",
        ),
    ],
)
def test_a_file_that_a_description_names_must_exist(tmp_path, line, problem):
    file = tmp_path / "lab.toml"
    file.write_text(line)
    with pytest.raises(DescriptionError) as raised:
        read(file)
    assert str(raised.value).startswith(f"{file}:" + problem.format(folder=tmp_path))


def test_a_file_below_the_current_folder_is_named_as_seen_from_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labs").mkdir()
    (tmp_path / "labs/lab.toml").write_text("x = 1")
    with pytest.raises(DescriptionError, match=r"^labs/lab\.toml:1: x: unknown key"):
        read(tmp_path / "labs/lab.toml")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "lab.toml: No such file or directory"),
        (b"name = 'a'\n# \xff", "lab.toml:2: this isn't UTF-8; save the file as UTF-8"),
        (b"#" * (FILE_SIZE + 1), f"lab.toml is larger than {FILE_SIZE} bytes"),
    ],
)
def test_a_file_that_can_t_be_read_is_one_line(tmp_path, content, text):
    file = tmp_path / "lab.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        read(file)
    assert text in str(raised.value)
    assert raised.value.exit_code == 2
