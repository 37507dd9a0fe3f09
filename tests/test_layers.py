"""The architecture: a room imports only from rooms below it."""

import ast
import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAB = ROOT / "lab"

BELOW = (
    "locale",
    "protocols",
    "link",
    "sockets",
    "programs",
    "agent",
)  # the image boundary; from the bottom up
# The same.
ABOVE = ("topology", "evidence", "remote", "engine", "control", "doctor", "scenarios", "testing", "cli")
# Rooms at the same level: neither may import the other.
BESIDE = (
    {"topology", "evidence"},
    {"remote", "evidence"},
    {"engine", "evidence"},
    {"testing", "cli"},
)
# Within a room, columns that go their own ways: echo_x is of the column echo.
COLUMNS = {
    "protocols": {"echo", "udp", "command", "transfer"},
    "sockets": {"threaded", "aio", "datagram"},
    "programs": {"echo", "udp", "command", "transfer"},
}
# Imports allowed across the boundary: texts and pure values. Programs and agents are started, never imported.
SEEN_FROM_ABOVE = ("locale", "protocols", "link")
SHARED = ("errors", "shipped")  # modules of lab itself, for every room above the boundary


def modules(*layers):
    """The modules of these layers, as dotted names."""
    paths = sorted(path for layer in layers for path in (LAB / layer).rglob("*.py"))
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths
    ]


@functools.cache
def imports(module):
    """The imports of ``module`` as dotted names, including those in functions and under TYPE_CHECKING."""
    path = ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return frozenset(imported(ast.parse(path.read_text()), module, is_package=path.stem == "__init__"))


def imported(tree, module, *, is_package=False):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            yield from (resolve(base, alias.name) for alias in node.names)


def resolve(base, name):
    """``from base import name``: the module that this is, or the one that ``name`` is taken from."""
    path = ROOT.joinpath(*base.split("."), name)
    return f"{base}.{name}" if path.is_dir() or path.with_suffix(".py").exists() else base


def wrong_import(module, name):
    """Why ``module`` may not import ``name``; None if it may."""
    if name == "docs" or name.startswith("docs."):
        return "the gallery's generator is a tool of the docs, not a part of the package"
    if name.split(".")[0] != "lab" or name == "lab":
        return None
    layer, target = module.split(".")[1], name.split(".")[1]
    if target in SHARED:
        return None if layer in (*ABOVE, *SHARED) else "upward"
    if layer == target:
        return "sideways" if len({column(module), column(name)} - {None}) > 1 else None
    if any({layer, target} == pair for pair in BESIDE):
        return "sideways"
    if layer in ABOVE and target in BELOW:
        return None if target in SEEN_FROM_ABOVE else "what runs on a node is started, never imported"
    house = (*BELOW, *ABOVE)
    if target not in house or house.index(target) > house.index(layer):
        return "upward"
    return None


def column(module):
    """The column that ``module`` belongs to; None if it belongs to none."""
    _, layer, *rest = module.split(".")
    name = rest[0].split("_")[0] if rest else ""
    return name if name in COLUMNS.get(layer, ()) else None


@pytest.mark.parametrize("module", modules(*BELOW, *ABOVE))
def test_arrows_go_down_only(module):
    wrong = {name: why for name in imports(module) if (why := wrong_import(module, name))}
    assert wrong == {}


def test_no_module_imports_itself_by_a_detour():
    graph = {module: imports(module) - {module} for module in modules(*BELOW, *ABOVE)}
    assert cycle(graph) is None


def cycle(graph):
    """A cycle in ``graph``, or None if there is none."""
    while leaves := [module for module, targets in graph.items() if not targets & graph.keys()]:
        graph = {module: targets for module, targets in graph.items() if module not in leaves}
    return sorted(graph) or None


@pytest.mark.parametrize("module", modules(*BELOW))
def test_below_the_image_boundary_there_is_the_standard_library_only(module):
    tops = {name.split(".")[0] for name in imports(module)}
    assert tops - set(sys.stdlib_module_names) - {"lab"} == set()


def test_the_package_itself_imports_nothing():
    assert imports("lab") == frozenset()


@pytest.mark.parametrize("module", modules("protocols", "link"))
def test_protocols_and_the_link_do_no_io(module):
    forbidden = {
        "socket",
        "select",
        "selectors",
        "asyncio",
        "threading",
        "time",
        "subprocess",
        "os",
        "signal",
        "ssl",
    }
    found = {name.split(".")[0] for name in imports(module)} & forbidden
    assert found == set()
    assert set(called(ast.parse(source(module)))) & {"open", "print", "input"} == set()


def called(tree):
    """The functions and classes that the code calls, by the dotted names they were imported from."""
    origins = origins_of_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, *rest = ast.unparse(node.func).split(".")
            yield ".".join([origins.get(first, first), *rest])


def origins_of_names(tree):
    """Each imported name, with the dotted name that it stands for."""
    origins = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            origins |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            origins |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return origins


def socket_calls(tree):
    """Calls of the standard library's socket module, and imports of its names that hide their origin."""
    hidden = {
        f"from {node.module} import *"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in ("socket", "_socket")
        if any(alias.name == "*" for alias in node.names)
    }
    return hidden | {name for name in called(tree) if name.split(".")[0] in ("socket", "_socket")}


@pytest.mark.parametrize("module", modules("programs", "agent", "protocols", "link"))
def test_only_sockets_touch_sockets(module):
    """Programs may use the names of the socket module (its errors, a type) but call none of them."""
    assert socket_calls(ast.parse(source(module))) == set()


def source(module):
    path = ROOT.joinpath(*module.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()


def test_everything_below_the_boundary_loads_without_any_other_package():
    """In an interpreter without site-packages, environment variables and the user's directory."""
    names = modules(*BELOW)
    code = (
        f"import sys, importlib, json\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "files = [[name, getattr(module, '__file__', None)] for name, module in sys.modules.items()]\n"
        "print(json.dumps(files))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", code], capture_output=True, check=False
    )
    assert done.stderr == b""
    loaded = dict(json.loads(done.stdout))
    assert set(names) <= set(loaded)
    foreign = {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"lab", "__main__"}
    assert foreign == set()
    assert not [file for file in loaded.values() if file and "site-packages" in file]


# ----------------------------------------------------------- that these tests can fail

STARTED = "what runs on a node is started, never imported"
DOCS_TOOL = "the gallery's generator is a tool of the docs, not a part of the package"


@pytest.mark.parametrize(
    ("module", "text", "why"),
    [
        ("lab.protocols.echo", "from lab.sockets import blocking", "upward"),
        ("lab.protocols.echo", "def f():\n    import lab.sockets.aio", "upward"),
        ("lab.sockets.blocking", "from lab.programs.console import main", "upward"),
        ("lab.programs.echo", "from lab.control import host", "upward"),
        ("lab.sockets.aio", "from lab.evidence.record import x", "upward"),
        ("lab.sockets.aio", "from lab.errors import LabError", "upward"),
        ("lab.protocols.echo", "from . import udp", "sideways"),
        ("lab.protocols.echo", "from lab.protocols.udp import RequestClient", "sideways"),
        ("lab.protocols.echo", "from lab.link.settings import Impairment", "upward"),
        ("lab.sockets.aio", "from .threaded import serve", "sideways"),
        ("lab.programs.command.serve", "from lab.programs import echo", "sideways"),
        ("lab.programs.console", "from lab.agent.link import probe", "upward"),
        ("lab.control.host", "from lab.programs import echo", STARTED),
        ("lab.control.host", "from lab.agent.link.probe import Probe", STARTED),
        ("lab.evidence.record", "from lab.control import host", "upward"),
        ("lab.evidence.record", "from lab.topology.node import Node", "sideways"),
        ("lab.evidence.packets.pcap", "from lab.control import capture", "upward"),
        ("lab.remote.ssh", "from lab.evidence.events import Event", "sideways"),
        ("lab.remote.ssh", "from lab.engine.client import Engine", "upward"),
        ("lab.remote.mgmt_transport", "from lab.control.transport import Transport", "upward"),
        ("lab.engine.client", "from lab.evidence.events import Event", "sideways"),
        ("lab.engine.client", "from lab.control.host import Host", "upward"),
        ("lab.topology.node", "from lab.evidence.record import Recorder", "sideways"),
        ("lab.testing.plugin", "from lab.cli.app import main", "sideways"),
        ("lab.locale", "from lab.protocols.printable import printable", "upward"),
        ("lab.control.lab", "from lab.scenarios import play", "upward"),
        ("lab.scenarios.play", "from lab.cli import view", "upward"),
        ("lab.cli.app", "from lab.testing import plugin", "sideways"),
        ("lab.cli.app", "from docs.tools import render", DOCS_TOOL),
    ],
)
def test_a_wrong_import_is_seen(module, text, why):
    assert [wrong_import(module, name) for name in imported(ast.parse(text), module)] == [why]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("lab.sockets.aio", "from lab.sockets.stop import Stop"),
        ("lab.programs.echo", "from lab.sockets import aio, blocking, threaded"),
        ("lab.programs.echo", "from lab.programs.console import main"),
        ("lab.programs.command.serve", "from lab.programs.command.cli import x"),
        ("lab.agent.link.impair", "from lab.link.settings import Impairment"),
        ("lab.agent.link.probe", "from lab.programs import console"),
        ("lab.protocols.echo", "import json, typing"),
        ("lab.control.host", "from lab.evidence import record"),
        ("lab.control.host", "from lab.errors import LabError"),
        ("lab.cli.app", "from lab.scenarios import catalog"),
    ],
)
def test_a_right_import_is_let_through(module, text):
    assert [wrong_import(module, name) for name in imported(ast.parse(text), module)] == [None] * text.count(
        ","
    ) + [None]


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("import socket\nsocket.create_server(('', 0))", "socket.create_server"),
        ("import socket as s\ns.socket()", "socket.socket"),
        ("from socket import socket\nsocket()", "socket.socket"),
        (
            "from socket import create_connection as connect\nconnect(('server', 1))",
            "socket.create_connection",
        ),
        ("def f():\n    from socket import socket\n    return socket().recv", "socket.socket"),
        ("import _socket\n_socket.socket()", "_socket.socket"),
        ("from socket import *", "from socket import *"),
    ],
)
def test_a_socket_is_seen_however_it_was_imported(text, call):
    assert call in socket_calls(ast.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "import socket\ntry: pass\nexcept socket.gaierror: pass",
        "from socket import gaierror\ndef f(error): return isinstance(error, gaierror)",
        "from lab.sockets import blocking\nblocking.connect('server', 1)",
        "def f(connection): connection.close()",
    ],
)
def test_the_names_of_the_socket_module_may_be_used(text):
    assert socket_calls(ast.parse(text)) == set()


def test_a_round_trip_is_seen():
    graph = {"a": {"b", "json"}, "b": {"c"}, "c": {"b"}, "d": {"json"}}
    assert cycle(graph) == ["a", "b", "c"]
    assert cycle({"a": {"b"}, "b": {"c"}, "c": set()}) is None
