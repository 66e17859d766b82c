"""The frame of every page: its template, its two lines of text, and the file that needs no server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from dynamics.support.errors import InputError, IntegrationError
from dynamics.support.files import write_aside

FIELDS = """
:host { color: var(--ink); }
label, .bk-slider-title, .bk-description { color: var(--ink); }
input, select, textarea, .bk-input, .choices__inner { background: var(--field); color: var(--ink);
  border-color: var(--line); }
.choices__list--dropdown, .choices__input { background: var(--field) !important; color: var(--ink); }
.bk-btn { background: var(--field); color: var(--ink); border-color: var(--line); }
.bk-btn.bk-active { background: var(--accent); color: var(--paper); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
"""
"""The colours of fields: those of the page, light or dark."""


def require_bokeh() -> None:
    """Raise InputError where Bokeh is not installed."""
    if find_spec("bokeh") is None:
        raise InputError("pages are made with Bokeh, which is not installed; pip install 'attention-dynamics[explore]'")


@dataclass(frozen=True)
class Lines:
    """The two lines of a page: what is wrong, and what was found, in words that are also read aloud.

    Attributes
    ----------
    message, status : bokeh.models.Div
        Not shown; what they hold is.
    """

    message: Any
    status: Any

    @classmethod
    def new(cls) -> Lines:
        from bokeh.models import CustomJS, Div

        made = []
        for name in ("message", "status"):
            div = Div(name=name, text="", visible=False)
            code = "document.getElementById(div.name).textContent = div.text"
            div.js_on_change("text", CustomJS(args={"div": div}, code=code))
            made.append(div)
        return cls(*made)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Within it an error becomes the message, in one line, and what is shown stays."""
        try:
            yield
        except (InputError, IntegrationError, MemoryError) as error:
            self.message.text = "error: " + (" ".join(str(error).split()) or "out of memory")
        else:
            self.message.text = ""


def answers(lines: Lines, work: Callable[[], None]) -> Callable[[str, Any, Any], None]:
    """A callback of a widget that does the work, and tells what is wrong."""

    def changed(attribute: str, old: Any, new: Any) -> None:
        with lines.told():
            work()

    return changed


def dressed(widget: Any) -> Any:
    """A widget in the colours of the page."""
    from bokeh.models import InlineStyleSheet

    widget.stylesheets = [*widget.stylesheets, InlineStyleSheet(css=FIELDS)]
    return widget


def new_figure(**options: Any) -> Any:
    """A figure on the colour of the page, and a legend that is no box."""
    from bokeh.plotting import figure

    return figure(min_border=12, background_fill_color=None, border_fill_color=None, **options)


def template() -> Any:
    from bokeh.core.templates import get_env

    return get_env().from_string(files("dynamics.explore").joinpath("page.html").read_text(encoding="utf-8"))


def save_page(path: str | os.PathLike[str], root: Any, title: str, about: str) -> None:
    """Write one file that holds everything it shows and loads nothing.

    Raises
    ------
    InputError
        If the name does not end in .html, or it cannot be written.
    """
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    if not os.fspath(path).endswith((".html", ".htm")):
        raise InputError(f"cannot save {os.fspath(path)!r}: a page is saved as .html, name it so")
    page = file_html(
        [root], INLINE, title, template=template(), template_variables={"views": (), "here": "", "about": about}
    )
    with write_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")


def put(document: Any, root: Any, title: str, about: str, views: Sequence[tuple[str, str]], here: str) -> None:
    """Make a document of the server a page."""
    document.title = title
    document.template = template()
    document.template_variables.update(views=views, here=here, about=about)
    document.add_root(root)
