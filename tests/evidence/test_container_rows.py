"""The page shows a user's container as a program: its start, its output, its end."""

from lab.evidence.events import Output, WorkloadEnded, WorkloadStarted
from lab.evidence.trace.timeline import Clock, lines


def test_a_container_is_shown_as_a_program():
    events = [
        WorkloadStarted(1.0, "web", 4, "web-workload", "nginx", "nginx"),
        Output(2.0, "web", 4, "stderr", "no such file"),
        WorkloadEnded(3.0, "web", 4, "web-workload", exit_code=1, last_lines="no such file"),
    ]
    rows, left_out = lines(events, Clock(0.0), ["web"])
    assert [(row["kind"], row["program"], str(row["text"])) for row in rows] == [
        ("start", 4, "container web-workload: nginx"),
        ("stderr", 4, "no such file"),
        ("exit", 4, "container web-workload ended: exit code 1"),
    ]
    assert rows[2]["data"]["last_lines"] == "no such file"
    assert left_out == 0
