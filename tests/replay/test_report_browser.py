"""The picture in a real browser: that it draws, says exact values, can be steered, and fetches nothing."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from chromium_pipe import Browser, chromium
from report_sessions import START_NS, busy, hedge, note, small_prices, tiny, write

from reactor.replay.report import Report

pytestmark = pytest.mark.skipif(chromium() is None, reason="Debian's chromium is not installed")

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><b>x"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def on_a_desk(browser: Browser) -> None:
    screen(browser, width=1280, height=900, scheme="light")


def screen(browser: Browser, *, width: int, height: int, scheme: str) -> None:
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=width < 600,
    )
    scheme_feature = {"name": "prefers-color-scheme", "value": scheme}
    still = {"name": "prefers-reduced-motion", "value": "reduce"}
    browser.call("Emulation.setEmulatedMedia", media="", features=[scheme_feature, still])


def show(browser: Browser, report: Report, folder: Path, *, fragment: str = "") -> None:
    browser.open(write(report, folder, "report").as_uri() + fragment)


def text(browser: Browser, selector: str) -> str:
    return str(browser.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))


def view(browser: Browser) -> list[float]:
    seen: list[float] = json.loads(browser.evaluate("JSON.stringify(page.chart.view)"))
    return seen


def place(browser: Browser, expression: str) -> tuple[float, float]:
    """The middle of an element on the screen."""
    box = json.loads(
        browser.evaluate(
            f"(() => {{ const e = {expression}; e.scrollIntoView({{block: 'center'}});"
            " return JSON.stringify(e.getBoundingClientRect()); })()"
        )
    )
    return box["left"] + box["width"] / 2, box["top"] + box["height"] / 2


def click(browser: Browser, expression: str) -> None:
    x, y = place(browser, expression)
    browser.mouse("moved", x, y)
    browser.mouse("pressed", x, y)
    browser.mouse("released", x, y)
    browser.settle()


def pixels(browser: Browser, *names: str) -> int:
    """How many pixels of the chart have just the colour of one of these lines."""
    wanted = json.dumps([f"--{name}" for name in names])
    count: int = browser.evaluate(
        f"""(() => {{
          const drawn = page.chart.plot.ctx.canvas;
          const copy = new OffscreenCanvas(drawn.width, drawn.height);
          const ctx = copy.getContext("2d", {{ willReadFrequently: true }});
          ctx.drawImage(drawn, 0, 0);
          const data = ctx.getImageData(0, 0, drawn.width, drawn.height).data;
          const style = getComputedStyle(document.documentElement);
          const colours = {wanted}.map((name) => parseInt(style.getPropertyValue(name).trim().slice(1), 16));
          let count = 0;
          for (let at = 0; at < data.length; at += 4) {{
            const colour = (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
            if (data[at + 3] === 255 && colours.includes(colour)) count += 1;
          }}
          return count;
        }})()"""
    )
    return count


@cache
def busy_session() -> tuple[Report, list[tuple[int, str]]]:
    return busy(exits=500, stop_moves=20_000)


SESSIONS: dict[str, Callable[[], Report]] = {
    "one exit": tiny,
    "both sides": hedge,
    "small prices, no exit": small_prices,
    "busy": lambda: busy_session()[0],
}


@pytest.mark.parametrize("name", SESSIONS)
def test_it_draws_on_desk_and_phone_without_a_complaint_and_fetches_nothing(
    browser: Browser, tmp_path: Path, name: str
) -> None:
    show(browser, SESSIONS[name](), tmp_path)
    for width, scheme in ((1280, "light"), (400, "dark")):
        screen(browser, width=width, height=900, scheme=scheme)
        browser.until(f"Math.abs(page.chart.plot.width - {width}) < 120")
        browser.settle()
        assert browser.evaluate("Number(document.documentElement.dataset.drawn)") > 0
        assert pixels(browser, "price") > 50
        assert pixels(browser, "stop-loss", "break-even", "trailing-stop", "manual") > 50
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.evaluate(overflow) == 0
    assert browser.complaints() == []
    allowed = ("file:", "data:", "about:")
    assert [url for url in browser.requests() if not url.startswith(allowed)] == []


def test_a_session_without_anything_says_so(browser: Browser, tmp_path: Path) -> None:
    show(browser, Report(title="nothing"), tmp_path)
    assert browser.complaints() == []
    assert "nothing to draw" in text(browser, "#legend")
    assert "Nothing was decided" in text(browser, "#rows")
    assert "No position" in text(browser, "#positions")


def test_a_session_of_notes_alone_lists_them(browser: Browser, tmp_path: Path) -> None:
    report = Report(title="silent")
    report.line(note(START_NS, "its trigger source never ticked"))
    show(browser, report, tmp_path)
    click(browser, "document.querySelector('#rows button')")
    assert "its trigger source never ticked" in text(browser, "#rows")
    assert browser.complaints() == []


def test_text_from_outside_stays_text(browser: Browser, tmp_path: Path) -> None:
    report = tiny(title=HOSTILE, symbol=HOSTILE, plan=HOSTILE)
    report.line(note(START_NS, HOSTILE, HOSTILE))
    report.shade(HOSTILE, START_NS, START_NS + 10**9, HOSTILE, HOSTILE)
    show(browser, report, tmp_path)
    browser.evaluate("page.jump(page.session.exits[0])")
    browser.settle()
    assert browser.complaints() == []
    assert browser.evaluate("document.querySelectorAll('main img, main b, header img').length") == 0
    assert browser.evaluate("document.title") == f"{HOSTILE} · Exit Reactor"
    assert text(browser, "h1") == HOSTILE
    assert HOSTILE in text(browser, "#positions")
    assert HOSTILE in text(browser, "#rows")


def test_a_policy_stops_a_handler_that_got_in_all_the_same(
    browser: Browser, tmp_path: Path
) -> None:
    show(browser, tiny(), tmp_path)
    browser.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=owned=1>')")
    browser.settle()
    assert browser.evaluate("typeof owned") == "undefined"
    assert any("Content Security Policy" in json.dumps(entry) for entry in browser.complaints())


def test_a_row_leads_to_its_exit_with_exact_values(browser: Browser, tmp_path: Path) -> None:
    report, before = busy_session()
    show(browser, report, tmp_path)
    whole = view(browser)
    click(browser, "document.querySelectorAll('tr[data-type=exit] button')[40]")
    left, right = view(browser)
    assert right - left < (whole[1] - whole[0]) / 5
    assert left < browser.evaluate("page.session.exits[40].t") < right
    tip = text(browser, ".tip")
    assert "exit 41" in tip
    assert f"stop before\n{before[40][1]}" in tip
    assert browser.evaluate("page.chart.moment === page.session.exits[40].t")
    remaining = browser.evaluate("page.session.exits[40].remaining")
    assert f"open {remaining}" in " ".join(text(browser, "#readout").split())
    assert browser.evaluate("location.hash") == "#decision-43"


def test_an_address_opens_at_its_decision(browser: Browser, tmp_path: Path) -> None:
    show(browser, tiny(), tmp_path, fragment="#decision-2")
    assert "exit 1" in text(browser, ".tip")
    assert "87974.8" in text(browser, ".tip")


def test_the_mouse_zooms_and_a_double_click_resets(browser: Browser, tmp_path: Path) -> None:
    show(browser, hedge(), tmp_path)
    whole = view(browser)
    x, y = place(browser, "page.chart.plot.over")
    browser.mouse("moved", x, y)
    browser.settle()
    assert "price" in text(browser, "#readout")
    assert "open" in text(browser, "#readout")
    browser.mouse("pressed", x, y)
    browser.mouse("moved", x + 20, y)
    browser.mouse("moved", x + 100, y)
    browser.mouse("released", x + 100, y)
    browser.settle()
    zoomed = view(browser)
    assert zoomed[1] - zoomed[0] < (whole[1] - whole[0]) / 5
    for clicks in (1, 2):
        browser.mouse("pressed", x, y, clicks=clicks)
        browser.mouse("released", x, y, clicks=clicks)
    browser.settle()
    assert view(browser) == whole


def test_the_overview_moves_the_view(browser: Browser, tmp_path: Path) -> None:
    show(browser, hedge(), tmp_path)
    x, y = place(browser, "page.chart.small.over")
    browser.mouse("moved", x, y)
    browser.mouse("pressed", x, y)
    browser.mouse("moved", x + 60, y)
    browser.mouse("released", x + 60, y)
    browser.settle()
    first = view(browser)
    browser.mouse("pressed", x + 30, y)
    browser.mouse("moved", x + 130, y)
    browser.mouse("released", x + 130, y)
    browser.settle()
    second = view(browser)
    assert second[0] > first[1]
    assert second[1] - second[0] == pytest.approx(first[1] - first[0], rel=1e-6)


def test_the_keyboard_walks_ticks_and_exits(browser: Browser, tmp_path: Path) -> None:
    show(browser, tiny(), tmp_path)
    browser.evaluate("document.getElementById('chart').focus()")
    prices = []
    for _ in range(3):
        browser.key("ArrowRight")
        browser.settle()
        prices.append(text(browser, "#readout .readout-line").split("\n")[1])
    assert prices == ["price 88126.1", "price 88130.0", "price 88110.0"]
    browser.key("ArrowLeft")
    browser.settle()
    assert "price 88130.0" in text(browser, "#readout")
    browser.key("n", "n")
    browser.settle()
    assert text(browser, "#which") == "1 of 1"
    whole = browser.evaluate("page.session.whole")
    browser.key("+", "+")
    browser.settle()
    assert view(browser) != whole
    browser.key("Escape")
    browser.settle()
    assert view(browser) == whole


def test_small_prices_are_written_out(browser: Browser, tmp_path: Path) -> None:
    show(browser, small_prices(), tmp_path)
    labels = browser.evaluate("page.chart.plot.axes[1]._values")
    assert len(set(labels)) == len(labels) > 3
    assert all(label.startswith("0.0000") and "e" not in label for label in labels)
    assert "0.00001234" in text(browser, "#readout") + text(browser, "#rows")


def test_numbers_and_times_are_written_as_people_write_them(
    browser: Browser, tmp_path: Path
) -> None:
    show(browser, tiny(), tmp_path)
    cases = {
        "plain(1.5e-7)": "0.00000015",
        "plain(1e21)": "1000000000000000000000",
        "plain(-2.5e-8)": "-0.000000025",
        "plain(88126.16)": "88126.16",
        "count(1234567)": "1\u202f234\u202f567",
        "decimals(2.5e-7)": 8,
        "decimals(5)": 0,
        "signed('0.5')": "+0.5",
        "signed('-0.5')": "-0.5",
        "signed('0')": "0",
        "clock(1763640000123456)": "2025-11-20 12:00:00.123456",
        "clock(1763640000123000)": "2025-11-20 12:00:00.123",
        "duration(500)": "1 ms",
        "duration(59_900_000)": "59.9 s",
        "duration(3_661_000_000)": "1 h 1 min",
        "countUntil([1, 2, 2, 3], 2)": 3,
        "countUntil([], 2)": 0,
    }
    assert {case: browser.evaluate(case) for case in cases} == cases


def test_a_layer_and_a_side_can_be_switched_off(browser: Browser, tmp_path: Path) -> None:
    show(browser, hedge(), tmp_path)
    for box in range(7):
        click(browser, f"document.querySelectorAll('#legend input')[{box}]")
    assert browser.evaluate("Object.values(page.chart.layers).some(Boolean)") is False
    assert pixels(browser, "price", "stop-loss", "break-even", "trailing-stop", "target") == 0
    click(browser, "document.querySelectorAll('#sides button')[2]")
    assert browser.evaluate("page.chart.epochs.map(e => e.side).join()") == "SHORT"
    assert browser.complaints() == []


def test_it_prints_in_light_colours_with_every_row(browser: Browser, tmp_path: Path) -> None:
    screen(browser, width=1280, height=900, scheme="dark")
    report, _ = busy(exits=300, stop_moves=3_000)
    show(browser, report, tmp_path)
    ground = "getComputedStyle(document.documentElement).getPropertyValue('--card')"
    assert browser.evaluate("document.querySelectorAll('#rows tbody tr').length") == 200
    assert browser.evaluate(ground) != "#ffffff"
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    browser.settle()
    assert browser.evaluate("document.querySelectorAll('#rows tbody tr').length") == 302
    assert browser.evaluate(ground) == "#ffffff"
    assert browser.evaluate("page.chart.plot.width") == 690
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    browser.settle()
    assert browser.evaluate(ground) != "#ffffff"
    assert browser.evaluate("page.chart.plot.width") > 1_000
    assert browser.complaints() == []


def test_levels_and_labels_keep_their_contrast(browser: Browser, tmp_path: Path) -> None:
    names = {
        "text": 4.5,
        "soft": 4.5,
        "link": 4.5,
        "price": 4.5,
        "entry": 4.5,
        "target": 4.5,
        "stop-loss": 4.5,
        "break-even": 4.5,
        "trailing-stop": 4.5,
        "manual": 4.5,
        "focus": 3,
    }
    for scheme in ("light", "dark"):
        screen(browser, width=1280, height=900, scheme=scheme)
        show(browser, tiny(), tmp_path)
        style = "getComputedStyle(document.documentElement).getPropertyValue"
        ground = _luminance(browser.evaluate(f"{style}('--card')"))
        for name, least in names.items():
            colour = _luminance(browser.evaluate(f"{style}('--{name}')"))
            contrast = (max(colour, ground) + 0.05) / (min(colour, ground) + 0.05)
            assert contrast >= least, (scheme, name, contrast)


def _luminance(colour: str) -> float:
    """Relative luminance as the web's accessibility guidelines define it."""
    channels = [int(colour.strip()[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
