"""The benchmark runs and writes what docs/performance.md promises.

No test here looks at a time: the machine that runs tests is not one to
measure on.
"""

import functools
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
    "exec_large",
    "forked",
    "forked_large",
    "forked_busy",
    "multiprocessing",
    "throughput_exec",
    "throughput_forked",
    "live_exec",
    "live_forked",
    "connections",
    "events",
    "peers_true",
    "peers_forked",
    "journey",
    "python_process",
    "python_pool",
    "python_spare",
    "python_django",
    "harness_doctest",
    "harness_gtest",
]
MACHINE_KEYS = {"cpu", "cores", "kernel", "date"}
CASE_KEYS = {
    "name", "group", "role", "unit", "samples", "disturbed", "median", "p99", "q1",
    "q3", "reference", "ratio", "aim", "met"
}
# What each peer is run by. Others are always there.
PEERS = {
    "peers_true/node": "node",
    "peers_true/erlang": "escript",
    "peers_true/s6": "s6-supervise",
    "peers_forked/afl++": "afl-cc",
}


def run(*arguments, **options):
    return subprocess.run([BENCHMARK, *arguments], capture_output=True,
                          text=True, timeout=600, check=False, **options)


def measure(name, **options):
    """The process that measured, and the figures that it wrote."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = os.path.join(folder, "figures.json")
        result = run("--quick", "--case", name, "--json", path, **options)
        with open(path, encoding="utf-8") as file:
            return result, json.load(file)


@functools.lru_cache(maxsize=None)
def measured_once(name):
    return measure(name)


class BenchmarkTest(unittest.TestCase):

    def run_case(self, name, **options):
        result, document = measure(name, **options) if options else measured_once(
            name)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        return document, result.stdout

    def check_case(self, name):
        document, table = self.run_case(name)
        self.assertEqual(set(document),
                         {"machine", "versions", "cases", "skipped"})
        self.assertLessEqual(MACHINE_KEYS, set(document["machine"]))
        self.assertIn("forkserverd", document["versions"])
        # The one case that has nothing but a peer.
        self.assertTrue(document["cases"] or name == "peers_forked")
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

    def check_peer(self, name):
        program = PEERS[name]
        if shutil.which(program) is None:
            self.skipTest(f"os: there is no {program}")
        document, _ = self.run_case(name.split("/")[0])
        rows = [case for case in document["cases"] if case["name"] == name]
        self.assertEqual(len(rows), 1)
        self.assertEqual(rows[0]["role"], "peer")
        self.assertTrue(rows[0]["reference"].endswith("/forkserverd"))
        self.assertEqual(rows[0]["aim"], {"kind": "at_least", "value": 1})

    def test_peers_that_are_not_installed_are_skipped_by_name(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            nothing = {**os.environ, "PATH": folder}
            document, table = self.run_case("peers_true", env=nothing)
            forked, _ = self.run_case("peers_forked", env=nothing)
        self.assertEqual(
            [case["name"] for case in document["cases"]],
            ["peers_true/forkserverd", "peers_true/libuv", "peers_true/python"])
        skipped = document["skipped"] + forked["skipped"]
        self.assertEqual(skipped, [name + ": not installed" for name in PEERS])
        for one in document["skipped"]:
            self.assertIn(one, table)
        self.assertEqual(forked["cases"], [])

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


def add_peer_test(name):
    setattr(BenchmarkTest, f"test_peer_{name}_is_measured",
            lambda self: self.check_peer(name))


for each in PEERS:
    add_peer_test(each)

if __name__ == "__main__":
    unittest.main()
