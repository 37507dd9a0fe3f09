"""The packet filter of this host: nf_tables, and connection tracking. Linux, CAP_NET_ADMIN."""

from __future__ import annotations

import struct

from lab.sockets.netlink.messages import Netlink, attributes, packed, text

NETFILTER = 12
_header = struct.Struct(">BBH")  # nfgenmsg: family, version, resource
NFT, CONNTRACK = 10 << 8, 1 << 8
BATCH_BEGIN, BATCH_END = 16, 17
GETTABLE, DELTABLE = NFT | 1, NFT | 2
GETCHAIN, GETRULE, GETSET, GETSETELEM = NFT | 4, NFT | 7, NFT | 10, NFT | 13
GETGEN, GETOBJECT, GETFLOWTABLE = NFT | 16, NFT | 19, NFT | 23
CT_DELETE = CONNTRACK | 2

# Attributes that differ though the rules are the same: handles, use counts, packet counters, positions.
_VOLATILE = {
    GETTABLE: {3, 4},
    GETCHAIN: {2, 6, 8, 11},
    GETRULE: {3, 6},
    GETSET: {10, 16, 22},
    GETSETELEM: set(),
    GETOBJECT: {4, 5, 6},
    GETFLOWTABLE: {4, 5},
}
_TABLE_NAME, _SET_TABLE, _SET_NAME = 1, 1, 2
_ELEMENTS = 3
_RULE_EXPRESSIONS, _EXPRESSION_NAME = 4, 1


class PacketFilter(Netlink):
    """Requests to nf_tables and to connection tracking. All methods raise OSError."""

    def __init__(self) -> None:
        super().__init__(NETFILTER)

    def generation(self) -> int:
        """A number that every change of the rules increments."""
        found = dict(attributes(self.ask(GETGEN, _header.pack(0, 0, 0))[_header.size :]))
        return int.from_bytes(found[1])

    def rules(self) -> dict[str, list[str]]:
        """All that each table holds, in a form that can be compared. Keys are family and name."""
        tables: dict[str, list[str]] = {}
        for kind, volatile in _VOLATILE.items():
            if kind == GETSETELEM:
                continue
            for family, found in self._all(kind, b""):
                tables.setdefault(_table(family, found), []).append(_comparable(kind, found, volatile))
                if kind == GETSET:
                    tables[_table(family, found)] += self._elements(family, found)
        return tables

    def delete(self, table: str) -> None:
        """Deletes a table: "FAMILY NAME" with the number of the family."""
        family, _, name = table.partition(" ")
        body = _header.pack(int(family), 0, 0) + packed(_TABLE_NAME, name.encode() + b"\0")
        batch = _header.pack(0, 0, 10)
        self.batch([(DELTABLE, 0, body)], BATCH_BEGIN, BATCH_END, batch)

    def forget_connections(self) -> None:
        """Removes all tracked connections. Packets of a connection that goes on are tracked anew."""
        self.request(CT_DELETE, _header.pack(0, 0, 0))

    def _elements(self, family: int, found: list[tuple[int, bytes]]) -> list[str]:
        named = b"".join(packed(kind, value) for kind, value in found if kind in (_SET_TABLE, _SET_NAME))
        return sorted(
            _comparable(GETSETELEM, each, set()) for _, each in self._all(GETSETELEM, named, family)
        )

    def _all(self, kind: int, named: bytes, family: int = 0) -> list[tuple[int, list[tuple[int, bytes]]]]:
        found = self.dump(kind, _header.pack(family, 0, 0) + named)
        return [(body[0], attributes(body[_header.size :])) for _, body in found]


def _table(family: int, found: list[tuple[int, bytes]]) -> str:
    return f"{family} {text(dict(found)[_TABLE_NAME])}"


def _comparable(kind: int, found: list[tuple[int, bytes]], volatile: set[int]) -> str:
    kept = [(each, _plain(kind, each, value)) for each, value in found if each not in volatile]
    return f"{kind & 0xFF} {kept}"


def _plain(kind: int, attribute: int, value: bytes) -> object:
    """The value; that of a rule's expressions without the counts of its counters; elements in order."""
    if kind == GETSETELEM and attribute == _ELEMENTS:
        return sorted(element.hex() for _, element in attributes(value))
    if kind != GETRULE or attribute != _RULE_EXPRESSIONS:
        return value.hex()
    expressions = [attributes(element) for _, element in attributes(value)]
    return [
        [(_EXPRESSION_NAME, "counter")] if _is_counter(e) else [(k, v.hex()) for k, v in e]
        for e in expressions
    ]


def _is_counter(expression: list[tuple[int, bytes]]) -> bool:
    return text(dict(expression).get(_EXPRESSION_NAME, b"")) == "counter"
