"""Checks of what the theory says: steps of proofs by algebra, flows and closures by numbers.

They run when a derivation is written out, on the equations that it shows.
"""
