"""Headless Chromium, driven from outside: what a person does, what the page shows, and what it asks the network for."""

import base64
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
PATIENCE = 20.0
"""Seconds after which something that does not come about is considered missing."""
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps"),
    *("--no-default-browser-check", "--mute-audio", "--window-size=1280,2000"),
)


def browser() -> str | None:
    """Where Chromium is, with its driver; None where either is missing."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return found if shutil.which(DRIVER) else None


@contextmanager
def started(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser with a new profile, which ends with the block."""
    options = webdriver.ChromeOptions()
    options.binary_location = browser() or ""
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    environment = {**os.environ, "SE_OFFLINE": "true", "NO_PROXY": "*", "TZ": "UTC"}
    driver = webdriver.Chrome(options=options, service=Service(shutil.which(DRIVER), env=environment))
    driver.set_script_timeout(PATIENCE + 5)
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """One tab. What went wrong in it is asked at the end of every test: `complaints` and `strangers`."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self._driver = driver
        self._logged: list[dict[str, Any]] = []
        self.complaints: list[str] = []

    def open(self, where: Path | str) -> None:
        """Go to a file or a URL, and wait until the script has shown the jobs."""
        self._driver.get(where.as_uri() if isinstance(where, Path) else where)
        self.wait("document.getElementById('count').textContent")

    def js(self, code: str, *arguments: Any) -> Any:
        """The value of an expression in the page."""
        return self._driver.execute_script(f"return ({code})", *arguments)

    def wait(self, code: str) -> Any:
        """The value of an expression once it is a true one, looked at with every frame that is drawn."""
        look = f"""
            const done = arguments[arguments.length - 1];
            const until = performance.now() + {PATIENCE * 1000};
            (function look() {{
                let value = null;
                try {{ value = ({code}); }} catch {{ value = null; }}
                if (value) done(value);
                else if (performance.now() > until) done(null);
                else requestAnimationFrame(look);
            }})();
        """
        value = self._driver.execute_async_script(look)
        assert value, f"never came about: {code}"
        return value

    def text(self, selector: str) -> str:
        """The text of an element, as it stands in the document."""
        return str(self.js("document.querySelector(arguments[0]).textContent", selector))

    def texts(self, selector: str) -> list[str]:
        """The texts of all such elements."""
        return list(self.js("[...document.querySelectorAll(arguments[0])].map((one) => one.textContent)", selector))

    def ids(self) -> list[str]:
        """The jobs whose cards are in the document, in the order in which they are shown."""
        script = (
            "[...document.querySelectorAll('.card')].sort((a, b) => a.ariaPosInSet - b.ariaPosInSet)"
            ".map((one) => one.querySelector('.id').textContent)"
        )
        return list(self.js(script))

    def click(self, selector: str) -> None:
        """With the mouse, after it has come into view."""
        self._driver.find_element("css selector", selector).click()

    def hover(self, selector: str) -> None:
        """Bring the mouse there."""
        element = self._driver.find_element("css selector", selector)
        ActionChains(self._driver, duration=0).scroll_to_element(element).move_to_element(element).perform()

    def press(self, *keys: str) -> None:
        """Type, where the focus is."""
        ActionChains(self._driver, duration=0).send_keys(*keys).perform()

    def write(self, selector: str, text: str) -> None:
        """Put a text into a field instead of what stands there."""
        self.click(selector)
        self.press(
            Keys.END, *([Keys.BACKSPACE] * len(str(self.js("document.querySelector(arguments[0]).value", selector))))
        )
        self.press(text)

    def choose(self, selector: str, value: str) -> None:
        """Choose from a list."""
        script = (
            "const one = document.querySelector(arguments[0]); one.value = arguments[1];"
            "one.dispatchEvent(new Event('input', {bubbles: true}))"
        )
        self._driver.execute_script(script, selector, value)

    def focus_is_on(self, job_id: str) -> None:
        """Wait until the card of a job has the focus."""
        self.wait(f"document.activeElement.querySelector('.id').textContent === {json.dumps(job_id)}")

    def device(self, width: int, height: int, *, phone: bool = False) -> None:
        """A window of so many pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, scheme: str) -> None:
        """What the system says of light and dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def downloads(self, folder: Path) -> None:
        """Keep what is downloaded in a folder."""
        behaviour = {"behavior": "allow", "downloadPath": str(folder)}
        self._driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)

    def downloaded(self, path: Path) -> str:
        """The text of a file that has been, or is being, downloaded."""
        until = time.monotonic() + PATIENCE
        while not (path.exists() and path.stat().st_size):
            assert time.monotonic() < until, f"{path} never came"
            self.js("1")
        return path.read_text(encoding="utf-8")

    def screenshot(self, path: Path) -> None:
        """What the window shows."""
        path.write_bytes(base64.b64decode(self._driver.get_screenshot_as_base64()))

    def requests(self) -> list[str]:
        """Every URL that the page has asked for since the test began, local data left out."""
        self._logged += [json.loads(entry["message"])["message"] for entry in self._driver.get_log("performance")]
        sent = [entry["params"] for entry in self._logged if entry["method"] == "Network.requestWillBeSent"]
        urls = [one["request"]["url"] for one in sent if urlsplit(one["documentURL"]).scheme in {"file", "http"}]
        return [url for url in urls if urlsplit(url).scheme not in {"data", "blob"}]

    def gather(self) -> None:
        """Take over what the console has said."""
        self.complaints += [entry["message"] for entry in self._driver.get_log("browser")]

    def leave(self) -> None:
        """Forget everything of this test: marks, theme, window, logs."""
        self._driver.execute_script("try { localStorage.clear() } catch { /* no origin */ }")
        self._driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        self._driver.get("data:,")
        self._driver.get_log("performance")
        self._driver.get_log("browser")
