"""``python -m dynamics.cli``."""

from dynamics.cli import main

main()
