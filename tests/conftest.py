"""Set-up of the whole test session."""

import signal


def pytest_configure():
    """Gives SIGINT its handler back.

    A background process of a non-interactive shell, as in `nohup make test &`, starts with SIGINT ignored.
    Child processes inherit that, and the tests that interrupt them would wait until their timeout.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
