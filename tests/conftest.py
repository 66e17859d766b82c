"""What holds for all tests."""

import os
import signal

import numba
import pytest
from hypothesis import settings

# The tests' arrays are small, and two threads that wait for each other on a busy machine take a hundred times longer
# than one. Tests of several threads ask for them.
numba.set_num_threads(1)

# A run that was started in the background, by `nohup ... &` or from a script, ignores Ctrl-C, and so would the
# processes that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The first example of a test may compile. A newcomer's run tries the same examples every time; who works on the code
# tries others, with --hypothesis-profile random or HYPOTHESIS_PROFILE=random.
settings.register_profile("here", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None, derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "here"))

# Read by mypy, and run by nobody.
collect_ignore = ["downstream/uses.py"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run tests that take minutes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked slow are run if they are asked for, by --slow or by their mark."""
    if config.getoption("--slow") or "slow" in config.getoption("-m"):
        return
    for item in items:
        if item.get_closest_marker("slow") is not None:  # keywords hold names of folders, too
            item.add_marker(pytest.mark.skip(reason="slow; run it with --slow"))
