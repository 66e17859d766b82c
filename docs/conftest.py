"""What builds the site is no test of it; tests/end_to_end/test_site.py runs the code of its pages."""

collect_ignore = ["conf.py"]
collect_ignore_glob = ["extensions/*", "scripts/*", "gallery/*", "_build/*"]
