"""The pages in a real browser: no complaint, no request, nothing wider than a phone."""

import pytest

from .browser import Browser, find_browser

pytestmark = pytest.mark.skipif(find_browser() is None, reason="needs Chromium; on Debian: apt-get install chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(find_browser(), tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", ["run", "zoo", "seeds", "table"])
def test_a_page_fits_and_asks_for_nothing(kind, width, dark, browser, pages):
    browser.open(pages[kind], width=width, dark=dark)
    assert browser.requests() == [pages[kind].resolve().as_uri()]
    assert browser.complaints() == []
    assert browser.evaluate("window.innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")


def test_the_pictures_are_there_and_sharp(browser, pages):
    browser.open(pages["run"], width=1280)
    images = "[...document.images]"
    assert browser.evaluate(f"{images}.every(image => image.complete && image.naturalWidth === 28)")
    assert browser.evaluate(f"{images}.every(image => getComputedStyle(image).imageRendering === 'pixelated')")
    assert browser.evaluate("[...document.querySelectorAll('svg.chart')].every(c => c.clientHeight > 100)")


def test_a_browser_complains_of_a_bad_page(browser, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        '<body style="width:900px"><img src="http://127.0.0.1:9/x.png"><script>console.error("no")</script></body>'
    )
    browser.open(page, width=390)
    assert len(browser.requests()) == 2
    assert any("no" in line for line in browser.complaints())
    assert browser.evaluate("document.documentElement.scrollWidth") > 390
