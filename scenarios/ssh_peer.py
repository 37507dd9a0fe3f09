"""The same command and file over OpenSSH: the protection that a real protocol adds.

kali logs in to win10 across the router. Before the first byte of the command, SSH has agreed on keys,
verified the identity of win10 (a strict known_hosts) and authenticated the client; our own protocols do none
of this. The file arrives unchanged. A man in the middle would be detected: if known_hosts holds another host
key for win10, ssh refuses to connect.
"""

NEEDS = ("hostname", "ssh")
COMMAND = "hostname; echo 你好; echo trouble >&2; exit 5"
MAKE_IMPOSTOR = """
rm -f /tmp/impostor*; ssh-keygen -q -t ed25519 -N '' -f /tmp/impostor
(printf 'win10 '; cat /tmp/impostor.pub) > /tmp/known
"""
CHANGED = "HOST IDENTIFICATION HAS CHANGED"


def run(lab):
    ours, ssh = run_both(lab)
    lab.client.run("head -c 1000000 /dev/urandom > /tmp/file", check=True)
    copied = lab.client.run("scp -q /tmp/file win10:/tmp/file", check=True)
    lab.client.run(MAKE_IMPOSTOR, check=True)
    impostor = lab.client.run("ssh -o UserKnownHostsFile=/tmp/known win10 hostname")
    return {
        "ours": ours,
        "ssh": ssh,
        "copy_exit_code": copied.exit_code,
        "digest_here": lab.client.run("sha256sum < /tmp/file").stdout.removesuffix("  -\n"),
        "digest_there": lab.server.run("sha256sum < /tmp/file").stdout.removesuffix("  -\n"),
        "impostor": [impostor.stdout, impostor.exit_code, CHANGED in impostor.stderr],
    }


def run_both(lab):
    with lab.server.start("lab-command serve --shell /bin/sh --port 20000"):
        results = [lab.client.run([*words, "win10", COMMAND]) for words in (("lab-command", "run"), ("ssh",))]
    return [[result.stdout, result.stderr, result.exit_code] for result in results]


def check(record):
    assert record["ours"] == ["win10\n你好\n", "trouble\n", 5]
    assert record["ssh"] == record["ours"]
    assert record["copy_exit_code"] == 0
    assert len(record["digest_here"]) == 64
    assert record["digest_here"] == record["digest_there"]
    assert record["impostor"] == ["", 255, True]
