"""Remote commands: run a command over there, get its output, its errors and its exit code here.

A naive remote shell fails with output longer than one recv, with stderr mixed into stdout, with a command
that fails, and with one that never ends. Here every answer is framed, verified by its digest, and has a
deadline; at the deadline the command is killed with all its descendants.
"""

MANY = 10 << 20  # bytes of output
ENDLESS = "echo begun; sleep 86399 | cat"


def run(lab):
    with lab.server.start("lab-command serve --shell /bin/sh --port 20000"):
        addresses = command(lab, "ip -brief addr")
        many = lab.client.run(f"lab-command run server 'yes 上海 | head -c {MANY}' | sha256sum", check=True)
        many_there = lab.server.run(f"yes 上海 | head -c {MANY} | sha256sum", check=True)
        failing = command(lab, "exit 7")
        complaint = command(lab, "ls /nowhere >/dev/null")
        endless = command(lab, ENDLESS, "--timeout 0.5")
        left = lab.server.run("pgrep --full --exact 'sleep 86399'")
    return {
        "addresses": addresses.stdout,
        "addresses_there": lab.server.run("ip -brief addr").stdout,
        "server_address": lab.server.address,
        "many": many.stdout.removesuffix("  -\n"),
        "many_there": many_there.stdout.removesuffix("  -\n"),
        "failing": [failing.exit_code, failing.stdout],
        "complaint": [complaint.stdout, "/nowhere" in complaint.stderr, complaint.exit_code],
        "endless": [endless.stdout, endless.exit_code],
        "left_running": left.lines,
    }


def command(lab, line, options=""):
    return lab.client.run(f"lab-command run {options} server '{line}'")


def check(record):
    assert record["addresses"] == record["addresses_there"]
    assert f" {record['server_address']}/24 " in record["addresses"]
    assert len(record["many_there"]) == 64, "a digest"
    assert record["many"] == record["many_there"]
    assert record["failing"] == [7, ""]
    assert record["complaint"] == ["", True, 2]
    assert record["endless"] == ["begun\n", 4]
    assert record["left_running"] == [], "the command outlived its deadline"
