"""What holds for all tests."""

import os

import numba
from hypothesis import settings

# The tests' arrays are small, and two threads that wait for each other on a busy machine take a hundred times longer
# than one. Tests of several threads ask for them.
numba.set_num_threads(1)

# The first example of a test may compile. Continuous integration tries the same examples every time.
settings.register_profile("here", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("here")
