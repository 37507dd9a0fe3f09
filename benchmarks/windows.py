"""The time of a remote command: cmd under Wine (profile windows) and /bin/sh compared."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.rig import Rig
from benchmarks.table import SECONDS, Table, Way, alternate, timed
from lab.control.host import Host

PORT, SHELL_PORT = 20_400, 20_401
FIRST, WARM, UNIX = "cmd, first command after power-on", "cmd, later command", "/bin/sh"


def measure(rig: Rig) -> Iterator[Table]:
    lab = rig.lab_with("windows")
    client, server = lab.client, lab.server
    table = Table(
        "A remote command with lab-command, client to server, across the router", SECONDS, base=UNIX
    )
    table.remarks |= {
        FIRST: "`ver`, as soon as the host accepts logins and its server listens",
        WARM: "`ver`: process, connection, command",
        UNIX: "`true`: process, connection, command; on the same host",
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
    table.at_most(1.0, FIRST, table.median(FIRST), SECONDS)
    table.at_most(0.3, WARM, table.median(WARM), SECONDS)
    yield table


def first_after_power_on(client: Host, server: Host) -> Way:
    """The time of the first command after the host was off."""

    def seconds() -> float:
        with server.without_power():
            pass
        with server.start(f"lab-command serve --port {PORT}"):
            return timed(lambda: client.run(f"lab-command run --port {PORT} server ver", check=True))()

    return seconds
