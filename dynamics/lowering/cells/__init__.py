"""Sweeps of scalar systems: the loop over cells, in lanes, from program to compiled code."""
