"""A headless Chromium of its own, by Debian's chromium-driver."""

import os
import shutil
import tempfile

# Selenium is Debian's: /usr/bin/python3 has it.
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

DESKTOP = (1280, 900)
PHONE = (360, 740)


class Browser:
    """`close` ends it. Nothing of it is kept."""

    def __init__(self, size=DESKTOP, dark=False, scale=1):
        self._folder = tempfile.mkdtemp(prefix="fsb", dir="/tmp")
        options = Options()
        options.binary_location = shutil.which("chromium")
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu",
                     "--hide-scrollbars", "--disable-dev-shm-usage",
                     "--no-first-run", "--disable-background-networking",
                     "--user-data-dir=" + self._folder,
                     f"--window-size={size[0]},{size[1]}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs",
                               {"browser": "ALL", "performance": "ALL"})
        # Its configuration and caches go with it.
        environment = dict(os.environ, HOME=self._folder)
        self.driver = webdriver.Chrome(options=options, service=Service(
            shutil.which("chromedriver"), env=environment))
        self.resize(size, scale)
        self.prefer("dark" if dark else "light")

    def close(self):
        self.driver.quit()
        shutil.rmtree(self._folder, ignore_errors=True)

    def command(self, name, **arguments):
        """A command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def resize(self, size, scale=1):
        """A narrow window is that of a phone."""
        self.command("Emulation.setDeviceMetricsOverride",
                     width=size[0],
                     height=size[1],
                     deviceScaleFactor=scale,
                     mobile=size[0] < 600)

    def prefer(self, scheme):
        """What the system prefers: light or dark."""
        self.command("Emulation.setEmulatedMedia",
                     features=[{"name": "prefers-color-scheme",
                                "value": scheme}])

    def run(self, script, *arguments):
        """The value of a function's body in the page."""
        return self.driver.execute_script(script, *arguments)

    def frame(self):
        """Returns when the page has drawn what was asked of it so far."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame("
            "() => requestAnimationFrame(() => done()))")

    def tap(self, x, y):
        """A finger, at a place of the window."""
        self.command("Emulation.setTouchEmulationEnabled", enabled=True)
        self.command("Input.dispatchTouchEvent", type="touchStart",
                     touchPoints=[{"x": x, "y": y}])
        self.command("Input.dispatchTouchEvent", type="touchEnd",
                     touchPoints=[])
