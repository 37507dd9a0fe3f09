"""A client gets a file from a server, across a router.

Replace the two commands with those of your own programs, which are in /src.
"""

import pytest

from lab.testing import expect

SERVER = "python3 -u -m http.server 8000 --directory /src"
CLIENT = """python3 -c '
from urllib.request import urlopen
print(urlopen("http://server:8000/lab.toml", timeout=10).read().decode())
'"""


def test_the_client_gets_the_file(lab):
    with lab.server.start(SERVER, announce="") as server:
        expect(lab.client).to_reach(lab.server, 8000)
        assert "[hosts.client]" in lab.client.run(CLIENT, check=True).stdout
        expect(server).to_say("GET /lab.toml")


@pytest.mark.lab(link={"delay": 0.05, "loss": 0.01})
def test_the_client_gets_the_file_over_a_bad_link(lab):
    with lab.server.start(SERVER, announce=""):
        expect(lab.client).to_reach(lab.server, 8000)
        assert "[hosts.client]" in lab.client.run(CLIENT, check=True).stdout
