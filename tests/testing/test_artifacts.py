"""The folders of the artifacts: one for each test."""

import pytest

from lab.testing.artifacts import MARK, MAX_NAME, folder_name, fresh_folder


@pytest.mark.parametrize(
    ("nodeid", "name"),
    [
        ("tests/test_web.py::test_get", "tests-test_web.py-test_get"),
        ("test_web.py::TestGet::test_it", "test_web.py-TestGet-test_it"),
        ("test_web.py::test_it[retry-2]", "test_web.py-test_it-retry-2"),
    ],
)
def test_a_plain_name_stays_readable(nodeid, name):
    assert folder_name(nodeid) == name


@pytest.mark.parametrize(
    "nodeid",
    [
        "test_web.py::test_it[a/../../../etc/passwd]",
        "test_web.py::test_it[a b]",
        "test_web.py::test_it[\u00e4\u4e2d\n\0]",
        f"test_web.py::test_it[{'x' * 5000}]",
        "test_web.py::test_it[..]",
        'test_web.py::test_it[<>:"|?*\\\\]',
    ],
)
def test_any_name_becomes_one_safe_component(nodeid):
    name = folder_name(nodeid)
    assert len(name) <= MAX_NAME + 9
    assert not set(name) & set('/\\<>:"|?*\n\0 ')
    assert name.isascii()
    assert not name.startswith((".", "-"))


def test_tests_whose_names_become_equal_have_different_folders():
    ids = [
        *("t.py::test[a b]", "t.py::test[a?b]", "t.py::test[a_b]", "t.py::test[a\u00e4b]", "t.py::test[a/b]"),
        *("t.py::test[a-b]", "t.py::test[a::b]", "x-y/t.py::test", "x/y/t.py::test", "x/y-t.py::test"),
    ]
    assert len({folder_name(each) for each in ids}) == len(ids)


def kept(folder, name):
    (folder / name).mkdir()
    (folder / name / MARK).touch()


def test_folders_of_an_earlier_session_are_replaced_and_others_stay(tmp_path):
    for name in ("t.py-test_a", "t.py-test_a-attempt2", "t.py-test_ab", "t.py-test_a-1"):
        kept(tmp_path, name)
    assert fresh_folder(tmp_path, "t.py::test_a") == tmp_path / "t.py-test_a"
    assert {path.name for path in tmp_path.iterdir()} == {"t.py-test_ab", "t.py-test_a-1"}


def test_each_attempt_has_a_folder(tmp_path):
    kept(tmp_path, "t.py-test_a")
    assert fresh_folder(tmp_path, "t.py::test_a", attempt=2) == tmp_path / "t.py-test_a-attempt2"
    assert (tmp_path / "t.py-test_a").is_dir()


def test_a_folder_of_somebody_else_is_never_removed(tmp_path):
    (tmp_path / "t.py-test_a").mkdir()
    (tmp_path / "t.py-test_a/thesis.txt").touch()
    fresh_folder(tmp_path, "t.py::test_a")
    assert (tmp_path / "t.py-test_a/thesis.txt").is_file()
