"""The shipped topologies are valid, and the files that they name exist."""

from pathlib import Path

import pytest

from lab.topology.description import read
from lab.topology.picture import mermaid, svg
from lab.topology.plan import plan

FOLDER = Path(__file__).parents[2] / "topologies"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_a_shipped_topology_is_planned_and_drawn(path):
    found = plan(read(path))
    assert len(found.nodes) > 1
    assert svg(found).count("<rect") >= len(found.nodes)
    assert mermaid(found).startswith("flowchart")
