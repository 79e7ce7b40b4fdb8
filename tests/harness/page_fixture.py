"""Pages of --html in a browser, for tests."""

import json
import os
import tempfile
import unittest

from selenium.webdriver.common.by import By

from browser import DESKTOP, Browser
from daemon_fixture import wait_for
from replay import replay

# A failing test, by the end of its name.
FAILED = "uniforms keep their order 3"


class PageTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.pages = 0
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)
        cls.common = cls.page()

    @classmethod
    def page(cls, *arguments):
        """The path of a new page, of a run with these arguments."""
        cls.pages += 1
        path = os.path.join(cls.folder, f"page{cls.pages}.html")
        replay("--html", path, *arguments)
        return path

    def open(self, path=None, size=DESKTOP, dark=False):
        path = path or self.common
        self.browser.resize(size)
        self.browser.prefer("dark" if dark else "light")
        self.browser.driver.get("file://" + path)
        self.browser.run("localStorage.clear()")
        self.browser.driver.get_log("browser")
        self.browser.driver.get_log("performance")
        self.browser.driver.refresh()
        # Nothing goes wrong in the page, whatever is done with it.
        self.addCleanup(self.check_quiet, path)
        return self.browser

    def check_quiet(self, path):
        self.assertEqual(self.browser.driver.get_log("browser"), [])
        requests = set()
        for entry in self.browser.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                requests.add(message["params"]["request"]["url"])
        # The page, and its icon that is nothing. A second look finds no more.
        self.assertLessEqual(requests, {"file://" + path, "data:,"})

    def find(self, selector):
        return self.browser.driver.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector):
        return self.browser.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.find(selector).text

    def bar_place(self, name):
        """Where the last bar of a test is, in the window."""
        self.browser.run("window.scrollTo(0, 0)")
        self.browser.frame()
        return self.browser.run(
            """const box = document.getElementById("timeline").getBoundingClientRect();
            const bar = testRun.timeline.places().filter(
              (one) => one.id.endsWith(arguments[0])).pop();
            return [box.left + bar.x, box.top + bar.y];""", name)

    def click_at(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.browser.command("Input.dispatchMouseEvent", type=kind, x=x,
                                 y=y, button="left", clickCount=1)

    def unfold(self, details):
        """Opens it and waits for what it is filled with, by an event."""
        details.find_element(By.TAG_NAME, "summary").click()
        wait_for(lambda: details.find_elements(By.CLASS_NAME, "body"),
                 "what was opened")

    def filter(self, words):
        box = self.find("#filter")
        box.clear()
        box.send_keys(words or " ")
        wait_for(lambda: self.browser.run("return testRun.shown") == words,
                 "the filter")
