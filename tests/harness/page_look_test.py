"""The page of --html: phones, light and dark, contrast, screen readers."""

import unittest

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from browser import DESKTOP, PHONE
from page_fixture import FAILED, PageTest

# For each element that has text of its own: how its colour stands out from what
# is behind it, and how much it must (WCAG 2.1, AA).
CONTRASTS = r"""
const channel = (c) => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
const parse = (text) => text.match(/[\d.]+/g).map(Number);
const behind = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const colour = parse(getComputedStyle(one).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const poor = [];
let looked = 0;
for (const element of document.body.querySelectorAll("*")) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || ["SCRIPT", "NOSCRIPT", "STYLE"].includes(element.tagName)) continue;
  if (!element.checkVisibility({visibilityProperty: true})) continue;
  const style = getComputedStyle(element);
  looked += 1;
  const a = luminance(parse(style.color));
  const b = luminance(behind(element));
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || size >= 18.66 && parseInt(style.fontWeight) >= 700;
  if (ratio < (large ? 3 : 4.5)) {
    poor.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)} ` +
      element.textContent.slice(0, 30));
  }
}
return [looked, poor];
"""

# The colours of bars against what they are drawn on.
BAR_CONTRASTS = CONTRASTS.split("const poor")[0] + r"""
const style = getComputedStyle(document.documentElement);
const value = (name) => {
  const probe = document.createElement("p");
  probe.style.color = style.getPropertyValue("--" + name);
  document.body.append(probe);
  const colour = parse(getComputedStyle(probe).color);
  probe.remove();
  return luminance(colour);
};
const ratio = (a, b) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
return Object.fromEntries([...VERDICTS, "pass-soft"].map(
  (name) => [name, ratio(value(name), value("panel"))]));
"""


class LookTest(PageTest):

    def test_nothing_is_wider_than_the_window(self):
        for size in (PHONE, (320, 700), (768, 1000), DESKTOP):
            with self.subTest(size=size):
                browser = self.open(size=size)
                browser.run("document.querySelectorAll('details').forEach("
                            "(one) => { one.open = true; })")
                browser.frame()
                self.assertEqual(
                    browser.run("return document.documentElement.scrollWidth"),
                    size[0])

    def test_on_a_phone_a_bar_is_tapped(self):
        self.open(size=PHONE)
        place = self.bar_place("SolverTest.Converges 14")
        self.browser.tap(*place)
        self.assertIn("exceeded 1.5s", self.text("#chosen"))

    def test_on_a_phone_what_is_touched_is_large_enough(self):
        self.open(size=PHONE)
        for button in self.find_all("button"):
            if button.is_displayed():
                self.assertGreaterEqual(button.size["height"], 24, button.text)

    def test_text_stands_out_in_light_and_dark(self):
        for dark in (False, True):
            with self.subTest(dark=dark):
                browser = self.open(dark=dark)
                browser.run("document.querySelectorAll('details').forEach("
                            "(one) => { one.open = true; })")
                self.click_at(*self.bar_place(FAILED))
                looked, poor = browser.run(CONTRASTS)
                self.assertGreater(looked, 300)
                self.assertEqual(poor, [])
                for verdict, ratio in browser.run(BAR_CONTRASTS).items():
                    self.assertGreater(ratio, 3, verdict)

    def ground(self):
        return self.browser.run(
            "return getComputedStyle(document.body).backgroundColor")

    def test_a_request_that_left_the_page_would_be_seen(self):
        self.open()
        self.browser.run("new Image().src = 'http://127.0.0.1:9/x.png'")
        self.browser.frame()
        # The page's own policy refuses it, and says so.
        self.assertIn("Content Security Policy",
                      str(self.browser.driver.get_log("browser")))
        requests = self.browser.driver.get_log("performance")
        self.assertIn("file://" + self.common, str(requests))

    def test_the_theme_is_the_systems_or_the_switchs(self):
        browser = self.open()
        light = self.ground()
        browser.prefer("dark")
        dark = self.ground()
        self.assertNotEqual(light, dark)
        button = self.find("#theme")
        self.assertEqual(button.text, "Theme: auto")
        button.click()
        self.assertEqual((button.text, self.ground()), ("Theme: light", light))
        browser.prefer("light")
        button.click()
        self.assertEqual((button.text, self.ground()), ("Theme: dark", dark))
        # It stays.
        browser.driver.refresh()
        self.assertEqual(self.text("#theme"), "Theme: dark")
        self.assertEqual(self.ground(), dark)

    def test_the_timeline_has_the_colours_of_the_theme(self):
        browser = self.open()
        picture = "return document.getElementById('timeline').toDataURL()"
        light = browser.run(picture)
        self.find("#theme").click()
        browser.frame()
        self.assertEqual(browser.run(picture), light)
        self.find("#theme").click()
        browser.frame()
        self.assertNotEqual(browser.run(picture), light)


class AccessibilityTest(PageTest):

    def tree(self):
        nodes = self.browser.command("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", ""),
                 node) for node in nodes if not node["ignored"]]

    def test_a_screen_reader_finds_headings_regions_and_names(self):
        self.open()
        tree = self.tree()
        headings = [name for role, name, _ in tree if role == "heading"]
        for heading in ("7 of 60 tests failed", "Timeline", "Failures",
                        "Slowest tests", "Against the last run", "All tests",
                        "Targets"):
            self.assertIn(heading, headings)
        regions = {name for role, name, _ in tree if role == "region"}
        self.assertLessEqual({"Timeline", "Failures", "All tests"}, regions)
        roles = {role for role, _, _ in tree}
        self.assertLessEqual({"main", "search", "searchbox", "application",
                              "table", "columnheader"}, roles)
        for role, name, node in tree:
            if role in ("button", "searchbox", "application", "image",
                        "DisclosureTriangle"):
                self.assertTrue(name, node)

    def test_every_use_is_reached_by_the_tab_key(self):
        self.open()
        reached = []
        for _ in range(20):
            ActionChains(self.browser.driver).send_keys(Keys.TAB).perform()
            reached.append(self.browser.run(
                "const one = document.activeElement;"
                "return one.id || one.className || one.tagName"))
        for name in ("skip", "theme", "filter", "chip", "zoom-in", "timeline",
                     "SUMMARY"):
            self.assertIn(name, reached)


if __name__ == "__main__":
    unittest.main()
