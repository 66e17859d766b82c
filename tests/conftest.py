"""What holds for all tests."""

import numba

# The tests' arrays are small, and two threads that wait for each other on a busy machine take a hundred times longer
# than one. Tests of several threads ask for them.
numba.set_num_threads(1)
