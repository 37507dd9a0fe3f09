"""What could go wrong in each scenario, as a change of its record that the check must reject."""

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


FORGERIES: dict[str, dict[str, Forge]] = {
    "tcp-hello": {
        "the server spoke before anybody came": put("events_before", ["listening", "connected"]),
        "the server heard it twice": lambda r: r["server_heard"].append(r["server_heard"][0]),
        "the answer came back as what was sent": lambda r: r.update(client_heard=r["server_heard"]),
        "the answer was cut within a character": put("client_heard", ["我是服务"]),
        "nothing listened": put("state_before", "CLOSE-WAIT"),
        "the client failed with the right text": put("exit_codes.0", 1),
    },
    "reverse-echo": {
        "reversed by bytes": put("first.1", "\ufffd水来自海"),
        "the answers came in another order": lambda r: r["first"].reverse(),
        "two answers stuck together": lambda r: r.update(first=["".join(r["first"])]),
        "the second client was served by another server": put("servers", 2),
        "both clients in one session": put("sessions", [4]),
    },
    "upper-threads": {
        "the threads served one by one": put("threaded.at_once", 1),
        "the iterative server served two at once": put("blocking.at_once", 2),
        "one client too few": put("threaded.opened", 49),
        "one answer was another client's": put("blocking.failures", 1),
        "an answer is missing": put("threaded.answered", 99),
    },
    "async-echo": {
        "one connection was closed before the last was open": put("at_once", 999),
        "an answer is missing": put("answered", 2999),
        "threads after all": put("server_threads", 2),
        "memory grew with the connections": put("server_peak_memory", 1 << 30),
        "no memory was measured": put("server_peak_memory", 0),
    },
    "udp-notice": {
        "the sender learned of the missing receiver": put("early_exit_code", 1),
        "the early datagram was kept for later": lambda r: r["bound"]["texts"].insert(0, "too early"),
        "the datagram came twice": lambda r: r["bound"]["texts"].append(r["bound"]["texts"][0]),
        "the router translated the port": put("bound.came_from", [40_000]),
        "the router translated the address": put("ephemeral.sender", ["172.28.66.2"]),
    },
    "udp-echo": {
        "the empty datagram never came back": put("answers.0", []),
        "a fragment was lost": put("answers.3", [1472]),
        "a datagram was cut in two": put("answers.4", [60_000, 5_507]),
        "65,508 bytes were sent": put("too_long_exit_code", 0),
        "the wrong error": put("too_long_error", "EPERM"),
    },
    "remote-command": {
        "the command ran here instead of there": put("server_address", "192.168.40.129"),
        "the end of the output is missing": put("many", "0" * 64),
        "neither end had any output": lambda r: r.update(many="", many_there=""),
        "a failing command looks like success": put("failing", [0, ""]),
        "stderr was mixed into stdout": put("complaint", ["ls: cannot access '/nowhere'\n", False, 2]),
        "the deadline killed only the shell": put("left_running", ["4711"]),
        "the endless command was waited for": put("endless", ["begun\n", 0]),
    },
    "remote-session": {
        "an answer stuck to the next": lambda r: r["first"]["answers"].insert(1, ""),
        "the silent command answered": put("first.answers.2", "\n"),
        "the long answer was cut at one recv": lambda r: r["first"]["answers"].__setitem__(
            1, r["long"][:1024]
        ),
        "exit was sent to the shell": lambda r: r["carried_out"].append("exit"),
        "the server didn't accept again": put("second.answers", []),
    },
    "file-transfer": {
        "a digest differs on the server": put("stored.large", "0" * 64),
        "a name was garbled": lambda r: r["stored"].update({"??/??.txt": r["stored"].pop("目录/文件.txt")}),
        "a partial file was left behind": lambda r: r["stored"].update({".large.part": "0" * 64}),
        "nothing came back": put("fetched", {}),
        "all files became the same": lambda r: [
            r[side].update(dict.fromkeys(r[side], "0" * 64)) for side in ("sent", "stored", "fetched")
        ],
        "the empty file isn't empty": put("sizes.0", 1),
        "the executable bit is lost": put("mode.1", "644\n"),
    },
    "ssh-peer": {
        "SSH let the impostor in": put("impostor", ["win10\n", 0, False]),
        "SSH failed, but for another reason": put("impostor.2", False),
        "the copy differs": put("digest_there", "0" * 64),
        "both digests are empty": lambda r: r.update(digest_here="", digest_there=""),
        "SSH lost the exit code": put("ssh.2", 0),
    },
    "connect-errors": {
        "the broken one tells them apart": lambda r: r["broken"].update(said=r["fixed"]["said"]),
        "it failed in another way": put("broken.said.3", "NameError: name 'socket' is not defined"),
        "refused, and the fixed one saw a timeout": put("fixed.said.0", "ETIMEDOUT"),
        "one attempt too few": lambda r: r["fixed"]["said"].pop(),
        "the diagnosis says nothing": put("fixed.diagnosis", ["", ""]),
        "the same cause twice": lambda r: put("broken.diagnosis.0", r["broken"]["diagnosis"][1])(r),
        "a SYN came through the partition": lambda r: put(
            "broken.diagnosis.1",
            r["broken"]["diagnosis"][1].replace("none left it", "one left it"),
        )(r),
        "no router answered": lambda r: put(
            "fixed.diagnosis.1",
            r["fixed"]["diagnosis"][1].replace("10.99.99.99 is no host of the lab", "nobody answered"),
        )(r),
    },
    "udp-reliable": {
        "a request was carried out twice": lambda r: r["carried_out"].append(r["carried_out"][-1]),
        "a request was never carried out": lambda r: r["carried_out"].pop(),
        "an answer was taken for another's": lambda r: put("answers.1", r["answers"][0])(r),
        "an answer came twice": lambda r: r["answers"].append(r["answers"][-1]),
        "the link lost nothing": put("lost", 0),
        "what was lost wasn't sent again": put("sent", 60),
        "one request was given up": put("exit_codes.0", 4),
    },
    "file-resume": {
        "it was sent from the start again": put("resumed_from", [0]),
        "the bytes before the cut were sent again": put("bytes_sent.1", 32 << 20),
        "half a file was shown between": put("visible_between", ["resumed"]),
        "the cut went unnoticed": put("first_exit_code", 0),
        "the files differ": put("stored", "0" * 64 + "  -\n"),
        "both digests are empty": lambda r: r.update(sent="", stored=""),
        "only one connection was seen": lambda r: r["bytes_sent"].pop(),
    },
    "one-recv": {
        "one recv was enough": put("broken.received", 1 << 20),
        "one recv got nothing": put("broken.received", 0),
        "the broken one was told": put("broken.exit_code", 1),
        "the length was cut": put("broken.declared", 4096),
        "the fixed one was cut as well": put("fixed.received", 14_480),
        "the fixed one failed": put("fixed.exit_code", 1),
    },
    "both-send": {
        "it went well without the fix": put("broken.said", [f"received {4 << 20}"] * 2),
        "only one end was stuck": put("broken.said.1", f"received {4 << 20}"),
        "no receive buffer was full": put("broken.full", [False, False]),
        "nothing arrived at all": put("broken.arrived", [0, 0]),
        "the fix lost bytes": put("fixed.said.0", f"received {(4 << 20) - 1}"),
        "the fixed one was stuck": put("fixed.said.1", "stuck in sendall"),
    },
    "half-open": {
        "the broken one was told": put("broken.said", ["ETIMEDOUT"]),
        "the broken one has a timer": put("broken.timer", "keepalive"),
        "its connection has gone": put("broken.socket.1", "is gone"),
        "keepalive noticed nothing": lambda r: r["fixed"].update(said=[], socket=["ESTABLISHED", "lasts"]),
        "the fixed one was told by something else": put("fixed.timer", ""),
        "the peer said goodbye": put("fixed.peer_closed", True),
    },
    "udp-mtu": {
        "the large datagram wasn't cut": put("broken.fragments", [1]),
        "it arrived without its second fragment": put("broken.heard", [4000]),
        "nothing was lost": put("broken.packets_lost", 0),
        "two of the small ones were lost": put("fixed.heard", [1000, 1000]),
        "none of the small ones was lost": put("fixed.heard", [1000] * 4),
        "the small ones were cut too": put("fixed.fragments.0", 2),
    },
    "reset-on-close": {
        "all of the answer came in spite of the reset": put("broken.received", 1 << 19),
        "the client saw a clean end": put("broken.client_said", "the end"),
        "the client was the one who reset it": put("broken.reset_by", "kali"),
        "the drained one was cut as well": put("fixed.received", 205_000),
        "the drained one was reset in the end": put("fixed.reset_by", "win10"),
        "sendall failed already": put("broken.server_said", []),
    },
    "bind-loopback": {
        "the other host got through": put("broken.from_the_other", ["欢迎"]),
        "it failed on its own host too": put("broken.on_its_own_host", ["ConnectionRefusedError"]),
        "nobody refused it; it was silence": put("broken.handshake", "unanswered"),
        "it listened everywhere": put("broken.listens_on", "0.0.0.0:7011"),
        "the fixed one refuses still": put("fixed.from_the_other", ["ConnectionRefusedError"]),
    },
    "address-in-use": {
        "the restart went well without the option": put("broken.second_start", ""),
        "the restart failed for another reason": put(
            "broken.second_start", "PermissionError: [Errno 13] Permission denied"
        ),
        "the client closed first": put("broken.left_behind", []),
        "the first server still ran": put("broken.left_behind.0.0", "CLOSE_WAIT"),
        "the second server served nobody": lambda r: r["fixed"]["clients_heard"].pop(),
        "it went well because no TIME_WAIT was left": put("fixed.left_behind", []),
    },
    "udp-refused": {
        "the unconnected socket was told": put("broken.said.1", "ConnectionRefusedError"),
        "the connected one wasn't": put("fixed.said.1", "TimeoutError"),
        "sending failed": lambda r: r["broken"]["said"].pop(0),
        "no ICMP came: it is no wonder that nobody was told": put("broken.network_said", ["", ""]),
        "the router complained, not the host": put("fixed.network_said.1", "router"),
    },
    "send-after-close": {
        "the first send failed already": put("broken.said", []),
        "the second send succeeded as well": lambda r: r["broken"]["said"].append("sent two"),
        "another error": put("broken.error", ["TimeoutError: timed out"]),
        "no packet of the server said so": put("broken.reset_by", ""),
        "the one who listens sent all the same": lambda r: r["fixed"]["said"].insert(0, "sent"),
        "the one who listens was reset": put("fixed.reset_by", "win10"),
    },
    "udp-overrun": {
        "the buffer held all of them": lambda r: r["broken"].update(heard=300, overruns=0),
        "some were lost on the link": put("broken.arrived_unread", 290),
        "some are missing and nobody counted them": lambda r: r["broken"].update(overruns=0),
        "nothing was heard at all": lambda r: r["broken"].update(heard=0, overruns=300),
        "the sender was told": put("broken.exit_code", 1),
        "it didn't wait for an answer": put("fixed.arrived_unread", 300),
        "one was lost in spite of the answers": lambda r: r["fixed"].update(heard=299, overruns=1),
    },
    "sticky-packets": {
        "the first answer came whole": lambda r: put("broken.answers.0", r["fixed"]["answers"][0])(r),
        "the second answer was right": put("broken.answers.1", "done\n"),
        "the second recv read nothing": put("broken.answers.1", ""),
        "the frames were cut too": lambda r: put("fixed.answers.0", r["broken"]["answers"][0])(r),
        "the frames stuck together": lambda r: r["fixed"].update(answers=["".join(r["fixed"]["answers"])]),
    },
    "split-character": {
        "the text was decoded": lambda r: r["broken"].update(r["fixed"]),
        "the bytes were garbage, not cut": put(
            "broken.error",
            "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe5 in position 1023: invalid start byte",
        ),
        "the cut fell between two characters": put("broken.error", ""),
        "the decoder garbled": lambda r: put("fixed.text", r["fixed"]["text"].replace("字", "\ufffd", 1))(r),
        "the decoder lost the last character": lambda r: put("fixed.text", r["fixed"]["text"][:-1])(r),
    },
    "empty-message": {
        "the empty message was answered": put("broken.answers", ["hello", "", "bye"]),
        "the server closed": put("broken.error", ["ConnectionResetError: [Errno 104]"]),
        "something was sent for it": put("broken.bytes.0", 6),
        "the guard threw away the next one too": lambda r: r["fixed"]["answers"].pop(),
        "UDP sent nothing either": put("fixed.udp", "[b'hello', b'bye']"),
    },
    "eof-spin": {
        "it rested": put("broken.said.1", "exit status 0"),
        "it was stopped from outside": put("broken.said.1", "exit status 143"),
        "the client kept it busy": put("broken.bytes", 1_000_000),
        "the server closed first": put("broken.closed_first", "win10"),
        "the fixed one span as well": put("fixed.said.1", "exit status 152"),
        "the fixed one never heard the message": lambda r: r["fixed"]["said"].pop(0),
    },
    "partial-send": {
        "one send took all": lambda r: r["broken"].update(returned=str(1 << 20), received=1 << 20),
        "send claimed more than arrived": put("broken.returned", str(1 << 20)),
        "nothing arrived": lambda r: r["broken"].update(returned="0", received=0),
        "send failed aloud": put("broken.exit_code", 1),
        "sendall lost the end": put("fixed.received", (1 << 20) - 1),
    },
    "gbk-console": {
        "UTF-8 read it": lambda r: r.update(broken=r["fixed"]),
        "it was cut, not in another encoding": put(
            "broken.error",
            "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xbe: unexpected end of data",
        ),
        "it was only shown as it is": put("broken.shown", "replaced: 拒绝访问\n"),
        "the fixed one is garbled": lambda r: put("fixed.shown", r["broken"]["shown"])(r),
        "the header named a codec that nobody has": put("fixed.error", "LookupError: unknown encoding: cp0"),
    },
    "nagle": {
        "the body wasn't held back": put("broken.held_ms", 1),
        "header and body went together anyway": put("broken.pieces", [104]),
        "the fixed one writes twice": lambda r: r["fixed"].update(pieces=[4, 100], held_ms=44),
        "an answer is missing": put("broken.answers", 19),
        "nothing was asked": put("fixed.answers", 0),
    },
    "backlog": {
        "the third got in": lambda r: r["broken"].update(r["fixed"]),
        "the third was refused": put("broken.handshakes.2", "refused"),
        "its SYN never reached the server": put("broken.syn_arrived", False),
        "the queue was empty": put("broken.in_the_queue", 0),
        "the server that accepts lost one": put("fixed.clients.2", "TimeoutError"),
    },
    "blocking": {
        "the polite one was served": put("broken.answer", ["HELLO"]),
        "the server accepted both": put("broken.accepted", 2),
        "its message never arrived, or was read": put("broken.unread", 0),
        "its connection alone arrived, and the end of it": put("broken.unread", 1),
        "the threads block too": put("fixed.answer", ["TimeoutError"]),
        "the silent one had gone": put("fixed.accepted", 1),
    },
    "slow-loris": {
        "the honest one was served after all": put("broken.answer", "HELLO"),
        "a recv took too long, and its thread was free": put("broken.thrown_out", True),
        "they were silent, not slow": put("broken.trickled", 1),
        "the deadline didn't help": put("fixed.answer", "TimeoutError: timed out"),
        "the slow ones left by themselves": put("fixed.thrown_out", False),
    },
    "broadcast": {
        "the other segment heard it": put("broken.win10_heard", ["谁在？"]),
        "nobody heard it": put("broken.router_heard", []),
        "the router passed it on": put("broken.passed.servers", 1),
        "it was never sent": put("broken.passed.clients", 0),
        "unicast was lost": put("fixed.win10_heard", []),
        "unicast went to everybody": put("fixed.router_heard", ["谁在？"]),
        "it came twice": put("fixed.passed.servers", 2),
    },
    "time-wait": {
        "nothing piled up": put("broken.time_wait.kali", 0),
        "it piled up on the server": put("broken.time_wait", {"kali": 0, "win10": 250}),
        "the server closed some of them first": put("broken.closed_first", ["kali", "win10"]),
        "they were fewer connections": put("broken.connections", 249),
        "the connection wasn't used again": lambda r: r["fixed"].update(r["broken"]),
        "an answer is missing": put("fixed.answers", 249),
    },
    "no-auth": {
        "the broken server asked": put("broken.anybody", "refused\n"),
        "the owner was refused too": put("fixed.answers.owner", "refused\n"),
        "a stranger's guess was taken": put("fixed.answers.stranger", "win10\n"),
        "what was overheard was taken": put("fixed.answers.eavesdropper", "win10\n"),
        "the challenge was used again": put("fixed.new_challenge", False),
        "nobody overheard anything": lambda r: r["fixed"]["answers"].pop("eavesdropper"),
    },
    "socket-families": {
        "the IPv4 server took an IPv6 client": put(
            "families.AF_INET.kali",
            "a client of AF_INET gets b'hello'; a client of AF_INET6 gets b'hello'",
        ),
        "the path led to the other host": lambda r: r["families"]["AF_UNIX"].update(
            kali="", packets="1 packets"
        ),
        "the stream kept its seams": put("families.SOCK_STREAM.win10", "one recv() gives b'ab'"),
        "the datagrams stuck together": put("families.SOCK_DGRAM.win10", "two recv() give b'abcd' b''"),
        "anybody may open a raw socket": lambda r: put(
            "families.SOCK_RAW.kali", r["families"]["SOCK_RAW"]["kali"].replace("EPERM", "protocol 1")
        )(r),
        "the ping passed no router": lambda r: put(
            "families.SOCK_RAW.kali", r["families"]["SOCK_RAW"]["kali"].replace("TTL 63", "TTL 64")
        )(r),
        "the ping was lost": put("families.IPPROTO_ICMP.packets", "ICMP echo request lost the router"),
        "there is another protocol than SCTP": put(
            "families.SOCK_SEQPACKET.kali", "with AF_INET gives protocol 6"
        ),
        "SOCK_RDM is missing": lambda r: r["families"].pop("SOCK_RDM"),
    },
    "socket-methods": {
        "nobody refused it before listen()": put("methods.bind.packets", "SYN, SYN ACK"),
        "the handshake waited for accept()": put("methods.listen.packets", "handshake half"),
        "a sender without a port of its own": put(
            "methods.accept.win10", "returns a connection from ('kali', 40000)"
        ),
        "connect() sent one SYN and believed": put("methods.connect.packets", "SYN"),
        "sendall() took a part": put("methods.sendall.win10", "receives 65536 bytes, SHA-256 fbbab289…"),
        "the file was another": lambda r: r["methods"]["sendfile"].update(
            win10=r["methods"]["sendall"]["win10"]
        ),
        "the timeout came too early": put(
            "methods.settimeout.win10", "recv() raises TimeoutError after 0.1 s"
        ),
        "the option changed no packet": put("methods.setsockopt.packets", "TTL 64, and 63 past the router"),
        "the answer came before the FIN": put(
            "methods.shutdown.packets", "kali sends FIN, 9 bytes come back before it"
        ),
        "shutdown() closed both ways": put("methods.shutdown.kali", "still receives b''"),
        "detach() closed the connection": put("methods.detach.win10", "receives b'' and the end"),
        "the lines were cut where the packets were": put(
            "methods.makefile.win10", "readline() gives b'one li' and b'ne\\n'"
        ),
        "a method is missing": lambda r: r["methods"].pop("fileno"),
        "a method that nobody knows": lambda r: r["methods"].update(sendmsg={"kali": "returns 5"}),
    },
    "windows-command": {
        "the bytes are UTF-8": put("echo", "e4 b8 ad e6 96 87 0d 0a".split()),
        "lines end as on Linux": put("echo", "d6 d0 ce c4 0a".split()),
        "ipconfig speaks of another host": put("way_out.0", "192.168.40.129"),
        "the way out is the machine's": put("way_out.2", "172.28.66.1"),
        "there is no way out": put("way_out", None),
        "the name came back in another encoding": put("made.0", "璇存槑.txt\r\n"),
        "the pipe was taken for text": put("piped", ""),
        "the quotes were escaped on the way": put("quoted", '\\"a & b\\" Windows_NT 100% & c\r\n'),
        "a variable wasn't expanded": put("quoted", '"a & b" %OS% 100% & c\r\n'),
        "a failing command looks like success": put("failing", 0),
        "stderr was mixed into stdout": put("missing.stdout", "找不到文件。\r\n"),
        "the endless command was waited for": put("endless", 0),
        "the deadline killed only cmd": put("left_running", ["4711"]),
    },
    "windows-names": {
        "a device was taken for a file": put("refused.CON", [0, ""]),
        "refused without its name": put("refused.a:b", [1, "lab-transfer: Windows refuses"]),
        "refused, but not for Windows' sake": put("refused.what?", [1, "'what?' is too long"]),
        "the dot was dropped in silence": lambda r: r["stored"].append("report"),
        "a good name was refused too": put("taken.console", 1),
        "a bad name was never tried": lambda r: r["refused"].pop("com1.log"),
    },
}
