"""The server of the live pages: on this machine alone."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from dynamics.explore.page import require_bokeh
from dynamics.support.errors import InputError

ADDRESS = "127.0.0.1"


def server(views: Mapping[str, Callable[[Any], None]], port: int) -> Any:
    """A server that has begun to listen.

    Parameters
    ----------
    views : mapping
        From a path to what fills a document. The first is also at ``/``.
    port : int
        0 for one that is free.

    Raises
    ------
    InputError
        The port is not one, or is taken.
    """
    require_bokeh()
    from bokeh.application import Application
    from bokeh.application.handlers.function import FunctionHandler
    from bokeh.server.server import Server

    if not 0 <= port <= 65535:
        raise InputError(f"port = {port} is none; give one from 1024 to 65535, or 0 for one that is free")
    if port == 0:
        with socket.socket() as one:
            one.bind((ADDRESS, 0))
            port = one.getsockname()[1]
    applications = {path: Application(FunctionHandler(fill)) for path, fill in views.items()}
    applications["/"] = next(iter(applications.values()))
    origins = [f"{ADDRESS}:{port}", f"localhost:{port}"]
    try:
        made = Server(applications, address=ADDRESS, port=port, allow_websocket_origin=origins)
    except OSError as error:
        raise InputError(f"port {port} cannot be used ({error.strerror}); give another with --port") from None
    made.start()
    return made


def url(made: Any) -> str:
    return f"http://{ADDRESS}:{made.port}/"
