"""trace.html: the packets, output and sockets of a run in one file that opens offline.

- page.py: the data of the page; timeline.py: lines, sockets and faults
- node_columns.py: the nodes; packet_columns.py and packet_bytes.py: the packets
- heading.py: the diagnosis, and the link as requested and as measured
- render.py: template.html with the data, style.css and the *.js inlined, and the texts in every language
"""

from lab.evidence.trace.render import NAME, prepare, write

__all__ = ["NAME", "prepare", "write"]
