"""Set-up of the whole test session."""

import signal

import pytest


def pytest_configure():
    """Restores the handlers of SIGINT and SIGHUP.

    A background process of a non-interactive shell starts with SIGINT ignored, and nohup ignores SIGHUP (in
    `nohup make test &`). Child processes inherit that, and the tests that send them these signals would wait
    until their timeout.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Puts all tests in the browser into one group, so that only one worker starts it."""
    for item in items:
        if "driver" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("browser"))
