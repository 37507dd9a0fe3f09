"""A server of a io_model (argv 1) that may have few descriptors: 40. Prints its port, then what it logs."""

import asyncio
import contextlib
import logging
import resource
import sys

from lab.programs.console import stop_on_signals
from lab.sockets import aio, blocking, threaded
from tests.sockets.io_models import Upper

logging.basicConfig(stream=sys.stdout, format="%(message)s")
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
with contextlib.closing(stop_on_signals()) as stop:
    listener = blocking.listen("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    if sys.argv[1] == "threaded":
        threaded.serve(listener, Upper().threaded, stop)
    else:
        asyncio.run(aio.serve(listener, Upper().aio, stop))
