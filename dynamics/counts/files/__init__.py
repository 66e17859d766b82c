"""Counts in files and tables, with labels."""
