"""A headless Chromium, and what the tests do with a page of Airflow in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PICTURES = os.environ.get("NEURO_BUCKETS_PICTURES")
"""A folder for pictures of the pages. Those of the documentation are made anew with
``NEURO_BUCKETS_PICTURES=docs/images make test-standalone``."""

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed: apt-get install chromium-driver"
)

T = TypeVar("T")
PATIENCE_SECONDS = 300.0
LISTEN = """
window.heard = "";
new MutationObserver(() => { window.heard += document.body.innerText + "\\n"; })
    .observe(document.body, {childList: true, subtree: true, characterData: true});
"""
"""Messages of Airflow are gone after five seconds, in which nobody may have looked."""
IS_STILL = """
return document.getAnimations().every(
    (one) => one.playState !== "running" || one.effect.getComputedTiming().endTime === Infinity);
"""


class Browser:
    """One page in Chromium.

    :param url: where Airflow is.
    """

    def __init__(self, url: str, profile: Path) -> None:
        from selenium.webdriver import Chrome, ChromeOptions, ChromeService  # noqa: PLC0415 - only where there is one

        options = ChromeOptions()
        options.binary_location = CHROMIUM or ""
        for argument in (
            "headless=new",
            "no-sandbox",  # it cannot have one when tests are run by root
            "disable-dev-shm-usage",
            "force-prefers-reduced-motion",
            "hide-scrollbars",
            "window-size=1280,900",
            f"user-data-dir={profile}",
        ):
            options.add_argument(f"--{argument}")
        self._url = url
        self._driver = Chrome(options, ChromeService(DRIVER))

    @classmethod
    @contextmanager
    def open(cls, url: str, profile: Path) -> Iterator[Self]:
        """Open it; leaving the block closes it."""
        browser = cls(url, profile)
        try:
            yield browser
        finally:
            browser._driver.quit()

    def go(self, path: str, *, width: int = 1280, height: int = 900) -> None:
        """Go to a page of Airflow."""
        self._driver.set_window_size(width, height)
        self._driver.get(self._url + path)

    def until(self, what: str, question: Callable[[], T | None]) -> T:
        """Ask until there is an answer; a page that changes meanwhile is no answer."""
        from selenium.common.exceptions import (  # noqa: PLC0415 - as above
            NoSuchElementException,
            StaleElementReferenceException,
            TimeoutException,
        )
        from selenium.webdriver.support.wait import WebDriverWait  # noqa: PLC0415 - as above

        passing = (NoSuchElementException, StaleElementReferenceException)
        try:
            waiting = WebDriverWait(self._driver, PATIENCE_SECONDS, ignored_exceptions=passing)
            return waiting.until(lambda _: question() or False)
        except TimeoutException:
            raise AssertionError(f"never seen: {what}, but:\n{self.text()}") from None

    def text(self) -> str:
        """Return all that a person can read."""
        return str(self._driver.find_element("tag name", "body").text)

    def says(self, *texts: str) -> None:
        """Wait until the page says all this at once."""
        self.until(" and ".join(texts), lambda: all(text in self.text() for text in texts))

    def listen(self) -> None:
        """Keep from now on what the page says for a moment only."""
        self._driver.execute_script(LISTEN)

    def told(self, *texts: str) -> None:
        """Wait until the page has said all this since :meth:`listen`."""
        self.until(" and ".join(texts), lambda: all(text in self._heard() for text in texts))

    def _heard(self) -> str:
        return str(self._driver.execute_script("return window.heard"))

    def press(self, button: str, *, row: str = "") -> None:
        """Press the button with this text, or of this name.

        :param row: press that in the row of a table which has this text.
        """
        within = f"//tr[contains(., {row!r})]" if row else ""
        path = f"{within}//button[normalize-space()={button!r} or @aria-label={button!r}]"

        def press() -> bool:
            self._driver.find_element("xpath", path).click()
            return True

        self.until(f"button {button!r}", press)

    def write(self, selector: str, text: str) -> None:
        """Write into a field."""

        def write() -> bool:
            self._driver.find_element("css selector", selector).send_keys(text)
            return True

        self.until(f"field {selector}", write)

    def count(self, selector: str) -> int:
        """Return how many elements there are."""
        return len(self._driver.find_elements("css selector", selector))

    def attribute(self, selector: str, name: str) -> str | None:
        """Wait for an element; return an attribute of it."""
        element = self.until(selector, lambda: self._driver.find_element("css selector", selector))
        return element.get_attribute(name)

    def links(self, text: str) -> list[str | None]:
        """Return where the links with this text lead to."""
        return [link.get_attribute("href") for link in self._driver.find_elements("link text", text)]

    def picture(self, name: str, *, part: str = "body") -> None:
        """Take a picture of an element, if anybody wants pictures."""
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            self.until("a page that stands still", lambda: self._driver.execute_script(IS_STILL))
            element = self._driver.find_element("css selector", part)
            assert element.screenshot(str(Path(PICTURES) / f"{name}.png"))
