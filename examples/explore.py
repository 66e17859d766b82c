"""What the pages of `dynamics explore` look like: a screenshot of each view, taken by a headless Chromium.

The pages are served to this machine, opened, and clicked as a reader would: cells of the phase diagram, the words of
the bundled text, a program with three parameters. Printed is how long an answer took in the page, from the click to the
drawn curves. Needs Bokeh, selenium, and Debian's chromium and chromium-driver (pip install '.[explore,test]').

    python examples/explore.py [output directory] [cells a side of the map, 57]
"""

import re
import subprocess
import sys
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains

PROGRAM = Path(__file__).parent / "programs" / "gated.py"
READY = "return document.documentElement.dataset.ready"
ANSWERED = "return document.documentElement.dataset.answered"
MAP = """
const one = [...Bokeh.documents[0].all_models].find((m) => m.name == "map")
const view = Bokeh.index.find_one(one), box = view.frame.bbox, edge = view.el.getBoundingClientRect()
return [edge.left + box.left + arguments[0] * box.width, edge.top + box.top + (1 - arguments[1]) * box.height]"""
RANGES = """
const all = [...Bokeh.documents[0].all_models]
for (const [place, low, high] of [["across", 8, 7 + arguments[0]], ["up", 4, 3 + arguments[0]]])
  all.find((m) => m.title?.startsWith(`Values ${place}`)).value = `${low}:${high}`"""


def opened() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1480,1000"):
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def until(driver: webdriver.Chrome, script: str) -> object:
    for _ in range(1200):
        found = driver.execute_script(script)
        if found:
            return found
        time.sleep(0.1)
    raise TimeoutError(script)


def click(driver: webdriver.Chrome, across: float, up: float) -> float:
    """Rest on a place of the map, as a hand does, and click it; milliseconds until its curves were drawn."""
    driver.execute_script("delete document.documentElement.dataset.answered")
    x, y = driver.execute_script(MAP, across, up)
    move, press = ActionChains(driver), ActionChains(driver)
    move.w3c_actions.pointer_action.move_to_location(int(x), int(y))
    move.perform()
    time.sleep(0.3)
    press.w3c_actions.pointer_action.click()
    press.perform()
    return float(str(until(driver, ANSWERED)))


def main(output: Path, side: int) -> None:
    output.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "dynamics.cli",
        "explore",
        "--port",
        "0",
        "--no-browser",
        "--program",
        str(PROGRAM),
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    driver = opened()
    try:
        assert server.stdout is not None
        address = re.search(r"http://[\d.:]+/", server.stdout.readline())
        assert address
        for view in ("phase", "text", "program"):
            driver.get(address[0] + view)
            until(driver, READY)
            if view == "phase":
                before = "document.getElementById('status').textContent"
                if side != 57:
                    driver.execute_script(RANGES, side)
                    until(driver, f"return {before}.startsWith('{side * side:,} cells')")
                took = sorted(click(driver, 0.6 + 0.02 * k, 0.2 + 0.01 * k) for k in range(12))
                print(f"{side} x {side} cells: an answer in {took[6]:.0f} ms (from {took[0]:.0f} to {took[-1]:.0f})")
            time.sleep(2)
            driver.save_screenshot(str(output / f"explore_{view}.png"))
    finally:
        driver.quit()
        server.terminate()
    print(f"written to {output}: explore_phase.png, explore_text.png, explore_program.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"), int(sys.argv[2]) if len(sys.argv) > 2 else 57)
