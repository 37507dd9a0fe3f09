"""A command by Wine's cmd, on a server with the profile windows, against one by /bin/sh."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.rig import Rig
from benchmarks.table import SECONDS, Table, Way, alternate, timed
from lab.control.host import Host

PORT, SHELL_PORT = 20_400, 20_401
FIRST, WARM, UNIX = "cmd, the first one after power-on", "cmd, a later one", "/bin/sh"


def measure(rig: Rig) -> Iterator[Table]:
    lab = rig.lab_with("windows")
    client, server = lab.client, lab.server
    table = Table("A remote command by lab-command, client to server, across the router", SECONDS, base=UNIX)
    table.remarks |= {
        FIRST: "`ver`, as soon as the host can be logged in to and its server listens",
        WARM: "`ver`: process, connection, command",
        UNIX: "`true`, likewise, on the same host",
    }
    alternate(table, {FIRST: first_after_power_on(client, server)}, rig.rounds(5))
    with (
        server.start(f"lab-command serve --port {PORT}"),
        server.start(f"lab-command serve --shell /bin/sh --port {SHELL_PORT}"),
    ):
        ways = {
            WARM: timed(lambda: client.run(f"lab-command run --port {PORT} server ver", check=True)),
            UNIX: timed(lambda: client.run(f"lab-command run --port {SHELL_PORT} server true", check=True)),
        }
        alternate(table, ways, rig.rounds(15))
    table.at_most(1.0, "the first command by cmd, in s", table.median(FIRST))
    table.at_most(0.3, "a later one, in s", table.median(WARM))
    yield table


def first_after_power_on(client: Host, server: Host) -> Way:
    """The seconds of the first command of a host that was off."""

    def seconds() -> float:
        with server.without_power():
            pass
        with server.start(f"lab-command serve --port {PORT}"):
            return timed(lambda: client.run(f"lab-command run --port {PORT} server ver", check=True))()

    return seconds
