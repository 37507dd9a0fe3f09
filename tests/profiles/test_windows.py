"""The profile windows: what a real cmd makes of commands from over the network, and what stays of them."""

import json

import pytest

from lab.scenarios import catalog
from lab.scenarios.play import PLATFORMS

pytestmark = pytest.mark.lab(profile="windows")

PROGRAMS = [
    name for name in catalog.names() if not (catalog.load(name).outcomes or catalog.load(name).topology)
]
PORT = 20042  # no scenario has it
LEFT = "ps -e -o args= | grep -E 'ping|cmd.exe|conhost|start.exe' | grep -v grep"


@pytest.fixture(scope="module")
def server(windows_lab):
    with windows_lab.server.start(f"lab-command serve --port {PORT}") as program:
        yield program


@pytest.fixture
def ask(windows_lab, server):
    def run(command, *options):
        return windows_lab.client.run(
            ["lab-command", "run", "--port", str(PORT), *options, "server", command]
        )

    return run


# --- what reaches cmd, and what comes back ------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo %OS%", "Windows_NT\r\n"),
        ("echo %COMPUTERNAME%", "WIN10\r\n"),
        ("hostname", "WIN10\r\n"),
        ("echo 100% %NOPE% %%OS%%", "100% %NOPE% %Windows_NT%\r\n"),
        ('echo "a | b" & echo c', '"a | b" \r\nc\r\n'),
        ('echo "one quote', '"one quote\r\n'),
        ("echo a^&b ^^ !OS! 'x' $HOME `id` \\ /", "a&b ^ !OS! 'x' $HOME `id` \\ /\r\n"),
        ("echo two  blanks\\", "two  blanks\\\r\n"),
        ('for %i in (1 "2 x") do @echo %i', '1\r\n"2 x"\r\n'),
        ('"C:\\windows\\system32\\hostname.exe"', "WIN10\r\n"),
        ('echo 上海，"你好"', '上海，"你好"\r\n'),
        ("echo on & ver | findstr Windows", "Microsoft Windows 10.0.19043\r\n"),
    ],
)
def test_a_command_line_arrives_as_it_was_written(ask, command, said):
    result = ask(command)
    assert (result.stdout, result.stderr, result.exit_code) == (said, "", 0)


def test_the_longest_command_arrives_whole(ask):
    text = "中" * 3990 + "x" * 4000
    assert ask(f"echo {text}").stdout == f"{text}\r\n"
    refused = ask(f"echo {text}{'y' * 100}")
    assert refused.exit_code == 1
    assert "at most 8000 characters" in refused.stderr


def test_what_gbk_can_not_say_is_refused(ask):
    refused = ask("echo नमस्ते")
    assert (refused.stdout, refused.exit_code) == ("", 1)
    assert "can't be encoded as gbk" in refused.stderr


def test_stdout_stderr_and_the_exit_code_are_kept_apart(ask):
    result = ask("echo 出& echo 错>&2& exit 7")
    assert (result.stdout.split(), result.stderr.split(), result.exit_code) == (["出"], ["错"], 7)
    missing = ask(r"dir C:\nowhere >nul")
    assert (missing.stdout, missing.exit_code) == ("", 1)
    assert "找不到文件" in missing.stderr


def test_the_bytes_are_gbk_and_the_header_says_so(windows_lab, server):
    """As a tutorial's client sees it: a length, a header, and bytes."""
    program = (
        "import socket\n"
        f"with socket.create_connection(('server', {PORT})) as stream:\n"
        "    stream.sendall('echo 中'.encode())\n"
        "    file = stream.makefile('rb')\n"
        "    size = int.from_bytes(file.read(4), 'little')\n"
        "    print(file.read(size).decode())\n"
        "    print(file.read(4).hex())\n"
    )
    header, body = windows_lab.client.run(["python3", "-c", program], check=True).lines
    assert json.loads(header)["encoding"] == "gbk"
    assert json.loads(header)["total_size"] == 4
    assert body == "d6d00d0a"


def test_ipconfig_shows_the_segment_and_the_way_out(windows_lab, ask):
    lines = [line.rpartition(" : ")[2].strip() for line in ask("ipconfig /all").lines]
    gateways = windows_lab.router.node.addresses[1], windows_lab.router.node.addresses6[1]
    assert {windows_lab.server.address, windows_lab.server.address6, *gateways} <= set(lines)


def test_netstat_prints_its_table_and_counts(ask):
    table = ask("netstat -an")
    assert (table.exit_code, "活跃连接" in table.stdout) == (0, True)
    assert "IPv4 TCP" in ask("netstat -s -p tcp").stdout


def test_names_are_those_of_the_lab(windows_lab, ask):
    for name in "client", "kali":
        assert f"[{windows_lab.client.address}]" in ask(f"ping -n 1 {name}").stdout


def test_files_have_the_same_names_on_both_sides(windows_lab, ask):
    windows_lab.server.put("内容\n", "/tmp/资料.txt")
    assert ask(r"dir /b Z:\tmp\资料.txt").stdout == "资料.txt\r\n"
    ask(r"echo 你好>Z:\tmp\写的.txt")
    assert windows_lab.server.get("/tmp/写的.txt").decode("gbk").strip() == "你好"


# --- what ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "ping -n 86399 127.0.0.1",
        "for /l %i in (1,0,2) do @rem",
        "cmd /c cmd /c ping -n 86399 127.0.0.1 | findstr x",
        "start /wait cmd /c ping -n 86399 127.0.0.1",
        "start /b ping -n 86399 127.0.0.1 & ping -n 86399 127.0.0.1",
    ],
)
def test_past_its_deadline_a_command_dies_with_all_it_started(windows_lab, ask, command):
    assert windows_lab.server.ask(LEFT).lines == []
    assert ask(command, "--timeout", "1").exit_code == 4
    assert windows_lab.server.ask(LEFT).lines == []


def test_what_a_command_leaves_behind_dies_with_it(windows_lab, ask):
    assert ask("start ping -n 86399 127.0.0.1").exit_code == 0
    assert windows_lab.server.ask(LEFT).lines == []


def test_wines_own_services_outlive_every_command(windows_lab, ask):
    services = "pgrep --full 'wineserver64|services.exe|winedevice.exe'"
    before = windows_lab.server.ask(services).lines
    assert len(before) >= 3
    ask("ping -n 86399 127.0.0.1", "--timeout", "0.5")
    ask("ver")
    assert windows_lab.server.ask(services).lines == before


def test_commands_at_once_get_their_own_answers(windows_lab, server):
    run = f"lab-command run --port {PORT} server"
    script = f"for i in 1 2 3 4 5 6; do {run} echo $i >/tmp/once.$i & done; wait; cat /tmp/once.*"
    assert windows_lab.client.run(script, check=True).stdout == "".join(f"{i}\r\n" for i in range(1, 7))


# --- scenarios ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_scenario_passes_with_the_profile(played, name):
    outcome = played(name, "windows")
    assert (outcome.verdict, outcome.reason) == ("pass", "")


def test_a_record_says_what_is_wine(played):
    nodes = json.loads((played("tcp-hello", "windows").folder / "record.json").read_text())["nodes"]
    assert nodes["win10"]["platform"] == PLATFORMS["windows"]
    assert nodes["kali"]["platform"] == nodes["router"]["platform"] == "Linux"


def test_a_host_that_was_off_has_its_command_line_again(windows_lab):
    """The last one here: with the power goes every program."""
    with windows_lab.server.without_power():
        pass
    first = windows_lab.server.run("wine cmd /c ver", check=True)
    assert "Windows 10" in first.stdout
