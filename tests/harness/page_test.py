"""The page of --html, opened and used in a browser."""

import os
import unittest

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from daemon_fixture import wait_for
from page_fixture import FAILED, PageTest

# What is at the end of the name of the test with odd bytes.
HOSTILE = "27"


class ContentTest(PageTest):

    def test_the_head_says_how_the_run_ended(self):
        self.open()
        self.assertEqual(self.text("h1"), "7 of 60 tests failed")
        self.assertEqual(self.browser.driver.title, "7 of 60 tests failed")
        self.assertIn("4 slots", self.text("#facts"))
        self.assertEqual([chip.text for chip in self.find_all(".chip")], [
            "2 failed", "2 crashed", "1 timed out", "1 leaked",
            "1 could not be run", "1 flaky", "2 skipped", "50 passed"
        ])

    def test_a_run_that_passed_says_so(self):
        self.open(self.page("--passing"))
        self.assertEqual(self.text("h1"), "60 tests passed")
        self.assertEqual(self.text("#failure-list"), "No test failed.")

    def test_a_run_that_was_killed_shows_what_it_had(self):
        self.open(self.page("--crash-after", "30"))
        self.assertIn("Did not end: 30 of 60 tests", self.text("h1"))
        self.assertIn("This run did not end", self.text(".notice.error"))
        self.assertEqual(len(self.find_all("#all tbody tr")), 30)
        self.assertGreater(
            self.browser.run("return testRun.timeline.places().length"), 29)

    def test_a_page_that_was_cut_anywhere_still_opens(self):
        with open(self.common, "rb") as file:
            whole = file.read()
        begin = whole.index(b'id="run-data"') + 15
        path = os.path.join(self.folder, "cut.html")
        for part in (0, .1, .4, .7, .95):
            with self.subTest(part=part):
                with open(path, "wb") as file:
                    file.write(whole[:begin + int((len(whole) - begin) * part)])
                self.open(path)
                self.assertIn("Did not end", self.text("h1"))

    def test_a_failure_has_its_reason_places_output_and_steps(self):
        self.open()
        first = self.find("#failure-list details")
        self.assertIsNotNone(first.get_attribute("open"))
        for part in (FAILED, "render/textures_test.cc:42",
                     'in subcase "half transparent"',
                     "values: CHECK( 639 == 640 )", "drawing 10,000 lights",
                     "warning: no GPU", "request", "set up"):
            self.assertIn(part, first.text)
        # Its colours are left out.
        self.assertIn("\nok 3 textures\n", first.text)

    def test_a_crash_has_its_backtrace_when_it_is_opened(self):
        self.open()
        crash = self.find_all("#failure-list details")[1]
        self.assertIn("SIGSEGV at address 0x8", crash.text)
        self.assertNotIn("Texture::LevelAt", crash.text)
        self.unfold(crash)
        self.assertIn("#0 Texture::LevelAt(int) const at render/texture.cc:118",
                      crash.text)
        self.assertIn("sampling level -1", crash.text)

    def test_each_attempt_is_told(self):
        self.open()
        self.filter("keepsenergy 17")
        opened = self.find("#failure-list details")
        self.assertIn("Attempt 1 of 2: failed", opened.text)
        self.assertIn("Attempt 2 of 2: crashed", opened.text)

    def test_what_tests_wrote_is_text_and_nothing_else(self):
        self.open()
        self.filter(HOSTILE)
        opened = self.find("#failure-list details")
        if not opened.get_attribute("open"):
            self.unfold(opened)
        self.assertIn("</script><script>alert(1)</script>", opened.text)
        self.assertIn("<!-- <script> ]]> --> ?>", opened.text)
        self.assertIn("\u2400", opened.text)
        self.assertIn("<b>\"odd\" & 'name'</b>", opened.text)
        self.assertEqual(self.find_all("#failure-list b"), [])

    def test_megabytes_of_output_are_shown_in_part_until_asked_for(self):
        self.open(self.page("--big-output", "3000000"))
        opened = self.find("#failure-list details")
        self.assertIn("1,000,000,000 bytes left out",
                      self.browser.run(
                          "return testRun.run.detailsOf(testRun.run.results.find("
                          "(one) => one.test.name.endsWith(' 3')))[0].stdout"
                          ".dropped_bytes.toLocaleString('en-US')") +
                      " bytes left out")
        self.assertLess(len(opened.text), 60000)
        opened.find_element(By.XPATH,
                            ".//button[contains(., 'Show all')]").click()
        self.assertGreater(
            self.browser.run(
                "return document.querySelector('#failure-list').textContent"
                ".length"), 2900000)

    def test_the_slowest_tests_come_first(self):
        self.open()
        rows = self.find_all("#slowest tbody tr")
        self.assertEqual(len(rows), 15)
        self.assertIn("1.50 s", rows[0].text)
        self.assertIn("SolverTest.Converges 14", rows[0].text)

    def test_durations_are_compared_with_the_last_run(self):
        self.open()
        self.assertRegex(self.text("#changes p"),
                         r"^\d+ tests ran before: .* last time \(\+\d+.%\)")
        row = self.find("#changes tbody tr").text
        self.assertIn("SolverTest.Converges 14", row)
        self.assertRegex(row, r"8\.0.ms.*1\.50.s.*\+\d+.%")

    def test_targets_are_told_with_their_set_up(self):
        self.open()
        rows = [row.text for row in self.find_all("#targets tbody tr")]
        self.assertEqual(len(rows), 3)
        self.assertIn("doctest, warm", rows[0])
        self.assertIn("80 ms", rows[0])


class UseTest(PageTest):

    def test_a_bar_that_is_clicked_shows_its_test(self):
        self.open()
        self.click_at(*self.bar_place(FAILED))
        self.assertIn(FAILED, self.text("#chosen"))
        self.assertIn("values: CHECK( 639 == 640 )", self.text("#chosen"))
        self.click_at(*self.bar_place("SolverTest.Converges 14"))
        self.assertIn("exceeded 1.5s", self.text("#chosen"))
        self.find("#chosen button").click()
        self.assertEqual(self.text("#chosen"), "")

    def test_the_timeline_is_used_with_keys(self):
        self.open()
        canvas = self.find("#timeline")
        canvas.send_keys(Keys.ARROW_RIGHT)
        first = self.text("#chosen h3")
        canvas.send_keys(Keys.ARROW_RIGHT)
        second = self.text("#chosen h3")
        self.assertNotEqual(first, second)
        canvas.send_keys(Keys.ARROW_DOWN)
        self.assertNotIn(self.text("#chosen h3"), (first, second))
        canvas.send_keys(Keys.ARROW_UP)
        canvas.send_keys(Keys.HOME)
        self.assertEqual(self.text("#chosen h3"), first)
        span = self.span()
        canvas.send_keys("+")
        self.assertLess(self.span(), span)
        canvas.send_keys("0")
        self.assertAlmostEqual(self.span(), span)

    def span(self):
        view = self.browser.run("return testRun.timeline.view()")
        return view["to"] - view["from"]

    def test_the_timeline_zooms_and_scrolls(self):
        self.open()
        whole = self.span()
        self.find("#zoom-in").click()
        self.find("#zoom-in").click()
        self.assertAlmostEqual(self.span(), whole / 4, delta=1)
        canvas = self.find("#timeline")
        before = self.browser.run("return testRun.timeline.view().from")
        ActionChains(self.browser.driver).drag_and_drop_by_offset(
            canvas, -200, 0).perform()
        self.assertGreater(
            self.browser.run("return testRun.timeline.view().from"), before)
        # That was no click.
        self.assertEqual(self.text("#chosen"), "")
        x, y = self.bar_place("SolverTest.Converges 14")
        self.browser.command("Input.dispatchMouseEvent", type="mouseWheel",
                             x=x, y=y, deltaX=0, deltaY=-240, modifiers=2)
        wait_for(lambda: self.span() < whole / 5, "the wheel")
        self.find("#zoom-fit").click()
        self.assertAlmostEqual(self.span(), whole)

    def test_the_pointer_is_told_what_a_bar_is(self):
        self.open()
        x, y = self.bar_place("SolverTest.Converges 14")
        self.browser.command("Input.dispatchMouseEvent", type="mouseMoved", x=x,
                             y=y)
        self.assertIn("SolverTest.Converges 14", self.text("#tip"))

    def test_the_filter_leaves_what_has_all_of_its_words(self):
        self.open()
        self.filter("ORDERS testcheckout")
        rows = [row.text for row in self.find_all("#all tbody tr")]
        self.assertTrue(rows)
        for row in rows:
            self.assertIn("TestCheckout", row)
        self.assertEqual(self.text("#matches"), f"{len(rows)} of 60 tests")
        self.assertEqual(len(self.find_all("#failure-list details")), 1)
        self.filter("textures")  # a tag
        self.assertGreater(len(self.find_all("#all tbody tr")), 3)
        self.filter("nothing has this")
        self.assertEqual(self.find_all("#all tbody tr"), [])
        self.filter("")
        self.assertEqual(len(self.find_all("#all tbody tr")), 60)

    def test_a_verdict_is_a_filter_too(self):
        self.open()
        chip = self.find(".chip[data-verdict=crash]")
        chip.click()
        self.assertEqual(chip.get_attribute("aria-pressed"), "true")
        self.assertEqual(len(self.find_all("#all tbody tr")), 2)
        self.find(".chip[data-verdict=skip]").click()
        self.assertEqual(len(self.find_all("#all tbody tr")), 4)
        chip.click()
        self.find(".chip[data-verdict=skip]").click()
        self.assertEqual(len(self.find_all("#all tbody tr")), 60)

    def test_the_table_is_sorted_by_its_headings(self):
        self.open()
        self.find("#all [data-sort=time]").click()
        self.assertIn("SolverTest.Converges 14",
                      self.find("#all tbody tr").text)
        heading = self.find_all("#all th")[1]
        self.assertEqual(heading.get_attribute("aria-sort"), "descending")
        self.find("#all [data-sort=verdict]").click()
        self.assertIn("FAIL", self.find("#all tbody tr").text)

    def test_a_test_of_a_table_is_shown_at_the_timeline(self):
        self.open()
        self.find("#slowest .name-button").click()
        self.assertIn("exceeded 1.5s", self.text("#chosen"))
        self.assertEqual(
            self.browser.run("return document.activeElement.id"), "timeline")

    def test_ten_thousand_tests_are_a_page_that_can_be_used(self):
        self.open(self.page("--tests", "10000"))
        self.assertEqual(self.text("h1"), "350 of 10,000 tests failed")
        # A piece of them, until there is more asked for.
        self.assertEqual(len(self.find_all("#all tbody tr")), 100)
        self.browser.run("document.querySelector('#all .more').click()")
        self.assertEqual(len(self.find_all("#all tbody tr")), 200)
        self.assertEqual(len(self.find_all("#failure-list details")), 100)
        self.filter("keepsenergy 9999")
        self.assertLess(len(self.find_all("#all tbody tr")), 3)
        self.filter("")
        self.click_at(*self.bar_place(" 5003"))
        self.assertNotEqual(self.text("#chosen h3"), "")


if __name__ == "__main__":
    unittest.main()
