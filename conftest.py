"""The plugins of the tests and of the scenarios."""

pytest_plugins = ["pytester", "tests.session_labs"]
