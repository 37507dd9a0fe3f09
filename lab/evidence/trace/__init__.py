"""trace.html: all that happened in a run, in one file that opens offline.

- page.py: what the page knows of a run; timeline.py: its lines, sockets and faults; columns.py: its packets
- heading.py: the diagnosis, and the link as it was asked and measured
- render.py: template.html with all of that, style.css and the *.js inlined
"""

from lab.evidence.trace.render import NAME, write

__all__ = ["NAME", "write"]
