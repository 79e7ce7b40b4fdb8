"""Figures of a run that never was: compared, and drawn as a page."""

import copy
import html.parser
import json
import os
import subprocess
import tempfile
import unittest

BENCHMARK = os.path.join(
    os.environ.get("FORKSERVER_TEST_ROOT", os.getcwd()),
    "tools/benchmark/benchmark")
# Elements that are never closed.
VOID = {"meta", "link"}
NASTY = "a/<script>alert('&\"')</script>"


def row(name, median, role="forkserverd", **more):
    values = {
        "name": name, "group": name.split("/")[0], "role": role, "unit": "us",
        "samples": 200, "disturbed": 0, "median": median,
        "q1": median * .98, "q3": median * 1.02, "p99": median * 1.5,
        "reference": None, "ratio": None, "aim": None, "met": None}
    return {**values, **more}


def figures():
    return {
        "machine": {"cpu": "A <cpu>", "cores": 2, "kernel": "Linux 6",
                    "date": "2026-01-01T00:00:00Z"},
        "versions": {"forkserverd": "0.1.0"},
        "cases": [
            row("a/bare", 100, "limit"),
            row("a/own", 150, reference="a/bare", ratio=1.5,
                aim={"kind": "at_most", "value": 2}, met=True),
            row("a/own", 150, reference=NASTY, ratio=.5),
            row(NASTY, 300, "peer", reference="a/own", ratio=2.0,
                aim={"kind": "at_least", "value": 3}, met=False),
            row("rates/own", 5000, unit="requests/s"),
        ],
        "skipped": ["peers_true/s6: not <installed>"],
    }


class Page(html.parser.HTMLParser):
    """Checks that elements are closed in order, and collects."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise ValueError(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text.append(data)


class FiguresTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir="/tmp")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, document, name="figures.json"):
        with open(self.path(name), "w", encoding="utf-8") as file:
            if isinstance(document, str):
                file.write(document)
            else:
                json.dump(document, file)
        return self.path(name)

    def run_it(self, *arguments):
        return subprocess.run([BENCHMARK, *arguments], capture_output=True,
                              text=True, timeout=60, check=False)

    # --- --compare ---

    def compare(self, before, now):
        return self.run_it("--from", self.write(now),
                           "--compare", self.write(before, "old.json"))

    def test_each_row_tells_whether_it_changed_beyond_the_noise(self):
        before, now = figures(), figures()
        own = now["cases"][1]
        own["median"], own["q1"], own["q3"], own["ratio"] = 300, 294, 306, 3.0
        own["met"] = False
        result = self.compare(before, now)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        lines = {line.split()[0]: line for line in result.stdout.splitlines()
                 if " x bare" in line or line.startswith(("a/bare", "rates/"))}
        self.assertRegex(lines["a/own"], r"1\.50 +3\.00 +\+100\.0 % +\d+\.\d % "
                         r" BEYOND  MISSED, was met$")
        self.assertRegex(lines["a/bare"], r"100\.0 +100\.0 +\+0\.0 % .* noise$")
        self.assertRegex(lines["rates/own"], r"5000\.0 .* noise$")
        self.assertIn("1 of 5 changed beyond the noise", result.stdout)

    def test_rows_of_one_side_only_are_named(self):
        before, now = figures(), figures()
        before["cases"].append(row("gone/own", 7))
        now["cases"].append(row("new/own", 7))
        result = self.compare(before, now)
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"gone/own +only before")
        self.assertRegex(result.stdout, r"new/own +only now")

    def test_figures_of_before_there_were_groups_can_be_compared(self):
        before = figures()
        del before["skipped"]
        for case in before["cases"]:
            del case["group"], case["role"]
        result = self.compare(before, figures())
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def check_refused(self, result, *words):
        self.assertEqual(result.returncode, 2)
        for word in words:
            self.assertIn(word, result.stderr)
        # Nothing was measured for it.
        self.assertEqual(result.stdout, "")

    def test_what_is_no_figures_is_refused_before_anything_is_measured(self):
        good = figures()
        no_reference = copy.deepcopy(good)
        del no_reference["cases"][0]
        no_median = copy.deepcopy(good)
        no_median["cases"][0]["median"] = "fast"
        for wrong in ("", "[]", "{}", "no json", good["cases"],
                      {**good, "cases": []}, {**good, "cases": [7]},
                      {**good, "machine": None}, no_reference, no_median):
            with self.subTest(wrong=str(wrong)[:60]):
                path = self.write(wrong, "wrong.json")
                self.check_refused(self.run_it("--quick", "--compare", path),
                                   path)
                self.check_refused(self.run_it("--from", path), path)

    def test_a_file_that_is_not_there_is_refused(self):
        self.check_refused(
            self.run_it("--quick", "--compare", self.path("none.json")),
            self.path("none.json"), "No such file")

    def test_figures_of_other_cases_are_refused_before_anything_is_measured(self):
        path = self.write(figures())
        self.check_refused(
            self.run_it("--quick", "--case", "exec_tiny", "--compare", path),
            path, "none of these cases")

    def test_figures_without_a_common_case_are_refused(self):
        other = figures()
        other["cases"] = [row("other/own", 1)]
        result = self.compare(other, figures())
        self.assertEqual(result.returncode, 2)
        self.assertIn("no case in common", result.stderr)

    def test_from_and_what_it_would_measure_exclude_each_other(self):
        path = self.write(figures())
        for words in (["--quick"], ["--case", "exec_tiny"],
                      ["--json", self.path("again.json")]):
            self.check_refused(self.run_it("--from", path, *words), "--from")

    # --- --html ---

    def draw(self, document):
        path = self.path("page.html")
        result = self.run_it("--from", self.write(document), "--html", path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        with open(path, encoding="utf-8") as file:
            return file.read()

    def test_the_page_has_each_case_once(self):
        page = Page(self.draw(figures()))
        self.assertEqual(page.open, [])
        self.assertEqual(
            [attributes["data-case"] for _, attributes in page.elements
             if "data-case" in attributes],
            ["a/bare", "a/own", NASTY, "rates/own"])
        self.assertEqual(
            [attributes["data-role"] for tag, attributes in page.elements
             if tag == "div" and "data-role" in attributes],
            ["limit", "forkserverd", "peer", "forkserverd"])

    def test_the_page_has_medians_spread_ratios_and_aims(self):
        page = Page(self.draw(figures()))
        text = " ".join(" ".join(page.text).split())
        for words in ("100 µs", "98.0 µs – 102 µs, p99 150 µs, 200 samples",
                      "1.50 × bare ≤ 2 met", "2.00 × own ≥ 3 missed",
                      "5000/s", "1 of 2 aims met"):
            self.assertIn(words, text)
        boxes = [attributes["style"] for _, attributes in page.elements
                 if attributes.get("class") == "half" and
                 attributes["style"] != "left:0.00%;width:100.00%"]
        # Of 100, 150 and 300: drawn to one scale.
        left = [float(box.split(":")[1].split("%")[0]) for box in boxes[:3]]
        self.assertAlmostEqual(left[1] / left[0], 1.5, delta=.01)
        self.assertAlmostEqual(left[2] / left[0], 3, delta=.01)

    def test_the_page_tells_the_machine_and_what_was_skipped(self):
        text = Page(self.draw(figures())).text
        for words in ("A <cpu>", "Linux 6", "2026-01-01T00:00:00Z", "0.1.0",
                      "peers_true/s6: not <installed>"):
            self.assertIn(words, text)

    def test_names_cannot_become_markup(self):
        page = self.draw(figures())
        self.assertNotIn("<script>alert", page)
        self.assertIn(NASTY.split("/", 1)[1], Page(page).text)

    def test_the_page_asks_for_nothing(self):
        page = self.draw(figures())
        # But for the line that forbids it.
        self.assertEqual(page.count("http-equiv"), 1)
        self.assertNotIn("http", page.replace("http-equiv", ""))
        self.assertNotIn("url(", page)
        self.assertNotIn("@import", page)
        for tag, attributes in Page(page).elements:
            self.assertNotIn("src", attributes, tag)
            self.assertIn(attributes.get("href", "data:,"), ("data:,",), tag)

    def test_a_page_that_cannot_be_written_is_an_error(self):
        result = self.run_it("--from", self.write(figures()), "--html",
                             "/nonexistent/page.html")
        self.assertEqual(result.returncode, 1)
        self.assertIn("/nonexistent/page.html", result.stderr)


if __name__ == "__main__":
    unittest.main()
