"""The page in a real browser: everything is there, it sorts, and it asks no one for anything."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from tests.waiting import LIMIT_S

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip

pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no chromium on this machine (Debian: apt-get install chromium)"
    ),
]

CLICKS = """
<script>
window.addEventListener("load", () => {
  const table = document.querySelector("#main");
  const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent).join();
  const heads = [...table.querySelectorAll("th button")];
  const time = heads.find((head) => head.textContent.startsWith("Time"));
  const seen = [names()];
  time.click(); seen.push(names());
  time.click(); seen.push(names());
  const wide = document.documentElement.scrollWidth;
  document.body.dataset.seen = JSON.stringify({orders: seen, wide, inner: window.innerWidth});
});
</script>
"""


def browse(page, tmp_path, *options):
    """Return the page's final DOM, the browser's log and the addresses it asked for."""
    log = tmp_path / "net.json"
    command = [
        CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}",
        "--enable-logging=stderr", "--v=0", "--virtual-time-budget=3000", *options, "--dump-dom",
        page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    return done.stdout, done.stderr, asked(log)


def asked(log):
    """Return the addresses that documents asked for; the browser's own errands have no origin."""
    found = set()
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        url = re.search(r'"url":("(?:[^"\\]|\\.)*")', line)
        if url and '"initiator":' in line and '"initiator":"not an origin"' not in line:
            found.add(json.loads(url.group(1)))
    return sorted(found)


@pytest.fixture(scope="module")
def page_in_browser(measured_report, tmp_path_factory):
    """Open the page of the measured run once."""
    return browse(measured_report[1].page, tmp_path_factory.mktemp("browser"))


def test_content_is_shown(page_in_browser, measured_report):
    """Verdict, tables, every figure and the commands are in the page as the browser has it."""
    dom = page_in_browser[0]
    pictures = [path for path in measured_report[1].figures if path.suffix == ".png"]
    assert dom.count('<img src="data:image/png;base64,') == len(pictures)
    for words in ("In short", "mas:splits=2 took 0.50× the time", "python -m harness.run",
                  "What is measured and what is modelled"):  # fmt: skip
        assert words in dom
    for table in ("main", "tasks", "pairs", "cost", "setup"):
        assert f'id="{table}"' in dom


def test_the_console_stays_empty(page_in_browser):
    """No script fails and no resource is missing."""
    errors = [line for line in page_in_browser[1].splitlines() if "CONSOLE" in line]
    assert errors == []


def test_nothing_is_asked_of_the_network(page_in_browser, measured_report):
    """The only address opened is the page itself."""
    outside = [url for url in page_in_browser[2] if url.startswith(("http:", "https:", "ws"))]
    assert outside == []


def test_a_request_would_be_noticed(tmp_path):
    """The log that the test before reads does hold what a page asks for, and its complaints."""
    page = tmp_path / "asks.html"
    script = "<script>console.log('said')</script>"
    page.write_text(f'<body><img src="http://example.org/a.png">{script}</body>', encoding="utf-8")
    _, log, addresses = browse(page, tmp_path)
    assert "http://example.org/a.png" in addresses
    assert any("CONSOLE" in line and "said" in line for line in log.splitlines())


def test_tables_sort_and_the_page_fits_a_phone(measured_report, tmp_path):
    """A click sorts by time, another one turns it round; at 375 pixels nothing hangs over."""
    text = measured_report[1].page.read_text(encoding="utf-8")
    inner = tmp_path / "inner.html"
    inner.write_text(text.replace("</body>", CLICKS + "</body>"), encoding="utf-8")
    outer = tmp_path / "outer.html"
    outer.write_text(
        '<iframe id="f" src="inner.html" style="width:375px;height:2000px"></iframe><script>'
        'window.addEventListener("load", () => { document.body.dataset.seen = '
        'document.querySelector("#f").contentDocument.body.dataset.seen; });</script>',
        encoding="utf-8",
    )
    dom, log, _ = browse(outer, tmp_path, "--allow-file-access-from-files")
    assert "CONSOLE" not in log
    seen = json.loads(re.search(r'data-seen="(.*?)"', dom).group(1).replace("&quot;", '"'))
    given, rising, falling = seen["orders"]
    assert given == "independent,all-in-one,mas:splits=2"
    assert rising == "all-in-one,mas:splits=2,independent"
    assert falling == "independent,mas:splits=2,all-in-one"
    assert seen["wide"] <= seen["inner"] <= 375
