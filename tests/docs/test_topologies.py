"""docs/topologies.md and README: every description in them is valid, and the tables list every key."""

import re
from pathlib import Path

import pytest

from lab.topology.checks import limits
from lab.topology.description import parse
from lab.topology.node import Route
from lab.topology.picture import svg
from lab.topology.plan import plan
from lab.topology.planning import expansion
from lab.topology.reading import keys

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "topologies.md").read_text()
README = (DOCS.parent / "README.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE + README, re.MULTILINE | re.DOTALL)
TABLES = {
    "At the top": keys.LAB,
    "`[segments]`:": keys.SEGMENT,
    "`[hosts.": keys.HOST,
    "`[routers.": keys.ROUTER,
}


def planned(text):
    return {node.name: node for node in plan(parse(text)).nodes}


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_is_a_valid_description(number):
    assert planned(EXAMPLES[number])


def test_every_key_is_in_an_example():
    used = set(re.findall(r"(?:^|[{,]) *(\w+) *=", "\n".join(EXAMPLES), re.MULTILINE))
    assert (set(keys.SEGMENT) | set(keys.HOST) | set(keys.ROUTER)) - used == {"profile", "base"}


def test_every_key_is_in_the_tables():
    _, _, reference = PAGE.partition("## All keys")
    found = {}
    for part in re.split(r"^(?=At the top|`\[)", reference, flags=re.MULTILINE)[1:]:
        (table,) = (each for start, each in TABLES.items() if part.startswith(start))
        rows = re.findall(r"^\| (`.*?) \|", part, re.MULTILINE)
        found[id(table)] = [key for row in rows for key in re.findall(r"`(\w+)`", row)]
    assert found == {id(table): list(table) for table in TABLES.values()}


def test_the_limits_are_those_of_the_code():
    words = f"at most {limits.HOSTS} hosts, {limits.SEGMENTS} segments and {limits.ROUTERS} routers"
    assert words in re.sub(r"\s+", " ", PAGE)
    sentence = re.search(r"((?:`\w+`,? (?:and )?)+)are reserved", re.sub(r"\s+", " ", PAGE))[1]
    assert set(re.findall(r"`(\w+)`", sentence)) == expansion.RESERVED


def test_the_conditions_are_those_of_the_code():
    rows = re.findall(r"^\| `((?:tcp|http|log|health).*?)` \|", PAGE, re.MULTILINE)
    kinds = []
    for row in rows:
        (host,) = parse(f'[hosts.web]\nimage = "x"\nready = "{row}"').hosts
        kinds.append(host.workload.ready.kind)
    assert kinds == ["tcp", "http", "log", "healthcheck"]


def test_the_example_of_a_mistake_is_its_message():
    (line,) = re.findall(r"^lab: (lab\.toml:.*)$", PAGE, re.MULTILINE)
    with pytest.raises(ValueError, match=re.escape(line)):
        parse(EXAMPLES[0].replace('segment = "servers"', 'segment = "server"'))


def test_a_route_that_is_not_the_shortest_is_in_the_plan():
    (example,) = (each for each in EXAMPLES if 'right = "slow"' in each)
    nodes = planned(example)
    (middle,) = (i.address for i in nodes["slow"].interfaces if i.segment == "middle")
    (right,) = (i.address for i in nodes["slow"].interfaces if i.segment == "right")
    assert Route(f"{right.rpartition('.')[0]}.0/24", middle.partition("/")[0]) in nodes["entry"].routes


def test_the_picture_is_that_of_the_first_example():
    """`lab topology --svg > docs/topologies.svg` in a folder called shop, with the example as lab.toml."""
    assert (DOCS / "topologies.svg").read_text() == svg(plan(parse(EXAMPLES[0], name="shop")))
