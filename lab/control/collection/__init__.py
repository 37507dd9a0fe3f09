"""Evidence of a run: captures on the segments and socket states on every node, on one clock."""
