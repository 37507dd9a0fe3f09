"""The client of lab-echo."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lab.locale import _
from lab.programs.console import (
    USAGE,
    Console,
    Failure,
    allow_descriptors,
    describe,
    exit_code,
    input_lines,
)
from lab.protocols.echo import HELLO_LIMIT, HELLO_TEXT, QUIT, Answer, as_message
from lab.sockets import blocking
from lab.sockets.blocking import Stream
from lab.sockets.deadline import Deadline

if TYPE_CHECKING:
    from lab.programs.load_generator import Stats

ANSWER_LIMIT = 65_536  # bytes of an answer to hello
CLOSE_TIMEOUT = 1.0  # seconds that a server may take to close after its answer to hello


def send(options: argparse.Namespace) -> None:
    """Carries out ``options``. Raises Failure, OSError, ProtocolError."""
    console = Console(as_json=options.json)
    if options.connections is not None:
        send_load(console, options)
    elif options.mode == "hello":
        say_hello(console, options)
    else:
        for text in options.text:
            as_message(text)  # checks all of them before the first is sent
        with blocking.connect(options.host, options.port, options.timeout) as stream:
            ask(console, stream, options)


def say_hello(console: Console, options: argparse.Namespace) -> None:
    """Sends one text and prints the answer: all data up to the end of the stream."""
    text = as_message(" ".join(options.text) if options.text else HELLO_TEXT)
    if len(text) > HELLO_LIMIT:
        what = _("the text has {size} bytes, but the server reads at most {limit}")
        raise Failure(what.format(size=len(text), limit=HELLO_LIMIT), USAGE)
    with blocking.connect(options.host, options.port, options.timeout) as stream:
        stream.sendall(text, Deadline(options.timeout))
        answer = receive_hello(stream, Deadline(options.timeout)).decode(errors="backslashreplace")
    if not answer:
        raise Failure(_("the server closed the connection without an answer"))
    console.say("answer", answer, text=answer, peer=stream.peer)


def receive_hello(stream: Stream, deadline: Deadline) -> bytes:
    """All data until the server closes, or until CLOSE_TIMEOUT after the first data."""
    answer = b""
    while len(answer) < ANSWER_LIMIT:
        try:
            chunk = stream.recv(ANSWER_LIMIT - len(answer), deadline)
        except TimeoutError:
            if not answer:
                raise
            break
        if not chunk:
            break
        answer += chunk
        deadline = deadline.or_earlier(CLOSE_TIMEOUT)
    return answer


def ask(console: Console, stream: Stream, options: argparse.Namespace) -> None:
    """Sends each text and prints its answer before it sends the next."""
    for text in options.text or lines():
        if text == QUIT:
            break
        stream.sendall(as_message(text), Deadline(options.timeout))
        answer = receive_answer(stream, Answer(options.mode, text), Deadline(options.timeout))
        console.say("answer", answer, sent=text, text=answer)
    if options.mode == "reverse":
        stream.sendall(QUIT.encode(), Deadline(options.timeout))


def receive_answer(stream: Stream, answer: Answer, deadline: Deadline) -> str:
    """The complete answer to one message. Raises RemoteProtocolError if it is wrong."""
    while not answer.received(stream.recv(deadline=deadline)):
        pass
    return answer.text


def lines() -> Iterator[str]:
    """The messages on standard input, one per line."""
    for text in input_lines():
        if text:
            yield text
        else:
            print(_("lab-echo: an empty line isn't sent: TCP would send nothing"), file=sys.stderr)


def send_load(console: Console, options: argparse.Namespace) -> None:
    """Opens many connections at once and prints one line about the result."""
    if options.text:
        raise Failure(_("--connections generates its own messages: omit TEXT"), USAGE)
    if options.mode == "hello" and options.messages > 1:
        raise Failure(_("hello has only one message: omit --messages"), USAGE)
    allow_descriptors(options.connections)
    stats = generated_load(options)
    console.say("load", stats.summary(), **stats.fields())
    if stats.failures:
        first = stats.failures[0]
        text = _("{count} failed, the first: {error}")
        raise Failure(text.format(count=len(stats.failures), error=describe(first)), exit_code(first))


def generated_load(options: argparse.Namespace) -> Stats:
    import asyncio  # takes longer than everything that one connection needs

    from lab.programs.load_generator import LoadGenerator

    async def talk() -> Stats:
        load = LoadGenerator(
            options.host,
            options.port,
            options.mode,
            connections=options.connections,
            messages=options.messages,
            hold=options.hold,
            timeout=options.timeout,
        )
        return await load.run()

    return asyncio.run(talk())
