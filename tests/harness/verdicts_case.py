"""The verdicts of `forkserver test` and of a framework itself, side by side."""

import collections
import json
import subprocess
import xml.etree.ElementTree

from harness_fixture import HarnessTestCase

WORDS = {"leak": "pass", "flaky": "pass"}


class VerdictsTestCase(HarnessTestCase):

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

    def catch2_verdicts(self, program):
        """By line; without hidden tests, which Catch2 does not name."""
        report = self.path("report.xml")
        self.by_hand(program, "-r", "xml", "-o", report)
        root = xml.etree.ElementTree.parse(report).getroot()
        found = collections.defaultdict(list)
        for case in root.iter("TestCase"):
            result = case.find("OverallResult")
            failed_as_it_may = case.find(".//Expression") is not None
            if result.get("success") != "true":
                verdict = "fail"
            elif int(result.get("skips", 0)) and not failed_as_it_may:
                verdict = "skip"
            else:
                verdict = "pass"
            found[int(case.get("line"))].append(verdict)
        # Its own count of test cases.
        total = root.find("OverallResultsCases")
        counted = collections.Counter(sum(found.values(), []))
        self.assertEqual(
            (counted["pass"], counted["fail"], counted["skip"]),
            (int(total.get("successes")) + int(total.get("expectedFailures")),
             int(total.get("failures")), int(total.get("skips", 0))))
        return found

    def check_catch2(self, program, *options):
        theirs = self.catch2_verdicts(program)
        ours = collections.defaultdict(list)
        for (_, line), verdicts in self.by_us(program, *options).items():
            ours[line] += verdicts
        for line in set(ours) - set(theirs):
            self.assertEqual(set(ours.pop(line)), {"skip"})  # hidden ones
        self.assert_alike(ours, theirs)

    def check_catch2_crashes(self, program):
        ended = self.run_tests(program, "--", "crashes:*",
                               code=1).of("test_ended")
        self.assertEqual([each["verdict"] for each in ended], ["crash"] * 4)
