"""A headless browser, and the pages of made-up runs in it. Without a browser the tests fail."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from lab.evidence import trace

WAIT_TIMEOUT = 30.0  # seconds, for a loaded machine
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
    "--hide-scrollbars",
)  # fmt: skip


@pytest.fixture(scope="session")
def driver() -> Iterator[webdriver.Chrome]:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    chromedriver = shutil.which("chromedriver")
    assert browser, "no Chromium or Chrome here: scripts/setup --tests installs it"
    assert chromedriver, "no chromedriver here: scripts/setup --tests installs it"
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        service = webdriver.ChromeService(executable_path=chromedriver)
        chrome = webdriver.Chrome(options=options, service=service)
        try:
            yield chrome
        finally:
            chrome.quit()


@dataclass
class Page:
    """A run's page, opened offline and operated by pointer and keys."""

    driver: webdriver.Chrome

    def open(
        self,
        path: Path,
        *,
        dark: bool = False,
        size: tuple[int, int] = (1400, 900),
        accepted: str = "en-US",
    ) -> None:
        """``accepted`` are the browser's languages."""
        chrome, (width, height) = self.driver, size
        chrome.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        chrome.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        agent = {"userAgent": self.run("return navigator.userAgent"), "acceptLanguage": accepted}
        chrome.execute_cdp_cmd("Emulation.setUserAgentOverride", agent)
        chrome.get("about:blank")
        self.complaints()
        self.requests()
        chrome.get(path.as_uri())
        self.until(lambda: self.run("return document.documentElement.dataset.ready"))

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, WAIT_TIMEOUT, poll_frequency=0.02).until(lambda _: condition())

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return [found.text for found in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def press(self, *keys: str) -> None:
        """Sends keys to the element with the focus."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def frame(self) -> None:
        """Waits until the picture is drawn with all changes so far."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done));"
        )

    def click_at(self, x: float, y: float) -> None:
        """Clicks in the picture; the position is in pixels from its top left corner."""
        size = self.find("#chart").size
        chain = ActionChains(self.driver)
        chain.move_to_element_with_offset(
            self.find("#chart"), round(x - size["width"] / 2), round(y - size["height"] / 2)
        )
        chain.click().perform()

    def point_on(self, packet: int) -> tuple[float, float]:
        """A point on a packet's arrow: on its last part, which has no label."""
        return tuple(
            self.run(
                "const p = wayOnScreen(arguments[0]).points;"
                "const [[x1, y1], [x2, y2]] = p.slice(-2); return [(x1 + x2) / 2, (y1 + y2) / 2];",
                packet,
            )
        )

    def click_packet(self, packet: int) -> str:
        """Clicks on a packet's arrow. Returns the text of the details panel."""
        self.frame()
        self.click_at(*self.point_on(packet))
        return self.panel()

    def panel(self) -> str:
        self.until(lambda: self.find("#details").is_displayed())
        return self.find("#details").text

    def complaints(self) -> list[str]:
        """The console's errors, warnings and refused loads since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]

    def requests(self) -> list[str]:
        """The URLs that the browser requested since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


@pytest.fixture
def page(driver: webdriver.Chrome) -> Iterator[Page]:
    """A page; after the test its console must be empty."""
    opened = Page(driver)
    yield opened
    assert opened.complaints() == []


@pytest.fixture
def show(page: Page, tmp_path: Path) -> Callable[..., Page]:
    """Opens the page of the run that ``make(folder)`` returns."""

    def shown(make: Callable[..., Any], language: str | None = None, **options: Any) -> Page:
        folder = make(tmp_path / "runs" / "made-up" / "now").save()
        page.open(trace.write(folder, language=language), **options)
        return page

    return shown
