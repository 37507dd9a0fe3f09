"""Access to parts of paramiko that aren't public: one function or class each, with its upstream issue."""

from __future__ import annotations

import threading
from typing import Any

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST, cMSG_CHANNEL_REQUEST
from paramiko.message import Message


def _handle_request(channel: Any, message: Message) -> None:
    start = message.packet.tell()
    if message.get_text() == "exit-signal":
        message.get_boolean()
        channel.exit_signal = message.get_text()
        return
    message.packet.seek(start)
    channel._handle_request(message)


class SignalTransport(paramiko.Transport):
    """A transport that keeps the exit signal of a command (RFC 4254, section 6.10); paramiko discards it.

    Upstream: paramiko/paramiko#598; #2517 is the open pull request.
    """

    _channel_handler_table = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]  # private: no stub
        MSG_CHANNEL_REQUEST: _handle_request,
    }


def exit_signal(channel: paramiko.Channel) -> str | None:
    """The name of the signal that ended the command, without SIG, on a channel of a SignalTransport."""
    return getattr(channel, "exit_signal", None)


def send_signal(channel: paramiko.Channel, name: str) -> None:
    """Sends a signal to the command (RFC 4254, section 6.9). Upstream: paramiko/paramiko#203, open.

    Does nothing on a closed channel: sshd would close the connection, with everything that runs on it.
    """
    message = Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("signal")
    message.add_boolean(False)
    message.add_string(name)
    transport: Any = channel.transport
    with channel.lock:  # paramiko holds it while it closes the channel
        if not channel.closed:
            transport._send_user_message(message)


class OutputEvent(threading.Event):
    """Set if a channel has new output, on stdout or stderr, or is closed.

    select() on the channel isn't reliable: both streams share a pipe, and wake-ups are lost.
    Upstream: paramiko/paramiko#1235, open.
    """

    def __init__(self, channel: paramiko.Channel) -> None:
        super().__init__()
        channel.in_buffer.set_event(self)
        channel.in_stderr_buffer.set_event(self)

    def clear(self) -> None:
        """Does nothing. Paramiko calls it when one stream is empty, but the other may have output."""

    def reset(self) -> None:
        """Clears the event. The reader calls it before it reads."""
        super().clear()
