"""Catch2 version 3, of Debian 13: `forkserver test` says of each test what
Catch2 itself says of it.

The programs are built in a folder of Debian 13, and linked statically, so that
they run outside of it.
"""

import os
import shutil
import unittest
import unittest.mock
import xml.etree.ElementTree

from daemon_fixture import ROOT
from trixie_folder import TrixieFolder
from verdicts_case import VerdictsTestCase

PACKAGES = ("g++", "libcatch2-dev")
SOURCE = "tests/harness/programs/nasty_catch2.cc"
VARIANTS = {"nasty": (), "crashing": ("-DCRASHES",)}
BUILD_SECONDS = 300


class Catch2TrixieTest(VerdictsTestCase):

    @classmethod
    def setUpClass(cls):
        cls.trixie = TrixieFolder(cls, PACKAGES)
        shutil.copy(os.path.join(ROOT, SOURCE), cls.trixie.path("tmp/nasty.cc"))
        for name, options in VARIANTS.items():
            built = cls.trixie.run("g++", "-std=c++20", *options, "nasty.cc",
                                   "-static", "-lCatch2Main", "-lCatch2",
                                   "-o", name, cwd="/tmp", check=False,
                                   timeout=BUILD_SECONDS)
            if built.returncode != 0:
                raise AssertionError(built.stdout)

    def program(self, name):
        return self.trixie.path("tmp/" + name)

    def test_version(self):
        self.by_hand(self.program("nasty"), "-r", "xml", "-o",
                     self.path("report.xml"))
        report = xml.etree.ElementTree.parse(self.path("report.xml"))
        self.assertRegex(report.getroot().get("catch2-version"), r"^3\.")

    def test_verdicts(self):
        self.check_catch2(self.program("nasty"))

    def test_verdicts_in_one_process(self):
        self.check_catch2(self.program("nasty"), "--isolate", "file")

    def test_crashes(self):
        self.check_catch2_crashes(self.program("crashing"))

    def test_shards_of_bazel_are_ours_and_not_its_own(self):
        def verdicts(**variables):
            with unittest.mock.patch.dict(self.sandbox.environment, variables):
                outcome = self.run_tests(self.program("nasty"))
            return [(each["id"], each["verdict"])
                    for each in outcome.of("test_ended")]

        shards = [verdicts(BAZEL_TEST="1", TEST_TOTAL_SHARDS="2",
                           TEST_SHARD_INDEX=index,
                           XML_OUTPUT_FILE=self.path("report.xml"))
                  for index in "01"]
        self.assertTrue(all(shards))
        self.assertCountEqual(sum(shards, []), verdicts())


if __name__ == "__main__":
    unittest.main()
