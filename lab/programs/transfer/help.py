"""The help texts of lab-transfer."""

from lab.locale import _
from lab.programs.console import paragraphs
from lab.protocols.transfer import DEFAULT_PORT


def program() -> str:
    return paragraphs(
        _("Transfers files between hosts. One host serves a directory, the other stores and fetches files:"),
        _("""\
  server:  lab-transfer serve --root /srv/files
  client:  lab-transfer put server report.pdf
           lab-transfer get server report.pdf"""),
        _("""\
Both ends verify every file by its SHA-256. A file gets its name only when it is complete. To resume
an interrupted transfer, run the same command again. The default port is {port}/tcp.""").format(
            port=DEFAULT_PORT
        ),
    )


def serve() -> str:
    return paragraphs(
        _("Serves the files below a directory until SIGTERM or Ctrl-C."),
        _("""\
  lab-transfer serve                                the current directory, on all addresses
  lab-transfer serve --root /srv/files --read-only"""),
        _("""\
CAUTION: anyone who can reach this address can read and write these files. There is no login. Files
outside the directory can't be reached, and symbolic links are never followed."""),
        _("""\
The data of an interrupted put is kept in a hidden file, .transfer-….part, until the client resumes."""),
    )


def put() -> str:
    return paragraphs(
        _("Stores files on the server, with their permission bits and modification times."),
        _("""\
  lab-transfer put server a.txt b.txt               in the server's root
  lab-transfer put server a.txt --to docs/          in a directory, which must exist
  lab-transfer put server a.txt --to docs/b.txt     under another name
  lab-transfer put server -r project                a directory with everything in it"""),
        _replacement(),
        _("""\
In a directory, symbolic links, devices and names that aren't UTF-8 are skipped. Each is reported on
stderr, and the exit code is 1."""),
    )


def get() -> str:
    return paragraphs(
        _("Fetches files from the server, with their permission bits and modification times."),
        _("""\
  lab-transfer get server docs/a.txt                as a.txt in the current directory
  lab-transfer get server docs/a.txt --to /tmp/     in a directory
  lab-transfer get server docs/a.txt --to b.txt     under another name
  lab-transfer get server -r docs                   a directory with everything in it"""),
        _replacement(),
        _("""\
In a directory, symbolic links, devices and names that can't be sent are skipped. Each is reported on
stderr, and the exit code is 1."""),
    )


def _replacement() -> str:
    return _("An existing file of that name is replaced atomically.")


def exit_codes() -> str:
    return _("""\
exit codes:
  0  ok
  1  the peer or a check failed: no such file, wrong digest, connection lost, a file was skipped
  2  wrong usage
  3  environment: can't bind, no route, no such local file, disk full (on either end)
  4  timeout
130  interrupted
""")
