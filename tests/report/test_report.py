"""The page stands alone, says what its twin says, and opens in a browser without a complaint."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from sample import all_figures, document

from physsynth.report import Verdict, figures, render, significant, write
from physsynth.report.numbers import Quantity, percent

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)


@pytest.fixture(scope="module")
def page() -> str:
    return render(document())


def test_nothing_is_loaded_from_elsewhere(page):
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    loaded = re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)["']""", markup)
    # links go to places on the page, to its twin beside it, or to data within it
    assert all(place.startswith(("#", "data:")) or place == "report.json" for place in loaded)
    assert "@import" not in page.split("<script", 1)[0]
    assert "url(" not in page.split("<script", 1)[0].replace("url(data:", "")


def test_the_twin_holds_every_number(tmp_path):
    _, twin = write(document(), tmp_path)
    tree = json.loads(twin.read_text())
    blocks = tree["sections"][0]["blocks"]
    checks = next(block for block in blocks if block["kind"] == "checks")
    assert [row["value"] for row in checks["rows"]] == [1.003, 120.0]
    assert tree["verdict"]["numbers"][0]["value"]["value"] == 140
    assert {block["id"] for block in blocks if block["kind"] == "figure"} == set(all_figures())


def test_the_same_document_gives_the_same_bytes(tmp_path):
    first, again = (write(document(), tmp_path / name)[0].read_bytes() for name in ("a", "b"))
    assert first == again


def test_markup_in_words_stays_words():
    page = render(document(title="<script>alert('x')</script> & co"))
    assert "<script>alert" not in page
    assert html.escape("<script>alert", quote=False) in page


def test_a_failed_check_comes_with_its_advice(page):
    assert "run longer" in page
    assert "1 of 2 passed" in page


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.70149, "0.701"),
        (12345.6, "12,346"),
        (7.12e-5, "7.12 × 10⁻⁵"),
        (-3.0, "−3"),
        (0.0, "0"),
        (None, "–"),
    ],
)
def test_numbers_carry_no_more_digits_than_are_known(x, text):
    assert significant(x) == text


def test_intervals_in_words():
    words = Quantity(0.007, "", 0.0002, 0.021, percent).text().replace("\xa0", " ")
    assert words == "0.7 % (0.02 % to 2.1 %)"


def test_every_verdict_has_a_tone():
    tones = {status: Verdict(status, "").feeling for status in ("MET", "FORECAST", "EXTRAPOLATION", "FLOOR")}
    assert tones == {"MET": "good", "FORECAST": "neutral", "EXTRAPOLATION": "caution", "FLOOR": "bad"}


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine; .ci/run provides one")
def test_it_opens_in_a_browser_with_every_figure_and_no_complaint(tmp_path):
    page, _ = write(document(), tmp_path)
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--v=0",
        "--dump-dom",
    ]
    # a proxy that nobody serves: any attempt to reach the network would fail and be logged
    options += [
        "--proxy-server=127.0.0.1:9",
        "--virtual-time-budget=10000",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    done = subprocess.run(
        [BROWSER, *options, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints, complaints
    assert len(re.findall(r'<svg[^>]*class="main-svg"', done.stdout)) >= len(all_figures())


def test_a_log_histogram_shows_the_decades_that_matter():
    draws = np.concatenate([[0.0, 1e-200], 10.0 ** np.linspace(-5, -1, 98)])
    spec = figures.distribution(draws)
    assert min(spec["data"][0]["x"]) == pytest.approx(1e-5)
    assert spec["layout"]["xaxis"]["range"][1] < 0.0
    # Two draws of a hundred lie below what is shown.
    assert "2\u00a0%" in spec["layout"]["xaxis"]["title"]["text"]
    assert len(spec["layout"]["annotations"]) == 3


def test_a_percentile_of_zero_has_no_mark_on_a_log_axis():
    spec = figures.distribution(np.concatenate([np.zeros(20), np.full(80, 1e-3)]))
    assert len(spec["layout"]["annotations"]) == len(spec["layout"]["shapes"]) == 2


def test_a_label_stands_on_its_line_on_a_log_axis():
    """Plotly places shapes by value, annotations by logarithm."""
    n, widths = np.array([1, 10, 100]), {0.5: [300.0, 30.0, 3.0], 0.95: [1e3, 1e2, 1e1]}
    spec = figures.with_line(figures.fan(n, widths, target=4.0), 2.0, "floor 2")
    layout = spec["layout"]
    assert layout["yaxis"]["type"] == "log"
    lines = [shape["y0"] for shape in layout["shapes"]]
    assert lines == [4.0, 2.0]
    assert [label["y"] for label in layout["annotations"]] == pytest.approx(np.log10(lines).tolist())
