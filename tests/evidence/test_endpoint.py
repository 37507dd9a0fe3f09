"""An endpoint and its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.evidence.endpoint import Endpoint


@pytest.mark.parametrize(
    ("endpoint", "text", "family", "loopback"),
    [
        (Endpoint("192.0.2.1", 80), "192.0.2.1:80", 4, False),
        (Endpoint("2001:db8::1", 80), "[2001:db8::1]:80", 6, False),
        (Endpoint("127.0.0.5", 80), "127.0.0.5:80", 4, True),
        (Endpoint("::1", 80), "[::1]:80", 6, True),
        (Endpoint("*", 80), "*:80", 0, False),
        (Endpoint("*", 0), "*:*", 0, False),
    ],
)
def test_text_and_family(endpoint, text, family, loopback):
    assert str(endpoint) == text
    assert Endpoint.parse(text) == endpoint
    assert (endpoint.family, endpoint.is_loopback) == (family, loopback)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_parse_reverses_str(address, port):
    endpoint = Endpoint(str(address), port)
    assert Endpoint.parse(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    "text",
    ["", ":", "*", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1: 80",
     "192.0.2.1:٣", "2001:db8::1:80", "[192.0.2.1]:80", "[2001:db8::1]", "[*]:80", "host:80", "*:080"],
)  # fmt: skip
def test_any_other_text_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"\Anot an endpoint: .*\Z"):
        Endpoint.parse(text)
