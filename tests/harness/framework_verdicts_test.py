"""`forkserver test` says of each test what the framework itself says of it, in
one run of the same program by hand."""

import collections
import json
import os
import unittest
import xml.etree.ElementTree

from daemon_fixture import ROOT
from harness_fixture import read_file
from verdicts_case import VerdictsTestCase

# A child that returns from a test goes on as the framework's own process, and
# writes to its report: not by hand.
FORKS_OF_DOCTEST = "forks, and the child returns"
FORKS_OF_GTEST = "Plain.ForksAndTheChildReturns"


class FrameworkVerdictsTest(VerdictsTestCase):

    def program(self, name):
        return os.path.join(ROOT, "tests/harness/programs", name)

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

    def test_gtest_warm_each_twice_in_one_process(self):
        def count(*options):
            outcome = self.run_tests(*options, self.program("warm_gtest"))
            return collections.Counter(each["verdict"]
                                       for each in outcome.of("test_ended"))

        once = count()
        twice = count("--isolate", "file", "--repeat", "2")
        self.assertEqual(twice, once + once)

    def test_gtest_cold(self):
        self.check_gtest("cold_gtest")

    def test_catch2(self):
        self.check_catch2(self.program("cold_catch2"))

    def test_catch2_crashes(self):
        self.check_catch2_crashes(self.program("cold_catch2_crashing"))


if __name__ == "__main__":
    unittest.main()
