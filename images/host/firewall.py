"""The packet filter of a node as input for nft(8): what it may reach, address translation, port forwarding.

All rules are in our own tables, each replaced in one step. Those of Docker's resolver are in other tables.
"""

from node_network import addresses


def rules(node: dict, devices: dict[str, str]) -> str:
    """The rules of a node whose interfaces are ``devices``, by segment."""
    # The first address of a segment belongs to the bridge, which is the machine that runs Docker. So does any
    # link-local address that isn't a neighbour's.
    machine = [own.network[1] for _, own in addresses(node)]
    text = FILTER.format(
        segments=_set(devices.values()),
        machine4=", ".join(str(a) for a in machine if a.version == 4),
        machine6=", ".join(["fe80::/10", *(str(a) for a in machine if a.version == 6)]),
    )
    return text + (_translation(node, devices) if _translates(node) else NO_TRANSLATION)


def _translates(node: dict) -> bool:
    return bool(node.get("nat") or node.get("forwards"))


def _translation(node: dict, devices: dict[str, str]) -> str:
    nat = node.get("nat", [])
    inside = _set(devices[segment] for segment in nat)
    networks = [own.network for segment, own in addresses(node) if segment in nat]
    families = {4: "ip", 6: "ip6"}
    leaving = f"oifname @segments oifname != {inside}"
    lines = [f"{leaving} {families[each.version]} saddr {each} drop" for each in networks]
    return TRANSLATION.format(
        segments=_set(devices.values()),
        forwards=_lines(_forward(each, *to) for each in node.get("forwards", []) for to in _targets(each)),
        hairpin=_lines(f'iifname "{d}" oifname "{d}" ct mark set 1' for d in devices.values()),
        protect=PROTECT.format(inside=inside) if nat else "",
        untranslated=_lines(lines),
    )


def _targets(forward: dict) -> list[tuple]:
    pairs = ("ip", forward["address"]), ("ip6", forward.get("address6"))
    return [(family, address) for family, address in pairs if address]


def _forward(forward: dict, family: str, address: str) -> str:
    protocol = forward.get("protocol", "tcp")
    to = f"[{address}]:{forward['to']}" if family == "ip6" else f"{address}:{forward['to']}"
    match = f"meta nfproto ipv{6 if family == 'ip6' else 4} {protocol} dport {forward['port']}"
    return f"fib daddr type local {match} dnat {family} to {to}"


def _lines(rules) -> str:
    return "\n        ".join(rules)


def _set(names) -> str:
    return "{ " + ", ".join(f'"{name}"' for name in names) + " }"


# No "ct state": connection tracking would reassemble fragments before they are forwarded.
FILTER = """
table inet socketlab
delete table inet socketlab
table inet socketlab {{
    set segments {{ type ifname; elements = {segments} }}

    chain refuse {{
        meta l4proto tcp reject with tcp reset
        reject with icmpx type admin-prohibited
    }}
    chain machine {{
        icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
        ip daddr {{ {machine4} }} goto refuse
        ip6 daddr {{ {machine6} }} goto refuse
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname lo accept
        iifname @segments accept
        tcp dport 22 accept
        goto refuse
    }}
    chain output {{
        type filter hook output priority filter; policy accept;
        oifname lo accept
        oifname @segments goto machine
        tcp sport 22 tcp flags & (syn | ack) != syn accept
        tcp flags & rst == rst accept
        icmp type destination-unreachable accept
        goto refuse
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname != @segments goto refuse
        oifname != @segments goto refuse
        goto machine
    }}
}}
"""

NO_TRANSLATION = """
table inet socketlab-nat
delete table inet socketlab-nat
"""

# Connections with mark 1 are masqueraded: those from inside to outside, and those that leave by the interface
# that they came in by, because a port is forwarded to a host on the sender's own segment.
TRANSLATION = """
table inet socketlab-nat
delete table inet socketlab-nat
table inet socketlab-nat {{
    set segments {{ type ifname; elements = {segments} }}

    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        iifname != @segments accept
        {forwards}
    }}
    chain forward {{
        type filter hook forward priority -10; policy accept;
        ct state invalid drop
        ct state != new accept
        {hairpin}
        {protect}
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ct mark 1 masquerade
    }}
    # A duplicate that the link's impairment sends after its connection is closed can't be translated.
    chain untranslated {{
        type filter hook postrouting priority srcnat + 10; policy accept;
        {untranslated}
    }}
}}
"""

# From outside there is no route to the hosts inside, unless a port is forwarded.
PROTECT = """iifname {inside} oifname != {inside} ct mark set 1
        iifname {inside} accept
        ct status dnat accept
        oifname {inside} reject with icmpx type no-route"""
