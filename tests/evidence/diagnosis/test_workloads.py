"""The rule about the users' containers, on forged evidence."""

import pytest

from lab.evidence.diagnosis.diagnose import Evidence, diagnose
from lab.evidence.events import FaultChanged, Note, WorkloadEnded, WorkloadStarted
from tests.evidence.forge import crossed, tcp, traffic

END = Note(9.0, "lab", "the end of the run")
STARTED = WorkloadStarted(0.1, "win10", 1, "web", "nginx", "nginx")


def ended(at=1.0, **fields):
    return WorkloadEnded(at, "win10", 1, "web", **fields)


def refused(at):
    return [*crossed(tcp(at, "S", 1000)), *crossed(tcp(at + 0.01, "RA", 0, 1001, back=True))]


def sentences(events, *packets):
    return diagnose(Evidence([STARTED, *events, END], traffic(*packets))).sentences


def test_a_container_that_ended_explains_a_refused_connection():
    lines = "one\ntwo\nthree\nno such table"
    assert sentences([ended(exit_code=1, last_lines=lines)], refused(1.5)) == (
        "The container of win10 ended (exit code 1) 0.5 s before win10 refused kali at port 8001. "
        "Its last output: two / three / no such table",
    )


def test_a_container_that_ended_with_an_error_is_a_cause_by_itself():
    assert sentences([ended(signal="KILL", out_of_memory=True)]) == (
        "The container of win10 ended by itself (killed by SIGKILL, out of memory).",
    )


def test_a_container_that_ended_before_the_run():
    assert sentences([ended(exit_code=2, earlier=20.0)]) == (
        "The container of win10 had ended before the run (exit code 2).",
    )


def test_a_container_that_exited_with_0_is_no_cause_unless_a_client_was_refused():
    assert sentences([ended(exit_code=0)]) == ()
    (sentence,) = sentences([ended(exit_code=0)], refused(1.5))
    assert sentence.startswith("The container of win10 ended (exit code 0) 0.5 s before")


def test_a_refusal_after_a_new_start_has_another_cause():
    again = WorkloadStarted(1.2, "win10", 1, "web", "nginx", "nginx")
    (first, *_) = sentences([ended(exit_code=0), again], refused(1.5))
    assert first.startswith("kali was refused by win10")


@pytest.mark.parametrize("packets", [(), (refused(1.5),)])
def test_a_power_cut_is_not_a_fault_of_the_container(packets):
    cut = FaultChanged(0.9, "win10", "power cut", "begin", "web")
    assert not any("container" in text for text in sentences([cut, ended(signal="KILL")], *packets))


def test_the_end_of_a_container_lasts_beyond_the_events_of_programs():
    evidence = Evidence([STARTED, ended(exit_code=1), END], traffic(refused(3.0)))
    assert "The container of win10 ended" in diagnose(evidence.since(2.0)).text
