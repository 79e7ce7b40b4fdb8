"""The benchmark runs and writes what docs/performance.md promises.

No test here looks at a time: the machine that runs tests is not one to
measure on.
"""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

BENCHMARK = os.path.join(
    os.environ.get("FORKSERVER_TEST_ROOT", os.getcwd()),
    "tools/benchmark/benchmark")

CASES = [
    "exec_tiny",
    "exec_true",
    "forked",
    "multiprocessing",
    "throughput_exec",
    "throughput_forked",
    "live_exec",
    "live_forked",
    "journey",
    "python_process",
    "python_pool",
    "python_django",
    "harness_doctest",
    "harness_gtest",
]
MACHINE_KEYS = {"cpu", "cores", "kernel", "date"}
CASE_KEYS = {
    "name", "group", "role", "unit", "samples", "disturbed", "median", "p99", "q1",
    "q3", "reference", "ratio", "aim", "met"
}


def run(*arguments):
    return subprocess.run([BENCHMARK, *arguments], capture_output=True,
                          text=True, timeout=120, check=False)


class BenchmarkTest(unittest.TestCase):

    def run_case(self, name):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            path = os.path.join(folder, "figures.json")
            result = run("--quick", "--case", name, "--json", path)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stderr, "")
            with open(path, encoding="utf-8") as file:
                return json.load(file), result.stdout

    def check_case(self, name):
        document, table = self.run_case(name)
        self.assertEqual(set(document),
                         {"machine", "versions", "cases", "skipped"})
        self.assertLessEqual(MACHINE_KEYS, set(document["machine"]))
        self.assertIn("forkserverd", document["versions"])
        self.assertTrue(document["cases"])
        names = [case["name"] for case in document["cases"]]
        for case in document["cases"]:
            self.assertEqual(set(case), CASE_KEYS)
            self.assertTrue(case["name"].startswith(name + "/"), case["name"])
            self.assertTrue(case["name"].startswith(case["group"] + "/"))
            self.assertIn(case["role"], ("forkserverd", "limit", "peer"))
            self.assertIn(case["name"], table)
            self.assertIn(case["unit"], ("us", "requests/s"))
            self.assertGreater(case["samples"], 0)
            self.assertLessEqual(case["q1"], case["median"])
            self.assertLessEqual(case["median"], case["q3"])
            if case["reference"] is not None:
                self.assertIn(case["reference"], names)
                self.assertGreater(case["ratio"], 0)
            if case["aim"] is None:
                self.assertIsNone(case["met"])
            else:
                self.assertIn(case["aim"]["kind"], ("at_most", "at_least"))
                self.assertIsInstance(case["met"], bool)

    def test_ctest_is_measured_where_it_is_installed(self):
        if shutil.which("ctest") is None:
            self.skipTest("os: there is no ctest")
        document, _ = self.run_case("harness_doctest")
        self.assertIn("harness_doctest/ctest -j",
                      [case["name"] for case in document["cases"]])

    def test_it_lists_its_cases(self):
        self.assertEqual(run("--list").stdout.split(), CASES)

    def test_an_unknown_case_is_refused_by_name(self):
        result = run("--case", "no_such_case")
        self.assertEqual(result.returncode, 2)
        self.assertIn("no_such_case", result.stderr)

    def test_a_file_that_cannot_be_written_is_an_error(self):
        result = run("--quick", "--case", "exec_tiny", "--json",
                     "/nonexistent/figures.json")
        self.assertEqual(result.returncode, 1)
        self.assertIn("/nonexistent/figures.json", result.stderr)


def add_case_test(name):
    setattr(BenchmarkTest, f"test_case_{name}_runs_and_writes_its_figures",
            lambda self: self.check_case(name))


for each in CASES:
    add_case_test(each)


if __name__ == "__main__":
    unittest.main()
