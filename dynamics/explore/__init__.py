"""``dynamics explore``: pages to look at and play with, made with Bokeh.

Bokeh, and not Panel, which is Bokeh and a second layer: one dependency serves the live pages and writes the ones that
need no server, with everything that they load inside. A view is made of parts that work in the page alone
(:mod:`~dynamics.explore.maps`, :mod:`~dynamics.explore.words`, :mod:`~dynamics.explore.curves`); live views
(:mod:`~dynamics.explore.phase_view` and so on) add controls whose answers are solved when they are asked for, and
:mod:`~dynamics.explore.results` writes the parts as they are.
"""
