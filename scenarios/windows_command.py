"""A Windows command line: ipconfig, a folder with a Chinese name, and a command that never ends.

In many tutorials the server runs Windows 10. Its output is in GBK (code page 936), and each line ends with
CR LF:

    echo 中文     D6 D0 CE C4 0D 0A

Bytes don't carry their encoding. The protocols raw and length send them unchanged; the header of the other
two protocols names the encoding, so lab-command shows text. Wine's cmd runs the commands here
(docs/profiles.md).
"""

PROFILE = "windows"

FILE = r"C:\users\lab\资料 1\说明.txt"
MAKE = rf'md "C:\users\lab\资料 1" 2>nul & echo 你好>"{FILE}" & dir /b "C:\users\lab\资料 1"'
ENDLESS = 'ping -n 86399 127.0.0.1 | find "x"'


def run(lab):
    with lab.server.start("lab-command serve --protocol raw --port 8080"):
        echo = lab.client.run("printf 'echo 中文' | nc -N -w 10 server 8080 | od -An -tx1", check=True)
    with lab.server.start("lab-command serve --port 20000"):
        made = command(lab, MAKE)
        record = {
            "echo": echo.stdout.split(),
            "way_out": way_out(command(lab, "ipconfig /all").stdout),
            "made": [made.stdout, made.exit_code],
            "typed": command(lab, f'type "{FILE}"').stdout,
            "piped": command(lab, f'type "{FILE}" | find "你"').stdout,
            "quoted": command(lab, 'echo "a & b" %OS% 100% ^& c').stdout,
            "failing": command(lab, "exit 7").exit_code,
            "missing": seen(command(lab, r"type C:\nowhere")),
            "endless": command(lab, ENDLESS, "--timeout", "1").exit_code,
            "left_running": lab.server.run("pgrep --full 'ping.*86399'").lines,
        }
    router = lab["router"].node
    return record | {"wired": [lab.server.address, router.addresses6[1], router.addresses[1]]}


def command(lab, line, *options):
    return lab.client.run(["lab-command", "run", *options, "server", line])


def way_out(config):
    """The IPv4 address and the gateways of the adapter that has a default gateway."""
    for adapter in config.split("适配器"):
        gateways = adapter.partition("默认网关")[2].partition(" : ")[2].partition("\r\n\r\n")[0].split()
        if gateways:
            return [adapter.partition("IPv4 地址")[2].partition(" : ")[2].split()[0], *gateways]


def seen(result):
    return {"stdout": result.stdout, "complains": "nowhere" in result.stderr, "exit_code": result.exit_code}


def check(record):
    assert record["echo"] == "d6 d0 ce c4 0d 0a".split()
    assert record["way_out"] == record["wired"], "ipconfig shows another address or gateway"
    assert record["made"] == ["说明.txt\r\n", 0]
    assert record["typed"].split() == record["piped"].split() == ["你好"]
    assert record["quoted"] == '"a & b" Windows_NT 100% & c\r\n'
    assert record["failing"] == 7
    assert record["missing"] == {"stdout": "", "complains": True, "exit_code": 1}
    assert record["endless"] == 4
    assert record["left_running"] == [], "a command outlived its deadline"
