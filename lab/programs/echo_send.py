"""The asking side of lab-echo."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator

from lab.programs.console import (
    USAGE,
    Console,
    Failure,
    allow_descriptors,
    describe,
    exit_code,
    input_lines,
)
from lab.programs.load_generator import LoadGenerator, Stats
from lab.protocols.echo import HELLO_LIMIT, HELLO_TEXT, QUIT, Answer, as_message
from lab.sockets import blocking
from lab.sockets.blocking import Stream
from lab.sockets.deadline import Deadline

ANSWER_LIMIT = 65_536  # bytes of an answer to hello
STAYS_OPEN = 1.0  # seconds that a server may take to close after its answer to hello


def send(options: argparse.Namespace) -> None:
    """Sends what the options say. Raises Failure, OSError, ProtocolError."""
    console = Console(as_json=options.json)
    if options.connections is not None:
        send_load(console, options)
    elif options.mode == "hello":
        say_hello(console, options)
    else:
        for text in options.text:
            as_message(text)  # all of them can be sent, or none is
        with blocking.connect(options.host, options.port, options.timeout) as stream:
            ask(console, stream, options)


def say_hello(console: Console, options: argparse.Namespace) -> None:
    """Sends one text and prints the answer: all that comes until the server closes."""
    text = as_message(" ".join(options.text) if options.text else HELLO_TEXT)
    if len(text) > HELLO_LIMIT:
        raise Failure(f"the text has {len(text)} bytes; the server reads at most {HELLO_LIMIT}", USAGE)
    with blocking.connect(options.host, options.port, options.timeout) as stream:
        stream.sendall(text, Deadline(options.timeout))
        answer = receive_hello(stream, Deadline(options.timeout)).decode(errors="backslashreplace")
    if not answer:
        raise Failure("the server closed the connection without an answer")
    console.say("answer", answer, text=answer, peer=stream.peer)


def receive_hello(stream: Stream, deadline: Deadline) -> bytes:
    """All that comes until the server closes; a server that stays open after its answer is forgiven."""
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
        deadline = Deadline(STAYS_OPEN)
    return answer


def ask(console: Console, stream: Stream, options: argparse.Namespace) -> None:
    """Sends each text, and prints its answer before the next one is sent."""
    for text in options.text or lines():
        if text == QUIT:
            break
        stream.sendall(as_message(text), Deadline(options.timeout))
        answer = receive_answer(stream, Answer(options.mode, text), Deadline(options.timeout))
        console.say("answer", answer, sent=text, text=answer)
    if options.mode == "reverse":
        stream.sendall(QUIT.encode(), Deadline(options.timeout))


def receive_answer(stream: Stream, answer: Answer, deadline: Deadline) -> str:
    """The whole answer to one message. Raises RemoteProtocolError where it is another one."""
    while not answer.received(stream.recv(deadline=deadline)):
        pass
    return answer.text


def lines() -> Iterator[str]:
    """The messages on standard input, a line each."""
    for text in input_lines():
        if text:
            yield text
        else:
            print("lab-echo: an empty line isn't sent: TCP would send nothing", file=sys.stderr)


def send_load(console: Console, options: argparse.Namespace) -> None:
    """Many connections at once, and one line about what became of them."""
    if options.text:
        raise Failure("--connections makes its own messages: leave TEXT out", USAGE)
    if options.mode == "hello" and options.messages > 1:
        raise Failure("hello has one message: leave --messages out", USAGE)
    allow_descriptors(options.connections)
    stats = asyncio.run(talk(options))
    console.say("load", stats.summary(), **stats.fields())
    if stats.failures:
        first = stats.failures[0]
        raise Failure(f"{len(stats.failures)} failed, the first: {describe(first)}", exit_code(first))


async def talk(options: argparse.Namespace) -> Stats:
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
