"""trace.html: all that happened in a run, in one file that opens offline.

page.py      what the page knows of the run: the heading, nodes, and the two below
timeline.py  lines, socket lives and faults, from the events
columns.py   packets, a list for each of their fields, and their bytes
render.py    template.html with all of it, style.css and the *.js inlined
"""

from lab.evidence.trace.render import NAME, write

__all__ = ["NAME", "write"]
