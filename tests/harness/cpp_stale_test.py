"""The zygote of a C++ program that was kept is used again only if its program,
libraries, arguments and environment are what they were; and a run whose program
changes under it is not green."""

import os
import shutil
import unittest

from daemon_fixture import ROOT
from harness_fixture import HarnessTestCase, wait_for

PROGRAMS = os.path.join(ROOT, "tests/harness/programs")
AGAIN = ["its zygote is used again: nothing has changed"]
ALL = {"program", "linked", "plugin", "late", "waits"}


class StaleCase(HarnessTestCase):
    """A project with the program ./tests and its libraries, all of number 1."""

    def setUp(self):
        super().setUp()
        os.mkdir(self.path("lib"))
        self.sandbox.environment["LD_LIBRARY_PATH"] = self.path("lib")
        self.put("program", 1)
        for library in ("linked", "plugin", "late"):
            self.put(library, 1)

    def file_of(self, what):
        return self.path("tests" if what == "program"
                         else f"lib/libstale_{what}.so")

    def put(self, what, number):
        """Replaces a file as a linker or an installation does."""
        built = (f"stale_doctest_{number}" if what == "program"
                 else f"libstale_{what}_{number}.so")
        shutil.copy(os.path.join(PROGRAMS, built), self.path("new"))
        os.rename(self.path("new"), self.file_of(what))

    def verdicts_of(self, outcome):
        return {each["id"].partition("::")[2]: each["verdict"]
                for each in outcome.of("test_ended")}

    def reasons_of(self, outcome):
        return {each["id"].partition("::")[2]: each["reason"]
                for each in outcome.of("attempt_ended")}

    def why(self, *arguments, fails=()):
        """What a run says of its zygote; exactly these tests fail in it."""
        outcome = self.run_tests(*arguments, "./tests",
                                 code=1 if fails else 0)
        self.assertEqual(outcome.of("target_ready")[0]["warm"],
                         "--cold" not in arguments)
        self.assertEqual(self.verdicts_of(outcome), {
            name: "fail" if name in fails else "pass" for name in ALL
        })
        return outcome.of("target_ready")[0]["why"]

    def run_and(self, change, *arguments):
        """A run in which `change` is made while the test "waits" does so."""
        if os.path.exists(self.path("waits")):
            os.remove(self.path("waits"))
        with open(self.path("hold"), "w", encoding="utf-8"):
            process = self.start_tests(*arguments, "-j", "1", "./tests")
        self.wait_for_file("waits")
        change()
        os.remove(self.path("hold"))
        return self.finish(process)


class KeptZygoteTest(StaleCase):

    def setUp(self):
        super().setUp()
        self.end_session_daemon = self.start_session_daemon()[1]

    def tearDown(self):
        self.end_session_daemon()
        super().tearDown()

    def zygotes(self):
        return [each["id"] for each in self.cli_json("zygote", "ls")]

    def first_run(self):
        self.assertEqual(self.why(),
                         ["there was no zygote of an earlier run"])
        self.assertEqual(len(self.zygotes()), 1)

    def test_one_that_nothing_has_changed_of_is_used_again(self):
        self.first_run()
        zygotes = self.zygotes()
        for _ in range(3):
            self.assertEqual(self.why(), AGAIN)
        self.assertEqual(self.zygotes(), zygotes)
        # The warm-up has run once for all four.
        self.assertEqual(len(self.lines("warm-ups")), 1)

    def test_another_program_is_another_zygote(self):
        self.first_run()
        zygotes = self.zygotes()
        self.put("program", 2)
        self.assertEqual(self.why(fails=["program"]), ["binary: tests"])
        self.assertEqual(self.why(fails=["program"]), AGAIN)
        self.put("program", 1)
        self.assertEqual(self.why(), ["binary: tests"])
        self.assertEqual(self.why(), AGAIN)
        # The earlier ones are gone.
        wait_for(lambda: len(self.zygotes()) == 1, "one zygote")
        self.assertNotEqual(self.zygotes(), zygotes)
        self.assertEqual(len(self.lines("warm-ups")), 3)

    def test_another_library_is_another_zygote(self):
        self.first_run()
        for library in ("linked", "plugin"):
            with self.subTest(library):
                self.put(library, 2)
                self.assertEqual(self.why(fails=[library]),
                                 ["library: " + self.file_of(library)])
                self.assertEqual(self.why(fails=[library]), AGAIN)
                self.put(library, 1)
                self.assertEqual(self.why(),
                                 ["library: " + self.file_of(library)])

    def test_a_library_that_is_gone_is_named(self):
        self.first_run()
        os.remove(self.file_of("plugin"))
        self.assertEqual(self.why(fails=["plugin"]),
                         [f"library: {self.file_of('plugin')} is gone"])

    def test_a_library_that_comes_before_another_is_new(self):
        self.first_run()
        os.mkdir(self.path("first"))
        first = self.path("first/libstale_linked.so")
        self.sandbox.environment["LD_LIBRARY_PATH"] = (
            self.path("first") + ":" + self.path("lib"))
        why, = self.why()
        self.assertIn("environment: LD_LIBRARY_PATH ", why)
        shutil.copy(os.path.join(PROGRAMS, "libstale_linked_2.so"), first)
        self.assertIn(f"library: {first} is new",
                      self.why(fails=["linked"]))

    def test_what_only_a_test_loads_is_loaded_anew(self):
        self.first_run()
        self.put("late", 2)
        self.assertEqual(self.why(fails=["late"]), AGAIN)

    def test_files_that_were_only_touched_do_not_count(self):
        self.first_run()
        zygotes = self.zygotes()
        for what in ("program", "linked", "plugin"):
            with self.subTest(what):
                os.utime(self.file_of(what))
                self.assertEqual(self.why(), AGAIN)
                # The same content in another file.
                self.put(what, 1)
                self.assertEqual(self.why(), AGAIN)
        self.assertEqual(self.zygotes(), zygotes)
        self.assertEqual(len(self.lines("warm-ups")), 1)

    def test_environment_arguments_and_warm_ups_count(self):
        self.first_run()
        self.sandbox.environment["SHOP"] = "open"
        self.assertEqual(self.why(), ["environment: SHOP is set to open"])
        self.sandbox.environment["SHOP"] = "closed"
        self.assertEqual(self.why(), ["environment: SHOP open -> closed"])
        self.sandbox.environment["API_TOKEN"] = "hunter2"
        self.assertEqual(self.why(), ["environment: API_TOKEN is set"])
        self.sandbox.environment["COLUMNS"] = "17"  # of the terminal
        self.assertEqual(self.why(), AGAIN)
        self.assertEqual(self.why("--argument", "--no-colors=1"),
                         ["arguments: none -> --no-colors=1"])
        self.assertEqual(self.why("--argument", "--no-colors=1"), AGAIN)
        self.assertEqual(self.why("--preload", "nothing", fails=["plugin"]),
                         ["arguments: --no-colors=1 -> none",
                          "preload: none -> nothing"])

    def test_a_zygote_that_has_ended_is_made_anew(self):
        self.first_run()
        for zygote in self.cli_json("zygote", "ls"):
            self.cli("zygote", "stop", zygote["name"])
        self.assertEqual(self.why(),
                         ["the zygote of the earlier run has ended"])

    def test_another_zygote_of_that_name_is_not_believed(self):
        self.first_run()
        zygote, = self.cli_json("zygote", "ls")
        self.cli("zygote", "stop", zygote["name"])
        result = self.cli("zygote", "start", zygote["name"], "--",
                          self.path("tests"), cwd=self.project)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.why(),
                         ["its zygote is not the one of the last run"])

    def test_a_record_that_is_damaged_is_not_believed(self):
        self.first_run()
        records = [os.path.join(folder, name)
                   for folder, _, names in os.walk(self.folder)
                   for name in names if name.startswith("zygote-")]
        self.assertEqual(len(records), 1)
        with open(records[0], "r+b") as file:
            file.truncate(100)
        self.assertEqual(self.why(),
                         ["there was no zygote of an earlier run"])

    def test_a_private_daemon_keeps_nothing(self):
        self.assertEqual(self.why("--private-daemon"), [])
        self.assertEqual(self.zygotes(), [])
        self.first_run()

    def test_why_is_told_to_those_who_ask(self):
        said = "./tests: there was no zygote of an earlier run"
        self.assertNotIn(said, self.run_text("./tests").stdout)
        self.put("program", 2)
        result = self.run_text("--why", "./tests")
        self.assertIn("./tests: binary: tests", result.stdout)
        self.assertIn("./tests: " + AGAIN[0],
                      self.run_text("--why", "./tests").stdout)

    def test_a_program_that_is_replaced_in_a_run_is_another_in_the_next(self):
        self.first_run()
        outcome = self.run_and(lambda: self.put("program", 2))
        self.assertEqual(outcome.code, 125)
        self.assertEqual(self.why(fails=["program"]), ["binary: tests"])


class ReplacedDuringTheRunTest(StaleCase):
    """Whoever changes what is being tested gets no verdict on it."""

    def check(self, change, reason, *arguments):
        self.assertEqual(self.why(*arguments), [])
        outcome = self.run_and(change, *arguments)
        self.assertEqual(outcome.code, 125, outcome.stderr)
        verdicts = self.verdicts_of(outcome)
        self.assertEqual(set(verdicts), ALL)
        ended = [each["id"].partition("::")[2]
                 for each in outcome.of("test_ended")]
        at = ended.index("waits")
        self.assertEqual({verdicts[name] for name in ended[:at]} - {"pass"},
                         set())
        self.assertEqual({verdicts[name] for name in ended[at:]},
                         {"infrastructure"})
        reasons = self.reasons_of(outcome)
        self.assertEqual(reasons["waits"], reason)
        for name in ended[at:]:
            self.assertIn(self.project, reasons[name])

    def test_the_program(self):
        for arguments in ((), ("--cold",)):
            with self.subTest(arguments):
                self.put("program", 1)
                self.check(lambda: self.put("program", 2),
                           f"{self.file_of('program')} was replaced during the"
                           " run; start the run again", *arguments)

    def test_the_program_is_removed(self):
        for arguments in ((), ("--cold",)):
            with self.subTest(arguments):
                self.put("program", 1)
                self.check(lambda: os.remove(self.file_of("program")),
                           f"{self.file_of('program')} was removed during the"
                           " run; start the run again", *arguments)

    def test_a_library(self):
        for arguments in ((), ("--cold",)):
            with self.subTest(arguments):
                self.put("linked", 1)
                self.check(lambda: self.put("linked", 2),
                           f"{self.file_of('linked')} was replaced during the"
                           " run; start the run again", *arguments)

    def test_a_library_that_a_warm_up_has_loaded(self):
        self.check(lambda: self.put("plugin", 2),
                   f"{self.file_of('plugin')} was replaced during the run;"
                   " start the run again")


if __name__ == "__main__":
    unittest.main()
