"""A server with an I/O model (argv 1) and at most 40 descriptors. Prints its port, then its log."""

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
