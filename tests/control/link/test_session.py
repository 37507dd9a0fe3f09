"""The link's settings as a scenario makes them: what is asked, restored and noticed, without an engine.

The router is played by an object: played_router.py.
"""

import pytest

from lab.control.link.links import Links
from lab.control.link.router import LinkFailure
from lab.errors import EnvironmentFailure, Unsupported, UsageError
from lab.link.settings import Impairment
from tests.control.link.played_router import NO_IMPAIRMENT, Router

NOTHING = "unimpaired"


SOMEBODY_ELSES = {"to-dmz": NO_IMPAIRMENT | {"delay": 0.001}, "cut": [], "drops": []}


@pytest.fixture
def router():
    return Router()


@pytest.fixture
def link(router):
    link = Links([router], lambda event: None)
    link.begin("1")
    return link


def in_force(link):
    return link.show().settings.describe()


def impaired(link, delay):
    return link.impaired(delay=delay, verify=False)


def test_an_inner_context_leaves_the_outer_one_in_force(link):
    with impaired(link, 0.02):
        with impaired(link, 0.5):
            assert in_force(link) == "both ways: 500 ms"
        assert in_force(link) == "both ways: 20 ms"
    assert in_force(link) == NOTHING


def test_a_context_restores_a_setting_that_was_made_without_one(link):
    link.set(loss=0.1, direction="to-dmz", verify=False)
    with impaired(link, 0.02):
        pass
    assert in_force(link) == "to-office: unimpaired; to-dmz: 10% loss"


def test_an_inner_partition_leaves_the_outer_one_in_force(link):
    with link.partitioned("to-dmz", verify=False):
        with link.partitioned(verify=False):
            assert link.show().settings.cut == {"to-office", "to-dmz"}
        assert link.show().settings.cut == {"to-dmz"}
    assert in_force(link) == NOTHING


def test_an_inner_drop_leaves_the_outer_one_and_its_count_in_force(link, router):
    with link.dropping(3, protocol="tcp"):
        router.now["drops"] = [[2, 0]]
        with link.dropping(1, protocol="udp"):
            assert router.requests[-1]["counted"] == [[0, 0]]
        assert link.show().settings.drops[0].protocol == "tcp"
        assert router.requests[-1]["counted"] == [[2, 0]]
    assert in_force(link) == NOTHING


def test_another_setting_keeps_the_count_of_a_drop(link, router):
    with link.dropping(3, protocol="tcp"), impaired(link, 0.02):
        assert router.requests[-1]["counted"] is None
    assert router.requests[-2]["counted"] is None


def test_contexts_of_different_kinds_are_independent(link):
    with impaired(link, 0.02):
        with link.partitioned(verify=False):
            with link.dropping(1):
                assert in_force(link) == "both ways: cut; drop number 1 of: both"
            assert in_force(link) == "both ways: cut"
        assert in_force(link) == "both ways: 20 ms"


def test_a_setting_of_another_part_inside_a_context_stays(link):
    with impaired(link, 0.02):
        link.partition("to-dmz", verify=False)
    assert in_force(link) == "to-dmz: cut"


def test_the_outer_context_is_restored_after_an_exception(link):
    with impaired(link, 0.02):
        with pytest.raises(ZeroDivisionError), impaired(link, 0.5):
            raise ZeroDivisionError
        assert in_force(link) == "both ways: 20 ms"


@pytest.mark.parametrize(
    "inner",
    [
        lambda link: link.impaired(delay=-1),
        lambda link: link.impaired(loss=0.1, direction="to-lab"),
        lambda link: link.partitioned("to-lab"),
        lambda link: link.dropping(0),
        lambda link: link.dropping(1, direction="to-lab"),
    ],
)
def test_the_outer_context_holds_after_an_inner_one_that_failed(link, router, inner):
    with impaired(link, 0.02), link.partitioned("to-dmz", verify=False), link.dropping(7):
        before, count = router.now, len(router.requests)
        with pytest.raises(UsageError), inner(link):
            pass
        assert (router.now, len(router.requests)) == (before, count)


def test_a_change_that_fails_on_the_router_fails_the_run(link, router):
    link.set(delay=0.02, verify=False)
    router.broken = True
    with pytest.raises(EnvironmentFailure), impaired(link, 0.5):
        pass
    assert link.failure == "r: iptables: no"


LOOKS = {
    "show": lambda link: link.show(),
    "set": lambda link: link.set(loss=0.1, verify=False),
    "heal": lambda link: link.heal(verify=False),
    "clear": lambda link: link.clear(),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_settings_of_somebody_else_are_detected_at_every_step(link, router, look):
    link.set(delay=0.01, verify=False)
    router.apply(SOMEBODY_ELSES)
    with pytest.raises(LinkFailure) as caught:
        look(link)
    expected = "somebody else changed the link: asked both ways: 10 ms, found to-dmz: 1 ms"
    assert str(caught.value) == link.failure == expected


def test_settings_of_somebody_else_are_detected_at_the_end(link, router):
    link.set(delay=0.01, verify=False)
    router.apply(SOMEBODY_ELSES)
    link.end()
    assert link.failure == "somebody else changed the link: asked both ways: 10 ms, found to-dmz: 1 ms"
    assert router.now is None


def test_settings_of_somebody_else_are_detected_in_a_run_without_settings(link, router):
    router.apply(SOMEBODY_ELSES)
    link.end()
    assert link.failure == "somebody else changed the link: asked unimpaired, found to-dmz: 1 ms"
    assert router.now is None


def test_the_same_settings_applied_by_somebody_else_are_detected(link, router):
    link.set(delay=0.01, verify=False)
    router.apply(router.now["link"])
    with pytest.raises(LinkFailure, match="somebody else"):
        link.show()


def test_a_link_that_somebody_else_cleared_is_not_blamed_on_a_restart(link, router):
    link.set(delay=0.01, verify=False)
    router.clear()
    link.end()
    assert link.failure == "somebody else changed the link: asked both ways: 10 ms, found unimpaired"


def test_a_restart_of_the_router_is_reported_as_such(link, router):
    link.set(delay=0.01, verify=False)
    router.restart()
    link.end()
    assert link.failure == "the router was restarted and lost its settings: asked both ways: 10 ms"


def test_a_restart_without_settings_is_not_a_failure(link, router):
    router.restart()
    link.end()
    assert link.failure == ""


def test_a_dead_process_is_reported_once(link, router):
    link.set(delay=0.01, verify=False)
    router.now["alive"] = False
    with pytest.raises(LinkFailure, match="died"):
        link.show()
    link.clear()


def test_an_undisturbed_run_has_no_failure(link):
    with impaired(link, 0.02), link.partitioned(verify=False), link.dropping(1):
        link.show()
    link.set(loss=0.1, verify=False)
    link.end()
    assert link.failure == ""
    assert in_force(link) == NOTHING


def test_each_direction_has_its_own_impairment(link, router):
    link.set_each({"to-dmz": Impairment(delay=0.03)}, verify=False)
    assert link.show().settings["to-dmz"] == Impairment(delay=0.03)
    assert link.show().settings["to-office"].is_nothing
    assert router.requests[-1]["interfaces"] == {"office": "10.1.0.2", "dmz": "10.2.0.2"}


def test_an_unknown_direction_is_refused_with_those_of_the_lab(link):
    with pytest.raises(UsageError, match="this link has to-office, to-dmz, both"):
        link.set(delay=0.01, direction="to-servers")
    with pytest.raises(UsageError, match="to-servers"):
        link.set_each({"to-servers": Impairment(delay=0.01)})


def test_a_lab_without_a_router_has_no_link():
    link = Links([], lambda event: None)
    link.begin("1")
    for change in (link.set, link.partition, link.heal, link.clear, link.show, lambda: link.drop(1)):
        with pytest.raises(Unsupported):
            change()
    link.end()
    assert (link.failure, link.to_dict()) == ("", None)
