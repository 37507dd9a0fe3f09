"""A Compose project written without the lab in mind: its database is cut off, then loses its power.

topologies/compose-project contains a typical project: a web page in Python that counts its visitors, Redis,
which keeps the number, and a Compose file of ten lines. Three lines of
topologies/compose-project.toml make a host of each service. Nothing in the project changes: the page still
finds Redis by the name of its service. But now there is a router between the two, so
failures can be tested that the project's author couldn't produce:

    the link between them is cut     503 after 1 s: the page has a timeout, and the visitor gets an answer
    the link is whole again          the next number, without a restart
    Redis loses its power            503 again
    the power is back                the next number: Redis had written the last one to its volume

Without `timeout=1` in the page, the visitor would wait forever. Without `--appendfsync always` in the
Compose file, the numbers of the last second would be lost in a power cut. Try both.
"""

TOPOLOGY = "compose-project"
VISIT = """
import urllib.error, urllib.request
try:
    with urllib.request.urlopen("http://web:8000/count", timeout=5) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


def run(lab):
    start = int(lab.cache.exec(["redis-cli", "incr", "visitors"], check=True).stdout)
    visits = [visit(lab)]
    with lab.partition("web", "cache"):
        visits.append(visit(lab))
        lost_at = sorted({t.lost_at for t in lab.packets().transits if t.sent.dport == 6379} - {""})
    visits.append(visit(lab))
    with lab.cache.without_power():
        visits.append(visit(lab))
    visits.append(visit(lab))
    return {"start": start, "visits": visits, "lost_at": lost_at}


def visit(lab):
    (line,) = lab.client.python(VISIT, check=True).lines
    return line


def check(record):
    number = record["start"]
    assert record["visits"] == [
        f"200 visitor {number + 1}",
        "503 no count: timed out",
        f"200 visitor {number + 2}",
        "503 no count: timed out",
        f"200 visitor {number + 3}",
    ]
    assert record["lost_at"] == ["router"]
