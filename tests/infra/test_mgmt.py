"""The out-of-band network carries only the controller's SSH connections."""

from collections.abc import Iterator

import pytest

from .conftest import NODES, ComposeLab

pytestmark = pytest.mark.lab
PAIRS = [(a, b) for a in NODES for b in NODES if a != b]
PORT = 8000


@pytest.fixture(scope="module")
def listening(lab: ComposeLab) -> Iterator[None]:
    """Every node listens on all its addresses, so that a refusal comes from the firewall."""
    pids = {}
    for node in NODES:
        pids[node] = lab.ask(node, f"nc -l -k 0.0.0.0 {PORT} >/dev/null 2>&1 </dev/null & echo $!")
        lab.ask(node, f"until ss -Hltn sport = :{PORT} | grep -q .; do sleep 0.05; done")
    yield
    for node, pid in pids.items():
        lab.ask(node, f"kill {pid}")


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_host_to_host_is_refused(lab: ComposeLab, here: str, there: str) -> None:
    mgmt = lab.mgmt_address(there)
    for port in 22, PORT:
        lab.ask(here, f"nc -4 -z -w 3 {there} {port}")  # over the segments it is open
        assert "refused" in lab.run(here, f"nc -z -v -w 3 {mgmt} {port}").stderr
    assert "refused" in lab.run(here, f"ssh -o ConnectTimeout=3 {mgmt} true").stderr
    assert lab.run(here, f"ping -c 1 -W 1 {mgmt}").returncode != 0


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("node", NODES)
def test_the_controller_reaches_ssh_and_nothing_else(lab: ComposeLab, node: str) -> None:
    out = run_on_mgmt(
        lab,
        f'read -r -t 5 banner </dev/tcp/{node}/22; echo "$banner"',
        f"(: </dev/tcp/{node}/{PORT}) 2>&1",
    )
    assert out.startswith("SSH-2.0-")
    assert "Connection refused" in out


def test_the_runner_has_no_interface_on_a_segment(lab: ComposeLab) -> None:
    address = lab.addresses["server"][0]
    out = run_on_mgmt(lab, f"(: </dev/tcp/{address}/22) 2>&1", "getent ahostsv4 server")
    assert "Network is unreachable" in out
    assert lab.mgmt_address("server") in out


def run_on_mgmt(lab: ComposeLab, *commands: str) -> str:
    bash = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "bash", "runner", "-c")
    return lab.compose(*bash, "; ".join(commands)).stdout


RAW = """
import errno, socket, struct, sys
raw = socket.socket(fileno=0)
echo = struct.pack("!BBHHH", 8, 0, 0xF7FF, 0, 0)
for own_header in 0, 1:
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, own_header)
    for address in sys.argv[1:]:
        ip = struct.pack("!BBHHHBBH4s4s", 69, 0, 28, 0, 0, 64, 1, 0, b"", socket.inet_aton(address))
        try:
            print(raw.sendto(own_header * ip + echo, (address, 0)))
        except OSError as error:
            print(errno.errorcode[error.errno])
"""


def test_a_raw_socket_gets_no_further(lab: ComposeLab) -> None:
    """It can send to the server over the segment, even with a forged header, but not over mgmt."""
    addresses = f"{lab.addresses['server'][0]} {lab.mgmt_address('server')}"
    sent = lab.ask("client", f"sudo -n /usr/lib/socketlab/raw python3 -c '{RAW}' {addresses}")
    assert sent.split() == ["8", "EPERM", "28", "EPERM"]
