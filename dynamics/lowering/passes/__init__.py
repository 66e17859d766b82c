"""The passes, from program to source: each takes what the one before it made."""
