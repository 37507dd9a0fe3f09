"""Reads docker-compose.yml: the default prefixes of its networks, and its nodes. No I/O.

Both have a fixed form in the file, so it is parsed as text. `docker compose config` would resolve it, but
takes longer than all other steps before a start; a test compares the two results.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# As in ${LAB_OFFICE_PREFIX:-172.28.66} and ${LAB_OFFICE_PREFIX6:-fd28:66}: a variable and its default.
_PREFIX = re.compile(r"\$\{LAB_(\w+)_PREFIX(6?):-([^}]+)\}")
_SERVICE = re.compile(r"^  ([\w.-]+):\n((?:    .*\n|\s*\n)+)", re.MULTILINE)
_NODE = re.compile(r"^    <<: \*(?:host|router)$", re.MULTILINE)
_PROFILE = re.compile(r"^    image: .*\$\{PROFILE\b", re.MULTILINE)


@dataclass(frozen=True)
class ComposeFile:
    """A lab as described by its Compose file."""

    prefixes: dict[str, str]  # IPv4, by name of the network: the name in the variable, in lower case
    prefixes6: dict[str, str]
    nodes: tuple[str, ...]  # the services that are hosts or routers
    profiled: tuple[str, ...]  # the services whose image depends on the profile

    @classmethod
    def parse(cls, text: str) -> ComposeFile:
        """Reads the text of the file. Raises ValueError if a variable has two different defaults."""
        found: tuple[dict[str, str], dict[str, str]] = ({}, {})
        for name, version6, default in _PREFIX.findall(text):
            known = found[bool(version6)].setdefault(name.lower(), default)
            if known != default:
                raise ValueError(f"LAB_{name}_PREFIX{version6} has two defaults: {known} and {default}")
        _, _, rest = text.partition("\nservices:\n")
        services = {match[1]: match[2] for match in _SERVICE.finditer(re.split(r"^\w", rest, flags=re.M)[0])}
        return cls(
            *found,
            nodes=tuple(name for name, body in services.items() if _NODE.search(body)),
            profiled=tuple(name for name, body in services.items() if _PROFILE.search(body)),
        )
