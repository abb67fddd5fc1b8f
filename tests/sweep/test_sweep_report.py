"""The picture of a sweep in a real browser: that it draws in light and dark, can be steered, and fetches nothing."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from swept import MINUTE_NS, sweep, tick_walk

sys.path.insert(0, str(Path(__file__).parents[1] / "replay"))
from chromium_pipe import Browser, chromium

from reactor.sweep.report import page_of

pytestmark = pytest.mark.skipif(chromium() is None, reason="Debian's chromium is not installed")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    file = tick_walk(folder / "BTCUSDT.npz", count=20_000)
    sets = ["stop.atr=1,2,3", "trailing.atr=0.6,1.2", "break_even=on,off"]
    found = sweep(file, sets=sets, every_ns=6 * MINUTE_NS, share=0.5, folds=2)
    (folder / "whole.html").write_bytes(page_of(found, heat=("stop.atr", "trailing.atr")))
    found = sweep(file, sets=["stop.atr=1,2"], every_ns=6 * MINUTE_NS, share=1.0)
    (folder / "no_test.html").write_bytes(page_of(found, heat=None))
    hostile = folder / "BTCUSDT_<img src=x onerror=alert(1)>.npz"
    hostile.write_bytes(file.read_bytes())
    found = sweep(hostile, sets=["stop.atr=1"], every_ns=60 * MINUTE_NS, trades_min=10**6)
    (folder / "nothing.html").write_bytes(page_of(found, heat=None))
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def show(browser: Browser, page: Path, *, width: int = 1280, scheme: str = "light") -> None:
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=900,
        deviceScaleFactor=1,
        mobile=width < 600,
    )
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.call("Emulation.setEmulatedMedia", media="", features=[feature])
    browser.open(page.as_uri())


def count(browser: Browser, selector: str) -> int:
    return int(browser.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length"))


@pytest.mark.parametrize("name", ["whole", "no_test", "nothing"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "dark")])
def test_it_draws_without_a_complaint(
    browser: Browser, pages: Path, name: str, width: int, scheme: str
) -> None:
    show(browser, pages / f"{name}.html", width=width, scheme=scheme)
    assert browser.complaints() == []
    assert browser.evaluate("document.documentElement.dataset.failed") is None
    assert [one for one in browser.requests() if not one.startswith(("file:", "data:"))] == []
    # Nothing is wider than the screen.
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth") is True


def test_both_parts_have_a_map_with_the_best_outlined(browser: Browser, pages: Path) -> None:
    show(browser, pages / "whole.html")
    assert count(browser, "table.heat") == 2
    assert count(browser, "table.heat tbody tr") == 4
    assert count(browser, "table.heat td.best") == 2
    show(browser, pages / "no_test.html")
    assert count(browser, "table.heat") == 1


def test_the_map_shows_what_the_table_says(browser: Browser, pages: Path) -> None:
    """A cell over one other parameter is the mean of its combinations."""
    show(browser, pages / "whole.html")
    said = browser.evaluate(
        """(() => {
          const { rows, fields } = page.session, at = fields.indexOf("mean_r");
          const of = rows.filter((row) => !row.extra && row.values[0] === "2" && row.values[1] === "0.6").map((row) => row.train[at]);
          const mean = of.reduce((sum, value) => sum + value, 0) / of.length;
          const cell = document.querySelectorAll("table.heat")[0].querySelectorAll("tbody tr")[0].querySelectorAll("td")[1];
          return JSON.stringify([of.length, shown(mean, 2), cell.innerText]);
        })()"""
    )
    number, expected, cell = json.loads(said)
    assert number == 2
    assert cell == expected


def test_a_row_can_be_chosen_and_a_heading_sorts(browser: Browser, pages: Path) -> None:
    show(browser, pages / "whole.html")
    before = browser.evaluate("document.querySelector('.chosen').innerText")
    browser.evaluate("document.querySelectorAll('#rows button.link')[3].click()")
    browser.settle()
    after = browser.evaluate("document.querySelector('.chosen').innerText")
    assert before.startswith("rank 1 ")
    assert after.startswith("rank 3 ")  # the base plan stands above the first
    browser.evaluate("document.querySelectorAll('#rows th button')[1].click()")
    first = browser.evaluate("document.querySelector('#rows tbody tr').children[1].innerText")
    browser.evaluate("document.querySelectorAll('#rows th button')[1].click()")
    last = browser.evaluate("document.querySelector('#rows tbody tr').children[1].innerText")
    assert (first, last) == ("1", "3")
    assert browser.complaints() == []


def test_other_measures_and_parameters_can_be_asked_for(browser: Browser, pages: Path) -> None:
    show(browser, pages / "whole.html")
    boxes = count(browser, "#heat-choices select")
    assert boxes == 4
    for box, value in ((2, "win_rate"), (0, "2"), (1, ""), (3, "best")):
        browser.evaluate(
            f"(() => {{ const box = document.querySelectorAll('#heat-choices select')[{box}] ;"
            f" if (!box) return; box.value = {json.dumps(value)}; box.dispatchEvent(new Event('change')); }})()"
        )
        browser.settle()
    assert "%" in browser.evaluate("document.querySelector('table.heat tbody td').innerText")
    assert count(browser, "table.heat thead th[scope=col]") == 4
    assert browser.complaints() == []


def test_a_name_cannot_become_markup(browser: Browser, pages: Path) -> None:
    show(browser, pages / "nothing.html")
    assert count(browser, "img") == 0
    assert "<img src=x" in browser.evaluate("document.querySelector('h1').innerText")
    assert "nothing is ranked" in browser.evaluate("document.body.innerText")
