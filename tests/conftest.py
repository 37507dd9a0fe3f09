"""Set-up of the whole test session."""

import signal

import pytest


def pytest_configure():
    """Restores the handler of SIGINT.

    A background process of a non-interactive shell, as in `nohup make test &`, starts with SIGINT ignored.
    Child processes inherit that, and the tests that interrupt them would wait until their timeout.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Puts all tests in the browser into one group, so that only one worker starts it."""
    for item in items:
        if "driver" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("browser"))
