"""Socket addresses as text."""

import pytest

from lab.sockets.address import format_address, format_endpoint, plain_host


@pytest.mark.parametrize(
    ("address", "host", "text"),
    [
        (("192.0.2.1", 80), "192.0.2.1", "192.0.2.1:80"),
        (("::ffff:192.0.2.1", 80, 0, 0), "192.0.2.1", "192.0.2.1:80"),
        (("2001:db8::1", 80, 0, 0), "2001:db8::1", "[2001:db8::1]:80"),
        (("::ffff:0:102:304", 80, 0, 0), "::ffff:0:102:304", "[::ffff:0:102:304]:80"),
        (("::", 8001, 0, 0), "::", "[::]:8001"),
        (("fe80::1%eth0", 80, 0, 2), "fe80::1%eth0", "[fe80::1%eth0]:80"),
    ],
)
def test_an_address_is_written_plainly(address, host, text):
    assert plain_host(address) == host
    assert format_address(address) == text


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("0.0.0.0", 80), "*:80"),
        (("::", 0), "*:*"),
        (("fd28::1", 5), "[fd28::1]:5"),
        (("1.2.3.4", 0), "1.2.3.4:*"),
    ],
)
def test_wildcard_host_and_port_are_shown_as_stars(address, text):
    assert format_endpoint(address) == text
