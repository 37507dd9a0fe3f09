"""The help texts of lab-command."""

from lab.locale import _
from lab.programs.console import paragraphs


def program() -> str:
    return paragraphs(
        _("Runs commands on another host. One host is the server, the other the client:"),
        _("""\
  server:  lab-command serve
  client:  lab-command run server uname -a"""),
        _("There are four protocols. They differ in how they mark the end of an answer:"),
        _("""\
  raw      not at all: answers stick together              (port 8080)
  length   by a length before the answer                   (port 11111)
  header   by a JSON header with size, MD5 and exit code   (port 20000)
  frame    as header, in both directions, streamed         (port 20000)"""),
        _("""\
raw, length and header are the protocols of many tutorials: the tutorials' clients and servers work
with these programs."""),
    )


def serve() -> str:
    return paragraphs(
        _("""\
Runs its clients' commands in a shell. Each command has /dev/null as its input and its own session.
On the header port, tutorial clients get header answers and lab-command run gets frames."""),
        _("""\
  lab-command serve                          header and frames, on all addresses
  lab-command serve --host 127.0.0.1         for this host only
  lab-command serve --protocol length --max-output 1000000"""),
        _("""\
CAUTION: the server runs any command from anyone who can reach this address, with the rights of this
program. There is no login. Keep it inside a lab, or restrict the address with --host."""),
        _("""\
A command ends when its time limit (--timeout) or output limit (--max-output) is reached, or when its
client leaves. It is killed with all its descendants, including those that called setsid or became
daemons. Background processes of a command that has ended are killed too. The only exception is a
process that has both cleared its environment and lost its parent: it may live until no other command
is running. All processes end with the server, even if it is killed."""),
        _("A client that shuts down its sending side has one more second to receive its answer."),
    )


def run() -> str:
    return paragraphs(
        _("""\
Runs one command or, if none is given, each line of standard input; on a terminal it prompts."""),
        _("""\
  lab-command run server ls -l /etc          one command; put options before the host
  lab-command run server 'du -s * | sort -n' quotes, so that the pipe is in the remote shell
  printf 'hostname\\nuptime\\n' | lab-command run server
  lab-command run --protocol raw --recv-size 1024 server   like a naive client: one recv per answer"""),
        _("""\
Output appears on stdout and stderr as it arrives, byte for byte. Answers of the protocols header and
frame are verified by their digest."""),
        _("""\
The exit code is that of the remote command (128 + n if signal n ended it), or that of the first
command that failed. The protocols raw and length don't transmit it, so it is 0. The exit codes of
lab-command itself are listed below."""),
    )


def exit_codes(*, remote: bool = False) -> str:
    """``remote``: of the client, whose exit code may also be the remote command's."""
    text = _("""\
exit codes:
  0  ok
  1  the peer or a check failed: connection lost, wrong digest, output cut off
  2  wrong usage
  3  environment: can't bind, no route, unknown host
  4  timeout
130  interrupted""")
    return f"{text}\n" + (_("--json distinguishes them from the remote command's.") if remote else "")
