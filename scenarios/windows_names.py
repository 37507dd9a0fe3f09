"""Names that Windows forbids: a file that Linux sends and Windows can't keep.

A name is sent unchanged, and the receiver interprets it. On Windows CON is a device, with any extension too;
a:b is a stream of the file a; a dot or a space at the end is dropped, so report. becomes report. A server on
Windows must refuse such a name and quote it in the error; otherwise the file is lost or gets another name.
"""

PROFILE = "windows"

GOOD = ["报告.txt", "console", ".hidden", "two words"]
BAD = ["CON", "con.txt", "com1.log", "a:b", "what?", "report.", "report "]


def run(lab):
    lab.server.run("rm -rf /tmp/names; mkdir /tmp/names", check=True)
    lab.client.run("echo content > /tmp/file", check=True)
    with lab.server.start("lab-transfer serve --root /tmp/names --port 20001"):
        taken = {name: put(lab, name)[0] for name in GOOD}
        refused = {name: put(lab, name) for name in BAD}
    return {"taken": taken, "refused": refused, "stored": lab.server.run("ls -A /tmp/names").lines}


def put(lab, name):
    result = lab.client.run(["lab-transfer", "put", "server", "/tmp/file", "--to", name])
    return [result.exit_code, result.stderr.strip()]


def check(record):
    assert record["taken"] == dict.fromkeys(GOOD, 0)
    assert list(record["refused"]) == BAD
    for name, answer in record["refused"].items():
        assert len(answer) == 2
        exit_code, complaint = answer
        assert exit_code == 1
        assert "Windows" in complaint
        assert repr(name) in complaint, "refused, but not by its name"
    assert sorted(record["stored"]) == sorted(GOOD)
