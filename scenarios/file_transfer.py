"""Files: empty, one byte, 64 MiB, and a tree with Chinese names, there and back again.

A digest decides whether a file is complete: both ends hash the bytes that they sent or stored, and a file
appears under its name only if the digests agree. Sizes 0 and 1 are included because length arithmetic often
fails there.
"""

SIZES = {"empty": 0, "one": 1, "large": 64 << 20}
TREE = ["目录/文件.txt", "目录/子目录/第二个 文件.txt", "目录/script.sh"]
MAKE = """
rm -rf /tmp/from /tmp/back; mkdir -p /tmp/from/目录/子目录 /tmp/back; cd /tmp/from
: > empty; printf x > one; head -c 67108864 /dev/urandom > large
echo 你好 > 目录/文件.txt; echo 再见 > '目录/子目录/第二个 文件.txt'
echo true > 目录/script.sh; chmod 755 目录/script.sh
"""
DIGESTS = "find . -type f -exec sha256sum {} + | sort"


def run(lab):
    lab.client.run(MAKE, check=True)
    lab.server.run("rm -rf /tmp/files; mkdir /tmp/files", check=True)
    with lab.server.start("lab-transfer serve --root /tmp/files --port 20001"):
        put = lab.client.run("cd /tmp/from && lab-transfer put -r server empty one large 目录", timeout=60)
        get = lab.client.run("cd /tmp/back && lab-transfer get -r server empty one large 目录", timeout=60)
        sizes = [int(lab.server.run(f"stat -c %s /tmp/files/{name}").stdout) for name in SIZES]
    return {
        "exit_codes": [put.exit_code, get.exit_code],
        "sizes": sizes,
        "sent": digests(lab.client, "/tmp/from"),
        "stored": digests(lab.server, "/tmp/files"),
        "fetched": digests(lab.client, "/tmp/back"),
        "mode": [
            lab.server.run("stat -c %a /tmp/files/目录/script.sh").stdout,
            lab.client.run("stat -c %a /tmp/back/目录/script.sh").stdout,
        ],
    }


def digests(host, folder):
    """The digest of each file by name. Hidden files are included, to find partial files left behind."""
    lines = host.run(f"cd {folder} && {DIGESTS}", check=True).lines
    return {name.removeprefix("./"): digest for digest, name in (line.split("  ", 1) for line in lines)}


def check(record):
    assert record["exit_codes"] == [0, 0]
    assert record["sizes"] == list(SIZES.values())
    assert sorted(record["sent"]) == sorted([*SIZES, *TREE])
    assert len(set(record["sent"].values())) == len(record["sent"]), "the files differ"
    assert record["stored"] == record["sent"]
    assert record["fetched"] == record["sent"]
    assert record["mode"] == ["755\n", "755\n"]
