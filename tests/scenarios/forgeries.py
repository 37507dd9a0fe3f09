"""What can go wrong in each scenario, as a change of its record that the check must reject.

Each forgery names a part of the assertion that must reject it. The part identifies one assertion of the
check; a rejection by another assertion is a failure.
"""

from collections.abc import Callable
from typing import Any

Record = dict[str, Any]
Forge = Callable[[Record], object]


def put(path: str, value: Any) -> Forge:
    """A forgery that sets one value: ``put("first.exit_code", 1)``; numbers in the path count in lists."""

    def forge(record: Record) -> None:
        place: Any = record
        *parents, last = [int(word) if word.isdigit() else word for word in path.split(".")]
        for word in parents:
            place = place[word]
        place[last] = value

    return forge


# Values that differ from run to run: a slightly different one is also possible, so the check accepts it. An
# absurd one must still be rejected. Each path (`*` is any key) has its reason.
VARYING: dict[str, dict[str, str]] = {
    "async-echo": {"server_peak_memory": "measured, in bytes"},
    "blocking": {
        "broken.unread": "bytes in the receive queue: the message, and possibly the end of the stream"
    },
    "both-send": {
        "broken.arrived": "two sums without an order",
        "broken.arrived.*": "how much the kernel's buffers hold",
    },
    "connect-errors": {"*.diagnosis.*": "sentences, of which the check reads the cause"},
    "compose-project": {
        "start": "the count of earlier visits",
        "visits.*": "the numbers after it",
    },
    "happy-eyeballs": {"*.seconds": "measured, in seconds"},
    "load-balancer": {"after.again.late": "the number of requests for the server without power"},
    "file-resume": {
        "resumed_from.0": "where the cut fell",
        "bytes_sent.*": "where the cut fell, and the size of the headers",
    },
    "nagle": {"broken.held_ms": "measured, in milliseconds"},
    "one-recv": {"broken.received": "what had arrived when recv() was called"},
    "remote-session": {"first.answers.3": "the error message of ls, of which the check reads the path"},
    "reset-on-close": {"broken.received": "what had arrived before the reset"},
    "slow-loris": {"*.trickled": "how many bytes were sent before the deadline"},
    "sticky-packets": {
        "broken.answers.1": "how much of the rest one recv() returned",
        "broken.alone": "the rest past what was received",
    },
    "udp-reliable": {
        "sent": "how often the link lost a packet",
        "lost": "how often the link lost a packet",
        "duplicated": "how often the link duplicated a packet",
    },
    "windows-command": {"typed": "the white space at its end", "piped": "the white space at its end"},
    "windows-names": {"refused.*.1": "the wording of the error", "stored": "the order of a listing"},
}

FORGERIES: dict[str, dict[str, tuple[Forge, str]]] = {
    "tcp-hello": {
        "the server spoke before anybody came": (
            put("events_before", ["listening", "connected"]),
            'record["events_before"]',
        ),
        "the server heard it twice": (
            lambda r: r["server_heard"].append(r["server_heard"][0]),
            'record["server_heard"]',
        ),
        "the answer came back as what was sent": (
            lambda r: r.update(client_heard=r["server_heard"]),
            'record["client_heard"]',
        ),
        "the answer was cut within a character": (
            put("client_heard", ["我是服务"]),
            'record["client_heard"]',
        ),
        "nothing listened": (put("state_before", "CLOSE-WAIT"), 'record["state_before"]'),
        "the client failed with the right text": (put("exit_codes.0", 1), 'record["exit_codes"]'),
    },
    "reverse-echo": {
        "reversed by bytes": (put("first.1", "\ufffd水来自海"), 'record["first"]'),
        "the answers came in another order": (lambda r: r["first"].reverse(), 'record["first"]'),
        "two answers stuck together": (lambda r: r.update(first=["".join(r["first"])]), 'record["first"]'),
        "the second client was served by another server": (put("servers", 2), 'record["servers"]'),
        "both clients in one session": (put("sessions", [4]), 'record["sessions"]'),
    },
    "upper-threads": {
        "the threads served one by one": (put("threaded.at_once", 1), 'record["threaded"]["at_once"]'),
        "the iterative server served two at once": (
            put("blocking.at_once", 2),
            'record["blocking"]["at_once"]',
        ),
        "one client too few": (put("threaded.opened", 49), 'record[io_model]["opened"]'),
        "one answer was another client's": (put("blocking.failures", 1), 'record[io_model]["failures"]'),
        "an answer is missing": (put("threaded.answered", 99), 'record[io_model]["answered"]'),
    },
    "async-echo": {
        "one connection was closed before the last was open": (put("at_once", 999), 'record["at_once"]'),
        "an answer is missing": (put("answered", 2999), 'record["answered"]'),
        "threads after all": (put("server_threads", 2), 'record["server_threads"]'),
        "memory grew with the connections": (
            put("server_peak_memory", 1 << 30),
            '0 < record["server_peak_memory"] < MAX_MEMORY',
        ),
        "no memory was measured": (
            put("server_peak_memory", 0),
            '0 < record["server_peak_memory"] < MAX_MEMORY',
        ),
    },
    "udp-notice": {
        "the sender learned of the missing receiver": (
            put("early_exit_code", 1),
            'record["early_exit_code"]',
        ),
        "the early datagram was kept for later": (
            lambda r: r["bound"]["texts"].insert(0, "too early"),
            'notice["texts"]',
        ),
        "the datagram came twice": (
            lambda r: r["bound"]["texts"].append(r["bound"]["texts"][0]),
            'notice["texts"]',
        ),
        "the router translated the port": (put("bound.came_from", [40_000]), 'notice["came_from"]'),
        "the router translated the address": (put("ephemeral.sender", ["172.28.66.2"]), 'notice["sender"]'),
    },
    "udp-echo": {
        "the empty datagram never came back": (put("answers.0", []), 'record["answers"]'),
        "a fragment was lost": (put("answers.3", [1472]), 'record["answers"]'),
        "a datagram was cut in two": (put("answers.4", [60_000, 5_507]), 'record["answers"]'),
        "65,508 bytes were sent": (put("too_long_exit_code", 0), 'record["too_long_exit_code"]'),
        "the wrong error": (put("too_long_error", "EPERM"), 'record["too_long_error"]'),
    },
    "remote-command": {
        "the command ran here instead of there": (
            put("server_address", "192.168.40.129"),
            "f\" {record['server_address']}/24 \"",
        ),
        "the end of the output is missing": (put("many", "0" * 64), 'record["many"]'),
        "neither end had any output": (
            lambda r: r.update(many="", many_there=""),
            'len(record["many_there"])',
        ),
        "a failing command looks like success": (put("failing", [0, ""]), 'record["failing"]'),
        "stderr was mixed into stdout": (
            put("complaint", ["ls: cannot access '/nowhere'\n", False, 2]),
            'record["complaint"]',
        ),
        "the deadline killed only the shell": (put("left_running", ["4711"]), 'record["left_running"]'),
        "the endless command was waited for": (put("endless", ["begun\n", 0]), 'record["endless"]'),
    },
    "remote-session": {
        "an answer stuck to the next": (
            lambda r: r["first"]["answers"].insert(1, ""),
            'len(record["first"]["answers"])',
        ),
        "the silent command answered": (put("first.answers.2", "\n"), "silent"),
        "the long answer was cut at one recv": (
            lambda r: r["first"]["answers"].__setitem__(1, r["long"][:1024]),
            'long == record["long"]',
        ),
        "exit was sent to the shell": (lambda r: r["carried_out"].append("exit"), 'record["carried_out"]'),
        "the server didn't accept again": (put("second.answers", []), 'record["second"]["answers"]'),
    },
    "file-transfer": {
        "a digest differs on the server": (put("stored.large", "0" * 64), 'record["stored"]'),
        "a name was garbled": (
            lambda r: r["stored"].update({"??/??.txt": r["stored"].pop("目录/文件.txt")}),
            'record["stored"]',
        ),
        "a partial file was left behind": (
            lambda r: r["stored"].update({".large.part": "0" * 64}),
            'record["stored"]',
        ),
        "nothing came back": (put("fetched", {}), 'record["fetched"]'),
        "all files became the same": (
            lambda r: [
                r[side].update(dict.fromkeys(r[side], "0" * 64)) for side in ("sent", "stored", "fetched")
            ],
            'len(set(record["sent"].values()))',
        ),
        "the empty file isn't empty": (put("sizes.0", 1), 'record["sizes"]'),
        "the executable bit is lost": (put("mode.1", "644\n"), 'record["mode"]'),
    },
    "ssh-peer": {
        "SSH let the impostor in": (put("impostor", ["win10\n", 0, False]), 'record["impostor"]'),
        "SSH failed, but for another reason": (put("impostor.2", False), 'record["impostor"]'),
        "the copy differs": (
            put("digest_there", "0" * 64),
            'record["digest_here"] == record["digest_there"]',
        ),
        "both digests are empty": (
            lambda r: r.update(digest_here="", digest_there=""),
            'len(record["digest_here"])',
        ),
        "SSH lost the exit code": (put("ssh.2", 0), 'record["ssh"]'),
    },
    "connect-errors": {
        "the broken one tells them apart": (
            lambda r: r["broken"].update(said=r["fixed"]["said"]),
            'record["said"]',
        ),
        "it failed in another way": (
            put("broken.said.3", "NameError: name 'socket' is not defined"),
            'record["said"]',
        ),
        "refused, and the fixed one saw a timeout": (put("fixed.said.0", "ETIMEDOUT"), 'record["said"]'),
        "one attempt too few": (lambda r: r["fixed"]["said"].pop(), 'record["said"]'),
        "the diagnosis says nothing": (
            put("fixed.diagnosis", ["", ""]),
            '"was answered with RST, because nothing listen"',
        ),
        "the same cause twice": (
            lambda r: put("broken.diagnosis.0", r["broken"]["diagnosis"][1])(r),
            '"was answered with RST, because nothing listen"',
        ),
        "a SYN came through the partition": (
            lambda r: put(
                "broken.diagnosis.1",
                r["broken"]["diagnosis"][1].replace("none left it", "one left it"),
            )(r),
            '"to win10:8001: they reached the router and none left it"',
        ),
        "no router answered": (
            lambda r: put(
                "fixed.diagnosis.1",
                r["fixed"]["diagnosis"][1].replace("10.99.99.99 is no host of the lab", "nobody answered"),
            )(r),
            '"10.99.99.99 is no host of the lab"',
        ),
    },
    "udp-reliable": {
        "a request was carried out twice": (
            lambda r: r["carried_out"].append(r["carried_out"][-1]),
            'record["carried_out"]',
        ),
        "a request was never carried out": (lambda r: r["carried_out"].pop(), 'record["carried_out"]'),
        "an answer was taken for another's": (
            lambda r: put("answers.1", r["answers"][0])(r),
            'record["answers"]',
        ),
        "an answer came twice": (lambda r: r["answers"].append(r["answers"][-1]), 'record["answers"]'),
        "the link lost nothing": (put("lost", 0), 'record["lost"] > 0'),
        "what was lost wasn't sent again": (put("sent", 30), 'record["sent"]'),
        "one request was given up": (put("exit_codes.0", 4), 'record["exit_codes"]'),
    },
    "file-resume": {
        "it was sent from the start again": (
            put("resumed_from", [0]),
            "resumed_from >= SIZE // 4 - (2 << 20)",
        ),
        "the bytes before the cut were sent again": (
            put("bytes_sent.1", 32 << 20),
            'rest <= record["bytes_sent"][1] < rest + (1 << 20)',
        ),
        "half a file was shown between": (put("visible_between", ["resumed"]), 'record["visible_between"]'),
        "the cut went unnoticed": (put("first_exit_code", 0), 'record["first_exit_code"]'),
        "the files differ": (put("stored", "0" * 64 + "  -\n"), 'record["sent"] == record["stored"]'),
        "both digests are empty": (lambda r: r.update(sent="", stored=""), 'len(record["sent"])'),
        "only one connection was seen": (lambda r: r["bytes_sent"].pop(), 'len(record["bytes_sent"])'),
    },
    "one-recv": {
        "one recv was enough": (put("broken.received", 1 << 20), '0 < record["received"] < SIZE'),
        "one recv got nothing": (put("broken.received", 0), '0 < record["received"] < SIZE'),
        "the broken one was told": (put("broken.exit_code", 1), 'record["exit_code"]'),
        "the length was cut": (put("broken.declared", 4096), 'record["declared"]'),
        "the fixed one was cut as well": (put("fixed.received", 14_480), "record == {"),
        "the fixed one failed": (put("fixed.exit_code", 1), "record == {"),
    },
    "both-send": {
        "it went well without the fix": (put("broken.said", [f"received {4 << 20}"] * 2), 'record["said"]'),
        "only one end was stuck": (put("broken.said.1", f"received {4 << 20}"), 'record["said"]'),
        "no receive buffer was full": (put("broken.full", [False, False]), 'record["full"]'),
        "nothing arrived at all": (
            put("broken.arrived", [0, 0]),
            '[0 < arrived < SIZE for arrived in record["arrived"]]',
        ),
        "the fix lost bytes": (put("fixed.said.0", f"received {(4 << 20) - 1}"), 'record["said"]'),
        "the fixed one was stuck": (put("fixed.said.1", "stuck in sendall"), 'record["said"]'),
    },
    "half-open": {
        "the broken one was told": (put("broken.said", ["ETIMEDOUT"]), 'record["said"]'),
        "the broken one has a timer": (put("broken.timer", "keepalive"), 'record["timer"]'),
        "its connection has gone": (put("broken.socket.1", "is gone"), 'record["socket"]'),
        "keepalive noticed nothing": (
            lambda r: r["fixed"].update(said=[], socket=["ESTABLISHED", "lasts"]),
            'record["said"]',
        ),
        "the fixed one was told by something else": (put("fixed.timer", ""), 'record["timer"]'),
        "the peer said goodbye": (put("fixed.peer_closed", True), 'record["peer_closed"]'),
    },
    "udp-mtu": {
        "the large datagram wasn't cut": (put("broken.fragments", [1]), 'record["fragments"]'),
        "it arrived without its second fragment": (put("broken.heard", [4000]), 'record["heard"]'),
        "nothing was lost": (put("broken.packets_lost", 0), 'record["packets_lost"]'),
        "two of the small ones were lost": (put("fixed.heard", [1000, 1000]), 'record["heard"]'),
        "none of the small ones was lost": (put("fixed.heard", [1000] * 4), 'record["heard"]'),
        "the small ones were cut too": (put("fixed.fragments.0", 2), 'record["fragments"]'),
    },
    "reset-on-close": {
        "all of the answer came in spite of the reset": (
            put("broken.received", 1 << 19),
            '0 < record["received"] < SIZE',
        ),
        "the client saw a clean end": (put("broken.client_said", "the end"), 'record["client_said"]'),
        "the client was the one who reset it": (put("broken.reset_by", "kali"), 'record["reset_by"]'),
        "the drained one was cut as well": (put("fixed.received", 205_000), 'record["received"]'),
        "the drained one was reset in the end": (put("fixed.reset_by", "win10"), 'record["reset_by"]'),
        "sendall failed already": (put("broken.server_said", []), 'record["server_said"]'),
    },
    "bind-loopback": {
        "the other host got through": (put("broken.from_the_other", ["欢迎"]), 'record["from_the_other"]'),
        "it failed on its own host too": (
            put("broken.on_its_own_host", ["ConnectionRefusedError"]),
            'record["on_its_own_host"]',
        ),
        "nobody refused it; it was silence": (put("broken.handshake", "unanswered"), 'record["handshake"]'),
        "it listened everywhere": (put("broken.listens_on", "0.0.0.0:7011"), 'record["listens_on"]'),
        "the fixed one refuses still": (
            put("fixed.from_the_other", ["ConnectionRefusedError"]),
            'record["from_the_other"]',
        ),
    },
    "address-in-use": {
        "the restart went well without the option": (
            put("broken.second_start", ""),
            'record["second_start"]',
        ),
        "the restart failed for another reason": (
            put("broken.second_start", "PermissionError: [Errno 13] Permission denied"),
            'record["second_start"]',
        ),
        "the client closed first": (put("broken.left_behind", []), 'record["left_behind"]'),
        "the first server still ran": (put("broken.left_behind.0.0", "CLOSE_WAIT"), 'record["left_behind"]'),
        "the second server served nobody": (
            lambda r: r["fixed"]["clients_heard"].pop(),
            'record["clients_heard"]',
        ),
        "it went well because no TIME_WAIT was left": (put("fixed.left_behind", []), 'record["left_behind"]'),
    },
    "udp-refused": {
        "the unconnected socket was told": (put("broken.said.1", "ConnectionRefusedError"), 'record["said"]'),
        "the connected one wasn't": (put("fixed.said.1", "TimeoutError"), 'record["said"]'),
        "sending failed": (lambda r: r["broken"]["said"].pop(0), 'record["said"]'),
        "no ICMP came: it is no wonder that nobody was told": (
            put("broken.network_said", ["", ""]),
            'record["network_said"]',
        ),
        "the router complained, not the host": (
            put("fixed.network_said.1", "router"),
            'record["network_said"]',
        ),
    },
    "send-after-close": {
        "the first send failed already": (put("broken.said", []), 'record["said"]'),
        "the second send succeeded as well": (
            lambda r: r["broken"]["said"].append("sent two"),
            'record["said"]',
        ),
        "another error": (put("broken.error", ["TimeoutError: timed out"]), 'record["error"]'),
        "no packet of the server said so": (put("broken.reset_by", ""), 'record["reset_by"]'),
        "the one who listens sent all the same": (
            lambda r: r["fixed"]["said"].insert(0, "sent"),
            'record["said"]',
        ),
        "the one who listens was reset": (put("fixed.reset_by", "win10"), 'record["reset_by"]'),
    },
    "udp-overrun": {
        "the buffer held all of them": (
            lambda r: r["broken"].update(heard=300, overruns=0),
            '0 < record["heard"] < COUNT',
        ),
        "some were lost on the link": (
            put("broken.arrived_unread", 290),
            '[record["exit_code"], record["arrived_unread"]]',
        ),
        "some are missing and nobody counted them": (
            lambda r: r["broken"].update(overruns=0),
            'record["overruns"]',
        ),
        "nothing was heard at all": (
            lambda r: r["broken"].update(heard=0, overruns=300),
            '0 < record["heard"] < COUNT',
        ),
        "the sender was told": (
            put("broken.exit_code", 1),
            '[record["exit_code"], record["arrived_unread"]]',
        ),
        "it didn't wait for an answer": (
            put("fixed.arrived_unread", 300),
            '[record["exit_code"], record["arrived_unread"]]',
        ),
        "one was lost in spite of the answers": (
            lambda r: r["fixed"].update(heard=299, overruns=1),
            '[record["heard"], record["overruns"]]',
        ),
    },
    "sticky-packets": {
        "the first answer came whole": (
            lambda r: put("broken.answers.0", r["fixed"]["answers"][0])(r),
            'first == long[:1024].decode("gbk", errors="replace")',
        ),
        "the second answer was right": (put("broken.answers.1", "done\n"), "rest.startswith(second)"),
        "the second recv read nothing": (put("broken.answers.1", ""), '[answer != "" for answer'),
        "the frames were cut too": (
            lambda r: put("fixed.answers.0", r["broken"]["answers"][0])(r),
            "len(long)",
        ),
        "the frames stuck together": (
            lambda r: r["fixed"].update(answers=["".join(r["fixed"]["answers"])]),
            'record["answers"][1:]',
        ),
    },
    "split-character": {
        "the text was decoded": (
            lambda r: r["broken"].update(r["fixed"]),
            "error.startswith(\"UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe5 in position 1023\")",
        ),
        "the bytes were garbage, not cut": (
            put(
                "broken.error",
                "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe5 in position 1023: bad",
            ),
            'error.endswith("unexpected end of data")',
        ),
        "the cut fell between two characters": (
            put("broken.error", ""),
            "error.startswith(\"UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe5 in position 1023\")",
        ),
        "the decoder garbled": (
            lambda r: put("fixed.text", r["fixed"]["text"].replace("字", "\ufffd", 1))(r),
            "record == {",
        ),
        "the decoder lost the last character": (
            lambda r: put("fixed.text", r["fixed"]["text"][:-1])(r),
            "record == {",
        ),
    },
    "empty-message": {
        "the empty message was answered": (put("broken.answers", ["hello", "", "bye"]), 'record["answers"]'),
        "the server closed": (put("broken.error", ["ConnectionResetError: [Errno 104]"]), 'record["error"]'),
        "something was sent for it": (put("broken.bytes.0", 6), 'record["bytes"]'),
        "the empty message wasn't answered": (
            lambda r: r["fixed"]["answers"].remove(""),
            'record["answers"]',
        ),
        "the empty message was sent without its end": (put("fixed.bytes.0", 10), 'record["bytes"]'),
        "UDP sent nothing either": (put("fixed.udp", "[b'hello', b'bye']"), 'record["udp"]'),
    },
    "eof-spin": {
        "it rested": (put("broken.said.1", "exit status 0"), 'record["said"]'),
        "it was stopped from outside": (put("broken.said.1", "exit status 143"), 'record["said"]'),
        "the client kept it busy": (put("broken.bytes", 1_000_000), 'record["bytes"]'),
        "the server closed first": (put("broken.closed_first", "win10"), 'record["closed_first"]'),
        "the fixed one span as well": (put("fixed.said.1", "exit status 152"), 'record["said"]'),
        "the fixed one never heard the message": (lambda r: r["fixed"]["said"].pop(0), 'record["said"]'),
    },
    "partial-send": {
        "one send took all": (
            lambda r: r["broken"].update(returned=str(1 << 20), received=1 << 20),
            '0 < record["received"] < SIZE',
        ),
        "send claimed more than arrived": (put("broken.returned", str(1 << 20)), 'record["returned"]'),
        "nothing arrived": (
            lambda r: r["broken"].update(returned="0", received=0),
            '0 < record["received"] < SIZE',
        ),
        "send failed aloud": (put("broken.exit_code", 1), 'record["exit_code"]'),
        "sendall lost the end": (put("fixed.received", (1 << 20) - 1), 'record["received"] == SIZE'),
    },
    "gbk-console": {
        "UTF-8 read it": (lambda r: r.update(broken=r["fixed"]), 'record["shown"]'),
        "it was cut, not in another encoding": (
            put(
                "broken.error",
                "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xbe: unexpected end of data",
            ),
            're.fullmatch(error, record["error"])',
        ),
        "it was only shown as it is": (put("broken.shown", "replaced: 拒绝访问\n"), 'record["shown"]'),
        "the fixed one is garbled": (
            lambda r: put("fixed.shown", r["broken"]["shown"])(r),
            'record["shown"]',
        ),
        "the header named a codec that nobody has": (
            put("fixed.error", "LookupError: unknown encoding: cp0"),
            'record["error"]',
        ),
    },
    "nagle": {
        "the body wasn't held back": (put("broken.held_ms", 1), 'record["held_ms"]'),
        "header and body went together anyway": (put("broken.pieces", [104]), 'record["pieces"]'),
        "the fixed one writes twice": (
            lambda r: r["fixed"].update(pieces=[4, 100], held_ms=44),
            'record["pieces"]',
        ),
        "an answer is missing": (put("broken.answers", 19), 'record["answers"]'),
        "nothing was asked": (put("fixed.answers", 0), 'record["answers"]'),
    },
    "backlog": {
        "the third got in": (lambda r: r["broken"].update(r["fixed"]), 'record["clients"]'),
        "the third was refused": (put("broken.handshakes.2", "refused"), 'record["handshakes"]'),
        "its SYN never reached the server": (put("broken.syn_arrived", False), 'record["syn_arrived"]'),
        "the queue was empty": (put("broken.in_the_queue", 0), 'record["in_the_queue"]'),
        "the server that accepts lost one": (put("fixed.clients.2", "TimeoutError"), 'record["clients"]'),
    },
    "blocking": {
        "the polite one was served": (put("broken.answer", ["HELLO"]), 'record["answer"]'),
        "the server accepted both": (put("broken.accepted", 2), 'record["accepted"]'),
        "its message never arrived, or was read": (put("broken.unread", 0), 'record["unread"]'),
        "its connection alone arrived, and the end of it": (put("broken.unread", 1), 'record["unread"]'),
        "the threads block too": (put("fixed.answer", ["TimeoutError"]), 'record["answer"]'),
        "the silent one had gone": (put("fixed.accepted", 1), 'record["accepted"]'),
    },
    "slow-loris": {
        "the honest one was served after all": (put("broken.answer", "HELLO"), 'record["answer"]'),
        "a recv took too long, and its thread was free": (
            put("broken.thrown_out", True),
            'record["thrown_out"]',
        ),
        "they were silent, not slow": (put("broken.trickled", 1), 'record["trickled"]'),
        "the deadline didn't help": (
            put("fixed.answer", "TimeoutError: timed out"),
            '[record["answer"], record["thrown_out"]]',
        ),
        "the slow ones left by themselves": (
            put("fixed.thrown_out", False),
            '[record["answer"], record["thrown_out"]]',
        ),
    },
    "broadcast": {
        "the other segment heard it": (put("broken.win10_heard", ["谁在？"]), 'record["win10_heard"]'),
        "nobody heard it": (put("broken.router_heard", []), 'record["router_heard"]'),
        "the router passed it on": (put("broken.passed.servers", 1), 'record["passed"]'),
        "it was never sent": (put("broken.passed.clients", 0), 'record["passed"]'),
        "unicast was lost": (put("fixed.win10_heard", []), 'record["win10_heard"]'),
        "unicast went to everybody": (put("fixed.router_heard", ["谁在？"]), 'record["router_heard"]'),
        "it came twice": (put("fixed.passed.servers", 2), 'record["passed"]'),
    },
    "time-wait": {
        "nothing piled up": (put("broken.time_wait.kali", 0), 'record["time_wait"]'),
        "it piled up on the server": (
            put("broken.time_wait", {"kali": 0, "win10": 250}),
            'record["time_wait"]',
        ),
        "the server closed some of them first": (
            put("broken.closed_first", ["kali", "win10"]),
            'record["closed_first"]',
        ),
        "they were fewer connections": (put("broken.connections", 249), 'record["connections"]'),
        "the connection wasn't used again": (
            lambda r: r["fixed"].update(r["broken"]),
            'record["connections"]',
        ),
        "an answer is missing": (put("fixed.answers", 249), 'record["answers"]'),
    },
    "no-auth": {
        "the broken server asked": (put("broken.anybody", "refused\n"), 'record["anybody"]'),
        "the owner was refused too": (put("fixed.answers.owner", "refused\n"), 'record["answers"]'),
        "a stranger's guess was taken": (put("fixed.answers.stranger", "win10\n"), 'record["answers"]'),
        "what was overheard was taken": (put("fixed.answers.eavesdropper", "win10\n"), 'record["answers"]'),
        "the challenge was used again": (put("fixed.new_challenge", False), 'record["new_challenge"]'),
        "nobody overheard anything": (
            lambda r: r["fixed"]["answers"].pop("eavesdropper"),
            'record["answers"]',
        ),
    },
    "socket-families": {
        "the IPv4 server took an IPv6 client": (
            put(
                "families.AF_INET.kali",
                "a client of AF_INET gets b'hello'; a client of AF_INET6 gets b'hello'",
            ),
            "families[family]",
        ),
        "the path led to the other host": (
            lambda r: r["families"]["AF_UNIX"].update(kali="", packets="1 packets"),
            "families[family]",
        ),
        "the stream kept its seams": (
            put("families.SOCK_STREAM.win10", "one recv() gives b'ab'"),
            "families[family]",
        ),
        "the datagrams stuck together": (
            put("families.SOCK_DGRAM.win10", "two recv() give b'abcd' b''"),
            "families[family]",
        ),
        "anybody may open a raw socket": (
            lambda r: put(
                "families.SOCK_RAW.kali", r["families"]["SOCK_RAW"]["kali"].replace("EPERM", "protocol 1")
            )(r),
            "families[family]",
        ),
        "the ping passed no router": (
            lambda r: put(
                "families.SOCK_RAW.kali", r["families"]["SOCK_RAW"]["kali"].replace("TTL 63", "TTL 64")
            )(r),
            "families[family]",
        ),
        "the ping was lost": (
            put("families.IPPROTO_ICMP.packets", "ICMP echo request lost the router"),
            "families[family]",
        ),
        "there is another protocol than SCTP": (
            put("families.SOCK_SEQPACKET.kali", "with AF_INET gives protocol 6"),
            "families[family]",
        ),
        "SOCK_RDM is missing": (lambda r: r["families"].pop("SOCK_RDM"), "set(families)"),
    },
    "socket-methods": {
        "nobody refused it before listen()": (
            put("methods.bind.packets", "SYN, SYN ACK"),
            'record["methods"][method]',
        ),
        "the handshake waited for accept()": (
            put("methods.listen.packets", "handshake half"),
            'record["methods"][method]',
        ),
        "a sender without a port of its own": (
            put("methods.accept.win10", "returns a connection from ('kali', 40000)"),
            'record["methods"][method]',
        ),
        "connect() sent one SYN and believed": (
            put("methods.connect.packets", "SYN"),
            'record["methods"][method]',
        ),
        "sendall() took a part": (
            put("methods.sendall.win10", "receives 65536 bytes, SHA-256 fbbab289…"),
            'record["methods"][method]',
        ),
        "the file was another": (
            lambda r: r["methods"]["sendfile"].update(win10=r["methods"]["sendall"]["win10"]),
            'record["methods"][method]',
        ),
        "the timeout came too early": (
            put("methods.settimeout.win10", "recv() raises TimeoutError after 0.1 s"),
            'record["methods"][method]',
        ),
        "the option changed no packet": (
            put("methods.setsockopt.packets", "TTL 64, and 63 past the router"),
            'record["methods"][method]',
        ),
        "the answer came before the FIN": (
            put("methods.shutdown.packets", "kali sends FIN, 9 bytes come back before it"),
            'record["methods"][method]',
        ),
        "shutdown() closed both ways": (
            put("methods.shutdown.kali", "still receives b''"),
            'record["methods"][method]',
        ),
        "detach() closed the connection": (
            put("methods.detach.win10", "receives b'' and the end"),
            'record["methods"][method]',
        ),
        "the lines were cut where the packets were": (
            put("methods.makefile.win10", "readline() gives b'one li' and b'ne\\n'"),
            'record["methods"][method]',
        ),
        "a method is missing": (lambda r: r["methods"].pop("fileno"), 'set(record["methods"])'),
        "a method that nobody knows": (
            lambda r: r["methods"].update(sendmsg={"kali": "returns 5"}),
            'set(record["methods"])',
        ),
    },
    "windows-command": {
        "the bytes are UTF-8": (put("echo", "e4 b8 ad e6 96 87 0d 0a".split()), 'record["echo"]'),
        "lines end as on Linux": (put("echo", "d6 d0 ce c4 0a".split()), 'record["echo"]'),
        "ipconfig speaks of another host": (put("way_out.0", "192.168.40.129"), 'record["way_out"]'),
        "the way out is the machine's": (put("way_out.2", "172.28.66.1"), 'record["way_out"]'),
        "there is no way out": (put("way_out", None), 'record["way_out"]'),
        "the name came back in another encoding": (put("made.0", "璇存槑.txt\r\n"), 'record["made"]'),
        "the pipe was taken for text": (put("piped", ""), 'record["piped"].split()'),
        "the quotes were escaped on the way": (
            put("quoted", '\\"a & b\\" Windows_NT 100% & c\r\n'),
            'record["quoted"]',
        ),
        "a variable wasn't expanded": (put("quoted", '"a & b" %OS% 100% & c\r\n'), 'record["quoted"]'),
        "a failing command looks like success": (put("failing", 0), 'record["failing"]'),
        "stderr was mixed into stdout": (put("missing.stdout", "找不到文件。\r\n"), 'record["missing"]'),
        "the endless command was waited for": (put("endless", 0), 'record["endless"]'),
        "the deadline killed only cmd": (put("left_running", ["4711"]), 'record["left_running"]'),
    },
    "windows-names": {
        "a device was taken for a file": (put("refused.CON", [0, ""]), "exit_code == 1"),
        "refused without its name": (put("refused.a:b", [1, "lab-transfer: Windows refuses"]), "repr(name)"),
        "refused, but not for Windows' sake": (put("refused.what?", [1, "'what?' is too long"]), '"Windows"'),
        "the dot was dropped in silence": (
            lambda r: r["stored"].append("report"),
            'sorted(record["stored"])',
        ),
        "a good name was refused too": (put("taken.console", 1), 'record["taken"]'),
        "a bad name was never tried": (lambda r: r["refused"].pop("com1.log"), 'list(record["refused"])'),
    },
    "same-port": {
        "one host sent nothing": (lambda r: r["broken"]["sent"].pop(), 'record["sent"] == SENT'),
        "the broken one knew the hosts": (put("broken.clients", [["client-1", "5000"]]), 'record["clients"]'),
        "the broken one counted fewer": (put("broken.counts", [8]), 'record["counts"]'),
        "the fixed one counted by address only": (put("fixed.clients.0", ["client-1"]), 'record["clients"]'),
        "the fixed one missed a datagram": (put("fixed.counts.1", 2), 'record["counts"]'),
    },
    "traceroute": {
        "the first router sent no message": (lambda r: r["ours"].pop(0), 'record["ours"]'),
        "the server never answered": (put("ours.2.2", "time exceeded"), 'record["ours"]'),
        "the tool found another path": (put("traceroute", ["far", "near", "server"]), 'record["traceroute"]'),
        "a router didn't subtract one": (put("ttl_on_the_way", [3, 3, 3, 2]), 'record["ttl_on_the_way"]'),
        "both were lost at one router": (put("lost_at", ["near", "near"]), 'record["lost_at"]'),
    },
    "path-mtu": {
        "nothing was lost": (put("broken.lost", []), 'record["lost"]'),
        "it was lost behind the small link": (put("fixed.lost.0.1", "far"), 'record["lost"]'),
        "the broken one got the error": (put("broken.said", ["EMSGSIZE"]), 'record["said"]'),
        "no router reported it": (put("broken.reports", []), 'record["reports"]'),
        "the other router reported it": (put("fixed.reports.0.1", "far"), 'record["reports"]'),
        "it arrived anyway": (put("broken.heard", [1472]), 'record["heard"]'),
        "the rest didn't arrive": (put("fixed.heard", [1372]), 'record["heard"]'),
        "the path has another MTU": (put("fixed.said.1", "1500"), 'record["said"]'),
    },
    "nat-callback": {
        "the server saw the client itself": (put("broken.server_saw", "client"), 'record["server_saw"]'),
        "it got through to the address": (
            put("broken.client_heard", ["delivered"]),
            'record["client_heard"]',
        ),
        "the listener heard the news": (put("broken.listener_heard", ["news"]), 'record["listener_heard"]'),
        "the forward led nowhere": (put("fixed.listener_heard", []), 'record["listener_heard"]'),
        "there was no call": (
            lambda r: r["fixed"]["connections"].pop(1),
            'record["connections"]',
        ),
        "every port leads inside": (put("fixed.another_port", 0), 'record["another_port"]'),
    },
    "happy-eyeballs": {
        "IPv6 wasn't tried first": (put("broken.failed", []), 'record["failed"]'),
        "it didn't wait": (put("broken.seconds", 0.3), 'TIMEOUT <= record["seconds"]'),
        "the fixed one waited too": (put("fixed.seconds", 2.1), 'HEAD_START <= record["seconds"]'),
        "IPv6 worked": (put("fixed.connected_by", "AF_INET6"), 'record["connected_by"]'),
        "IPv6 was refused": (put("fixed.handshakes.0.1", "refused"), 'record["handshakes"]'),
        "it was lost elsewhere": (put("broken.lost_at", ["near"]), 'record["lost_at"]'),
    },
    "split-brain": {
        "the minority was refused too": (
            put("broken.answers.1", "refused: 2 of 5 answer"),
            'record["answers"]',
        ),
        "a request got through": (put("broken.dropped", 9), 'record["dropped"]'),
        "no request went to the other half": (put("fixed.dropped", 0), 'record["dropped"]'),
        "one of the values was newer": (put("broken.stored.4.0", "2 blue"), 'record["stored"]'),
        "the majority stopped as well": (
            put("fixed.answers.0", "refused: 3 of 5 answer"),
            'record["answers"]',
        ),
        "the fixed one had two values too": (
            put("fixed.stored.3", ["1 blue", "2 green"]),
            'record["stored"]',
        ),
        "it never recovered": (put("fixed.answers.2", "refused: 2 of 5 answer"), 'record["answers"]'),
        "one replica missed the last write": (put("fixed.stored.3", []), 'record["stored"]'),
    },
    "load-balancer": {
        "one server only from the start": (
            put("before.again.answers", ["200 web-1"] * 6),
            'record["before"]',
        ),
        "the errors came at once": (put("after.once.late", 0), 'record["after"]'),
        "no client got an error": (put("after.once.answers", ["200 web-1"] * 6), 'record["after"]'),
        "the other port gave an error, too": (put("after.again.answers.5", "503"), 'record["after"]'),
        "the server without power answered": (put("after.again.answers.5", "200 web-2"), 'record["after"]'),
        "no request was late": (put("after.again.late", 0), "no request was meant"),
    },
    "compose-project": {
        "the cut didn't matter": (put("visits.1", "200 visitor 3"), 'record["visits"]'),
        "a number was lost": (put("visits.4", "200 visitor 1"), 'record["visits"]'),
        "the page didn't find it again": (put("visits.2", "503 no count: timed out"), 'record["visits"]'),
        "it was refused": (put("visits.3", "503 no count: Connection refused"), 'record["visits"]'),
        "no packet was lost": (put("lost_at", []), 'record["lost_at"]'),
    },
}
