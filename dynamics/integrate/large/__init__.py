"""Integrations of large states: whole, in compiled code, whose loops over the state run on several threads."""
