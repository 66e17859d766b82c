"""The pages of ``dynamics explore`` in a real browser: headless Chromium, driven by selenium."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynamics import copying, solve
from dynamics.cli import run

pytest.importorskip("bokeh", reason="Bokeh is not installed (the extra explore)")
pytest.importorskip("selenium", reason="selenium is not installed (the extra test)")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no browser: install Debian's chromium and chromium-driver"
)


PATIENCE = 90.0
"""Seconds until something is there, on a machine that does much else."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                 "--window-size=1500,1250"):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [sys.executable, "-m", "dynamics.cli", "explore", "--port", "0", "--no-browser", "--max-vocab", "20"]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=tmp_path_factory.mktemp("explore"),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert server.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
    assert found
    yield found[0]
    server.terminate()
    server.wait(30)


def until(there: Callable[[], Any]) -> Any:
    """What is there as soon as it is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = there()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def goes(browser: Any, url: str) -> None:
    browser.get_log("browser")
    browser.get(url)
    until(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
    errors = [line["message"] for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    assert not errors


def model(browser: Any, name: str, what: str) -> Any:
    """Something of the model of a name (or a title) in the page."""
    return browser.execute_script(
        "const all = [...Bokeh.documents[0].all_models]\n"
        f"const one = all.find((m) => m.name == arguments[0] || m.title == arguments[0])\nreturn {what}",
        name,
    )


def text(browser: Any, identifier: str) -> str:
    return str(browser.execute_script("return document.getElementById(arguments[0]).textContent", identifier))


def click(browser: Any, name: str, across: float, up: float) -> None:
    """Click within the frame of a figure, at shares of its width and height."""
    from selenium.webdriver.common.action_chains import ActionChains

    at = model(
        browser, name,
        f"""(() => {{ const view = Bokeh.index.find_one(one), box = view.frame.bbox
        const edge = view.el.getBoundingClientRect()
        return [edge.left + box.left + {across} * box.width, edge.top + box.top + (1 - {up}) * box.height] }})()""",
    )  # fmt: skip
    chain = ActionChains(browser)
    chain.w3c_actions.pointer_action.move_to_location(int(at[0]), int(at[1])).click()
    chain.perform()


CURVES = "one.renderers[0].data_source.data"


def curves(browser: Any, name: str) -> tuple[list[str], list[Any], list[Any]]:
    told = model(
        browser, name,
        f"(() => {{ const d = {CURVES}; return [d.name, d.xs.map((x) => [...x]), d.ys.map((y) => [...y])] }})()",
    )  # fmt: skip
    return told[0], told[1], told[2]


@pytest.mark.parametrize("view", ["phase", "text", "program"])
def test_every_view_loads_without_errors_and_is_labelled(browser: Any, address: str, view: str) -> None:
    goes(browser, address + view)
    assert text(browser, "message") == ""
    assert until(lambda: text(browser, "status"))
    assert browser.execute_script("return document.documentElement.lang") == "en"
    unnamed = browser.execute_script("""
const found = []
const walk = (root) => { for (const one of root.querySelectorAll("*")) {
  if (one.shadowRoot) walk(one.shadowRoot)
  if (["INPUT", "SELECT", "BUTTON"].includes(one.tagName) && !one.closest(".bk-ToolbarPanel") && one.type != "hidden") {
    const label = one.labels?.length || one.ariaLabel || one.textContent.trim() || one.placeholder
      || root.querySelector("label")
    if (!label) found.push(one.outerHTML.slice(0, 120))
  }
} }
walk(document)
return found""")
    assert unnamed == []


def test_a_click_draws_what_solve_gives(browser: Any, address: str) -> None:
    goes(browser, address + "phase")
    before = text(browser, "status")
    click(browser, "map", 0.72, 0.22)
    until(lambda: text(browser, "status") != before)  # the last thing that an answer changes
    V, L = (int(number) for number in re.findall(r"[VL] = (\d+)", text(browser, "status")))
    names, times, drawn = curves(browser, "order")
    assert names == ["u", "a"]
    solved = solve(copying(vocab=V, length=L), times[0], initial={"u": 0.01, "a": 0.01})
    for name, values in zip(names, drawn, strict=True):
        np.testing.assert_allclose(values, solved[name], rtol=2e-3, atol=2e-4)
    assert until(lambda: browser.execute_script("return document.documentElement.dataset.answered"))


def test_a_cell_is_named_without_a_pointer(browser: Any, address: str) -> None:
    goes(browser, address + "phase")
    model(browser, "Cell across", "(one.value = '40', 1)")
    until(lambda: "At V = 40" in text(browser, "status"))


def test_bad_values_are_one_line(browser: Any, address: str) -> None:
    goes(browser, address + "phase")
    model(browser, "Values across, such as 2:9:30:log", "(one.value = '8:y', 1)")
    until(lambda: text(browser, "message").startswith("error: "))
    assert "is not an axis" in text(browser, "message")
    assert "\n" not in text(browser, "message")
    model(browser, "Values across, such as 2:9:30:log", "(one.value = '8:30', 1)")
    until(lambda: not text(browser, "message"))


def test_light_and_dark(browser: Any, address: str) -> None:
    goes(browser, address + "program")
    paper = "return getComputedStyle(document.body).backgroundColor"
    before = browser.execute_script(paper)
    button = browser.find_element("id", "look")
    button.send_keys(" ")  # from the keyboard
    after = browser.execute_script(paper)
    assert before != after
    assert button.get_attribute("aria-pressed") in ("true", "false")
    ink = model(browser, "states", "one.below[0].major_label_text_color")
    assert ink in ("#1a1a1a", "#ececec")


def test_a_saved_page_needs_no_network(browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explore", "--max-vocab", "15", "--save", str(tmp_path / "words.html")]) == 0
    browser.execute_cdp_cmd("Network.enable", {})
    offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": True, **offline})
    try:
        goes(browser, (tmp_path / "words.html").as_uri())
        before = until(lambda: text(browser, "status"))
        model(browser, "Time τ", "(one.value = 5, 1)")
        until(lambda: text(browser, "status") != before)
        model(browser, "Words (type to search)", "(one.value = [one.options[0]], 1)")
        drawn = until(lambda: len(curves(browser, "curves")[0]) == 2 and curves(browser, "curves"))
        assert drawn[0][0].startswith("β of ")
        assert all(0 <= value <= 1 for value in drawn[2][0])
    finally:
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", {"offline": False, **offline})


def test_only_this_machine_is_answered(address: str) -> None:
    port = int(address.rsplit(":", 1)[1].strip("/"))
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for other in others - {"127.0.0.1"}:
        with pytest.raises(OSError, match="refused"), socket.create_connection((other, port), timeout=5):
            pass
