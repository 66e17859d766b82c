"""Explicit steps of fourth order whose interval of stability grows like the square of their stages."""
