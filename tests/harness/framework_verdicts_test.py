"""`forkserver test` says of each test what the framework itself says of it, in
one run of the same program by hand."""

import collections
import json
import os
import subprocess
import unittest
import xml.etree.ElementTree

from daemon_fixture import ROOT
from harness_fixture import HarnessTestCase, read_file

# A child that returns from a test goes on as the framework's own process, and
# writes to its report: not by hand.
FORKS_OF_DOCTEST = "forks, and the child returns"
FORKS_OF_GTEST = "Plain.ForksAndTheChildReturns"
WORDS = {"leak": "pass", "flaky": "pass"}


class FrameworkVerdictsTest(HarnessTestCase):

    def program(self, name):
        return os.path.join(ROOT, "tests/harness/programs", name)

    def by_hand(self, *words):
        """Runs a whole program, whose failures are on purpose."""
        environment = {key: value
                       for key, value in self.sandbox.environment.items()
                       if not key.startswith("GTEST_")}
        result = subprocess.run(words, env=environment, cwd=self.project,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=120,
                                check=False)
        self.assertIn(result.returncode, range(256), result.stdout)

    def by_us(self, program, *options):
        """{(name, line): [verdict]}; every listed test has one."""
        listed = json.loads(self.cli("test", "--list", "--json", program,
                                     cwd=self.project).stdout)
        places = {each["id"]: (each["name"], each["line"]) for each in listed}
        outcome = self.run_tests(*options, program)
        ended = outcome.of("test_ended")
        self.assertEqual(len(ended), len(listed))
        verdicts = collections.defaultdict(list)
        for each in ended:
            verdict = each["verdict"]
            verdicts[places[each["id"]]].append(WORDS.get(verdict, verdict))
        return verdicts

    def assert_alike(self, ours, theirs):
        """By places: a framework permits equal names."""
        self.assertGreater(len(theirs), 20)
        self.assertEqual({key: sorted(value) for key, value in ours.items()},
                         {key: sorted(value) for key, value in theirs.items()})

    def doctest_verdicts(self, program):
        report = self.path("report.xml")
        self.by_hand(program, "--reporters=xml", "--out=" + report,
                     "--test-case-exclude=" + FORKS_OF_DOCTEST.replace(
                         ",", "\\,"))
        found = collections.defaultdict(list)
        for case in xml.etree.ElementTree.parse(report).iter("TestCase"):
            result = case.find("OverallResultsAsserts")
            if case.get("skipped") == "true":
                # Which it also says of what the command line left out.
                verdict = "skip"
            else:
                good = result.get("test_case_success") == "true"
                verdict = "pass" if good else "fail"
            if case.get("name") != FORKS_OF_DOCTEST:
                found[int(case.get("line"))].append(verdict)
        return found

    def check_doctest(self, name):
        ours = collections.defaultdict(list)
        for (test, line), verdicts in self.by_us(self.program(name)).items():
            if test != FORKS_OF_DOCTEST:
                ours[line] += verdicts
        self.assert_alike(ours, self.doctest_verdicts(self.program(name)))

    def test_doctest_warm(self):
        self.check_doctest("warm_doctest")

    def test_doctest_cold(self):
        self.check_doctest("cold_doctest")

    def gtest_verdicts(self, program):
        report = self.path("report.json")
        self.by_hand(program, "--gtest_output=json:" + report,
                     "--gtest_filter=-" + FORKS_OF_GTEST)
        found = {}
        for suite in json.loads(read_file(report))["testsuites"]:
            for test in suite["testsuite"]:
                if test["status"] == "NOTRUN":
                    verdict = "skip"
                elif test.get("failures"):
                    verdict = "fail"
                elif test["result"] == "SKIPPED":
                    verdict = "skip"
                else:
                    verdict = "pass"
                # GoogleTest's JSON has a character for each byte.
                name = test["name"].encode("latin-1").decode()
                found[suite["name"] + "." + name] = [verdict]
        return found

    def check_gtest(self, name):
        ours = {test: verdicts
                for (test, _), verdicts in self.by_us(self.program(name)).items()
                if test != FORKS_OF_GTEST}
        theirs = self.gtest_verdicts(self.program(name))
        theirs = {test: verdicts for test, verdicts in theirs.items()
                  if test in ours or verdicts != ["skip"]}
        self.assert_alike(ours, theirs)

    def test_gtest_warm(self):
        self.check_gtest("warm_gtest")

    def test_gtest_cold(self):
        self.check_gtest("cold_gtest")

    def test_catch2(self):
        program = self.program("cold_catch2")
        report = self.path("report.xml")
        self.by_hand(program, "-r", "xml", "-o", report)
        theirs = collections.defaultdict(list)
        for case in xml.etree.ElementTree.parse(report).iter("TestCase"):
            good = case.find("OverallResult").get("success") == "true"
            theirs[int(case.get("line"))].append("pass" if good else "fail")
        ours = collections.defaultdict(list)
        for (_, line), verdicts in self.by_us(program).items():
            # Hidden ones are listed and not run.
            ours[line] += [each for each in verdicts if each != "skip"]
        self.assert_alike({line: each for line, each in ours.items() if each},
                          theirs)


if __name__ == "__main__":
    unittest.main()
