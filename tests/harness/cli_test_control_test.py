"""The options of `forkserver test`: which tests, in which order, how often."""

import json
import os
import unittest

from harness_fixture import HarnessTestCase


class TogetherTest(HarnessTestCase):
    """How many run at a time."""

    def meeting(self, names, seconds=20):
        """Programs that pass only if they all run at the same time."""
        return [
            self.script(
                name, f"touch $PROJECT/here-{name}\n"
                f"for i in $(seq {seconds * 20}); do\n"
                f"  [ $(ls $PROJECT | grep -c '^here-') -eq {len(names)} ] && "
                "exit 0\n  sleep 0.05\ndone\nexit 1") for name in names
        ]

    # Fails if another one of these runs at the same time.
    ALONE = ("mkdir $PROJECT/busy || exit 1\nsleep 0.1\n"
             "rmdir $PROJECT/busy\n")

    def alone(self, count):
        return [self.script(f"alone{i}", self.ALONE) for i in range(count)]

    def test_as_many_run_at_a_time_as_jobs_says(self):
        self.run_tests("-j", "3", *self.meeting(["a", "b", "c"]), code=0)

    def test_one_job_is_one_at_a_time(self):
        self.run_tests("-j", "1", *self.alone(3), code=0)

    def test_a_mutex_keeps_tests_apart_and_lets_others_run(self):
        self.settings('[[test.override]]\nfilter = "alone"\nmutex = "db"\n')
        outcome = self.run_tests("-j", "4", *self.alone(3), code=0)
        self.assertEqual(outcome.plan["slots"], 4)
        self.run_tests("-j", "2", *self.meeting(["a", "b"]), code=0)

    def test_a_test_that_takes_all_slots_runs_alone(self):
        self.settings('[[test.override]]\nfilter = "alone"\nslots = 2\n')
        self.run_tests("-j", "3", *self.alone(3), code=0)

    def test_a_group_has_so_many_at_a_time(self):
        self.settings('[test.group.gpu]\nslots = 1\n'
                      '[[test.override]]\nfilter = "alone"\ngroup = "gpu"\n')
        self.run_tests("-j", "3", *self.alone(3), code=0)

    def test_stress_runs_copies_of_one_test_in_parallel(self):
        self.script("copy", "mkdir $PROJECT/me-$$\n"
                    "[ $(ls $PROJECT | grep -c ^me-) -ge 2 ] && "
                    "touch $PROJECT/met\n"
                    "sleep 0.05\nrmdir $PROJECT/me-$$")
        outcome = self.run_tests("-j", "2", "--stress", "1s", "./copy", code=0)
        self.assertTrue(os.path.exists(self.path("met")))
        self.assertGreater(outcome.summary["passed"], 4)
        self.assertEqual(outcome.summary["planned"],
                         outcome.summary["passed"])


class EnvironmentTest(HarnessTestCase):

    def test_a_test_knows_its_slot_run_attempt_and_name(self):
        self.sandbox.environment["FORKSERVER_TEST_SLOT"] = "of somebody else"
        for i in range(4):
            self.script(
                f"t{i}", "sleep 0.1; echo $FORKSERVER_TEST_SLOT "
                "$FORKSERVER_TEST_RUN_ID $FORKSERVER_TEST_ATTEMPT "
                ">>$PROJECT/seen")
        outcome = self.run_tests("-j", "2", *[f"./t{i}" for i in range(4)],
                                 code=0)
        seen = [line.split() for line in self.lines("seen")]
        self.assertEqual({slot for slot, _, _ in seen}, {"0", "1"})
        self.assertEqual({run for _, run, _ in seen}, {outcome.plan["run"]})
        self.assertEqual(len({attempt for _, _, attempt in seen}), 4)

    def test_tests_in_a_slot_have_its_temporary_folder_and_find_it_empty(self):
        for i in range(3):
            self.script(
                f"t{i}", '[ -z "$(ls -A $TMPDIR)" ] || exit 1\n'
                "touch $TMPDIR/left; echo $TMPDIR >>$PROJECT/seen")
        self.run_tests("-j", "1", "./t0", "./t1", "./t2", code=0)
        folders = set(self.lines("seen"))
        self.assertEqual(len(folders), 1)
        self.assertFalse(os.path.exists(folders.pop()))

    def test_tests_do_not_see_what_is_meant_for_the_whole_run(self):
        self.sandbox.environment.update({
            "GTEST_FILTER": "x", "XML_OUTPUT_FILE": "/x",
            "TEST_PREMATURE_EXIT_FILE": "/x", "KEPT": "yes",
        })
        self.script("t", 'echo "$GTEST_FILTER$XML_OUTPUT_FILE'
                    '$TEST_PREMATURE_EXIT_FILE$KEPT"')
        self.assertEqual(self.run_tests("./t", code=0).output("./t"), "yes\n")

    def test_tests_begin_with_nothing_on_their_standard_input(self):
        self.script("t", "cat; exit 0")
        self.assertEqual(
            self.run_tests("./t", code=0, input="words").output("./t"), "")

    def test_tests_run_where_the_command_runs(self):
        self.script("t", "pwd")
        self.assertEqual(self.run_tests("./t").output("./t").strip(),
                         self.project)

    def test_output_is_shown_as_it_comes_with_no_capture(self):
        self.script("t", "echo out; echo err >&2")
        result = self.run_text("--no-capture", "-j", "1", "./t")
        self.assertIn("out\n", result.stdout)
        self.assertEqual(result.stderr, "err\n")
        outcome = self.run_tests("--no-capture", "-j", "2", "./t", code=0)
        self.assertEqual(outcome.verdicts, {"./t": "pass"})


class RetryTest(HarnessTestCase):

    # Passes when it is run for the third time.
    THIRD = ("echo x >>$PROJECT/tries\n"
             "[ $(wc -l <$PROJECT/tries) -ge 3 ]")

    def test_a_test_that_passes_when_tried_again_is_flaky(self):
        self.script("t", self.THIRD)
        outcome = self.run_tests("--retries", "3", "./t", code=0)
        self.assertEqual(outcome.verdicts, {"./t": "flaky"})
        self.assertEqual(
            [(each["attempt"], each["verdict"], each["last"])
             for each in outcome.attempts("./t")],
            [(1, "fail", False), (2, "fail", False), (3, "pass", True)])
        self.assertEqual((outcome.summary["flaky"], outcome.summary["passed"]),
                         (1, 1))

    def test_it_is_tried_no_more_often_than_asked_for(self):
        self.script("t", self.THIRD)
        outcome = self.run_tests("--retries", "1", "./t", code=1)
        self.assertEqual(len(outcome.attempts("./t")), 2)

    def test_the_number_of_an_attempt_is_in_its_id(self):
        self.script("t", "echo $FORKSERVER_TEST_ATTEMPT >>$PROJECT/ids; exit 1")
        self.run_tests("--retries", "2", "./t", code=1)
        self.assertEqual([line.split("#")[1] for line in self.lines("ids")],
                         ["1", "2", "3"])

    def test_the_delay_doubles_and_others_run_meanwhile(self):
        self.script("t", "echo t >>$PROJECT/order; exit 1")
        self.script("u", "echo u >>$PROJECT/order")
        outcome = self.run_tests("-j", "1", "--retries", "2", "--retry-delay",
                                 "100ms", "./t", "./u", code=1)
        self.assertEqual(self.lines("order"), ["t", "u", "t", "t"])
        begun = [each["begun_ns"] for each in outcome.attempts("./t")]
        ended = [each["ended_ns"] for each in outcome.attempts("./t")]
        self.assertGreaterEqual(begun[1] - ended[0], 100_000_000)
        self.assertGreaterEqual(begun[2] - ended[1], 200_000_000)

    def test_retries_can_be_for_some_tests_only(self):
        self.settings('[[test.override]]\nfilter = "u"\nretries = 1\n')
        self.script("t", "exit 1")
        self.script("u", "exit 1")
        outcome = self.run_tests("./t", "./u", code=1)
        self.assertEqual(len(outcome.attempts("./t")), 1)
        self.assertEqual(len(outcome.attempts("./u")), 2)


class StopTest(HarnessTestCase):

    def test_fail_fast_begins_nothing_after_a_failure(self):
        self.script("a", "exit 1")
        for name in "bcd":
            self.script(name, f"touch $PROJECT/ran-{name}")
        outcome = self.run_tests("-j", "1", "--fail-fast", "./a", "./b", "./c",
                                 "./d", code=1)
        self.assertEqual(outcome.verdicts, {"./a": "fail"})
        self.assertEqual(outcome.summary["not_run"], 3)
        self.assertEqual(outcome.summary["stopped_because"], "--fail-fast")
        self.assertFalse(os.path.exists(self.path("ran-b")))

    def test_what_runs_is_finished_first(self):
        self.script("a", "while [ ! -e $PROJECT/b-runs ]; do sleep 0.01; done\n"
                    "exit 1")
        self.script("b", "touch $PROJECT/b-runs; sleep 0.3")
        outcome = self.run_tests("-j", "2", "--fail-fast", "./a", "./b",
                                 code=1)
        self.assertEqual(outcome.verdicts, {"./a": "fail", "./b": "pass"})

    def test_max_fail_counts(self):
        for i in range(5):
            self.script(f"t{i}", "exit 1")
        outcome = self.run_tests("-j", "1", "--max-fail", "2",
                                 *[f"./t{i}" for i in range(5)], code=1)
        self.assertEqual((outcome.summary["failed"],
                          outcome.summary["not_run"]), (2, 3))

    def test_a_test_that_waits_for_another_try_has_failed_then(self):
        self.script("flaky", "exit 1")
        self.script("bad", "sleep 0.2; exit 1")
        outcome = self.run_tests("-j", "2", "--max-fail", "1", "./flaky",
                                 "./bad", "--config", self.retry_settings(),
                                 code=1)
        self.assertEqual(outcome.verdicts, {"./flaky": "fail", "./bad": "fail"})

    def retry_settings(self):
        self.settings('[[test.override]]\nfilter = "flaky"\nretries = 1\n'
                      'retry-delay = "1h"\n')
        return "forkserver.toml"


class OrderTest(HarnessTestCase):

    def test_the_longest_begins_first_when_its_time_is_known(self):
        self.script("a", "exit 0")
        self.script("b", "sleep 0.3")
        self.script("c", "sleep 0.1")
        first = self.run_tests("-j", "1", "./a", "./b", "./c", code=0)
        self.assertEqual(first.order, ["./a", "./b", "./c"])
        second = self.run_tests("-j", "1", "./a", "./b", "./c", code=0)
        self.assertEqual(second.order, ["./b", "./c", "./a"])
        self.script("new", "exit 0")
        third = self.run_tests("-j", "1", "./a", "./b", "./new", code=0)
        self.assertEqual(third.order[0], "./new")

    def test_a_seed_makes_an_order_that_can_be_repeated(self):
        names = [self.script(f"t{i}", "exit 0") for i in range(8)]
        one = self.run_tests("-j", "1", "--shuffle", "5", *names, code=0)
        two = self.run_tests("-j", "1", "--shuffle", "5", *names, code=0)
        other = self.run_tests("-j", "1", "--shuffle", "6", *names, code=0)
        self.assertEqual(one.order, two.order)
        self.assertNotEqual(one.order, other.order)
        self.assertEqual(one.plan["seed"], 5)
        result = self.run_text("--shuffle", "random", *names)
        self.assertRegex(result.stdout, r"--shuffle \d+")

    def test_the_parts_of_a_run_are_all_tests_once(self):
        names = [self.script(f"t{i}", "exit 0") for i in range(12)]
        self.run_tests(*names, code=0)
        for kind in ("hash", "balanced"):
            ran = []
            for part in (1, 2, 3):
                ran += self.run_tests("--partition", f"{kind}:{part}/3",
                                      *names).order
            self.assertEqual(sorted(ran), sorted(names), kind)

    def test_the_environment_of_a_shard_is_heeded(self):
        names = [self.script(f"t{i}", "exit 0") for i in range(12)]
        status = self.path("status")
        ran = []
        for index in (0, 1):
            self.sandbox.environment.update({
                "TEST_TARGET": "//some:test", "TEST_TMPDIR": self.temporary,
                "TEST_TOTAL_SHARDS": "2", "TEST_SHARD_INDEX": str(index),
                "TEST_SHARD_STATUS_FILE": status})
            ran += self.run_tests(*names, code=0).order
            self.assertTrue(os.path.exists(status))
            os.unlink(status)
        self.assertEqual(sorted(ran), sorted(names))

    def test_a_balanced_run_does_not_change_what_the_others_read(self):
        names = [self.script(f"t{i}", f"sleep 0.0{i}") for i in range(4)]
        self.run_tests(*names, code=0)

        def stored():
            for folder, _, files in os.walk(os.path.join(self.folder, "c")):
                if "durations" in files:
                    with open(os.path.join(folder, "durations"), "rb") as file:
                        return file.read()
            return None

        before = stored()
        self.assertTrue(before)
        self.run_tests("--partition", "balanced:1/2", *names)
        self.assertEqual(stored(), before)

    def test_repeat_gives_each_test_so_many_results(self):
        self.script("a", "echo a >>$PROJECT/ran")
        self.script("b", "echo b >>$PROJECT/ran")
        outcome = self.run_tests("--repeat", "3", "./a", "./b", code=0)
        self.assertEqual(sorted(self.lines("ran")), list("aaabbb"))
        self.assertEqual((outcome.summary["planned"],
                          outcome.summary["passed"]), (6, 6))


class SelectionTest(HarnessTestCase):

    def setUp(self):
        super().setUp()
        self.names = [self.script(name, "exit 0")
                      for name in ("red", "green", "blue")]

    def chosen(self, *filters, code=0):
        return sorted(
            self.run_tests(*self.names, "--", *filters, code=code).order)

    def test_filters_choose(self):
        self.assertEqual(self.chosen("re"), ["./green", "./red"])
        self.assertEqual(self.chosen("*/blue::*"), ["./blue"])
        self.assertEqual(self.chosen("/(red|blue)::/"), ["./blue", "./red"])
        self.assertEqual(self.chosen("!red"), ["./blue", "./green"])
        self.assertEqual(self.chosen("blue", "red", "!red"), ["./blue"])

    def test_no_test_has_a_code_of_its_own(self):
        self.assertEqual(self.chosen("yellow", code=4), [])
        self.assertEqual(self.run_text("--list", *self.names, "--",
                                       "yellow").returncode, 4)

    def test_a_filter_that_is_none_is_wrong_usage(self):
        result = self.run_text(*self.names, "--", "/(/")
        self.assertEqual(result.returncode, 2)
        self.assertIn("/(/", result.stderr)

    def test_the_list_has_every_test_and_runs_none(self):
        self.script("loud", "touch $PROJECT/ran")
        result = self.run_text("--list", "./loud", *self.names)
        self.assertEqual(result.returncode, 0)
        self.assertEqual(len(result.stdout.splitlines()), 4)
        self.assertFalse(os.path.exists(self.path("ran")))
        result = self.run_text("--list", "--json", "./loud", *self.names, "--",
                               "!loud")
        tests = json.loads(result.stdout)
        self.assertEqual({test["target"] for test in tests}, set(self.names))
        self.assertEqual(
            set(tests[0]), {
                "id", "target", "name", "suite", "file", "line", "tags",
                "skip", "last_wall_us"
            })

    def test_failed_tests_are_run_again(self):
        self.script("bad", "[ -e $PROJECT/fixed ]")
        self.run_tests("./bad", *self.names, code=1)
        again = self.run_tests("--rerun", "failed", "./bad", *self.names,
                               code=1)
        self.assertEqual(again.order, ["./bad"])
        open(self.path("fixed"), "wb").close()
        self.run_tests("--rerun", "failed", "./bad", *self.names, code=0)
        self.run_tests("--rerun", "failed", "./bad", *self.names, code=4)

    def test_a_profile_and_targets_come_from_the_file(self):
        self.settings('[test]\ntargets = ["./red"]\n[test.profile.all]\n'
                      'targets = ["./red", "./blue"]\n')
        self.assertEqual(self.run_tests(code=0).order, ["./red"])
        outcome = self.run_tests("--profile", "all", code=0)
        self.assertEqual(sorted(outcome.order), ["./blue", "./red"])

    def test_everything_wrong_in_the_file_is_told_at_once(self):
        self.settings('[test]\ntimout = "1s"\njobs = -1\n')
        result = self.run_text("./red")
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stdout, "")
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 2)
        self.assertIn("forkserver.toml:2: ", lines[0])
        self.assertIn("did you mean 'timeout'?", lines[0])
        self.assertIn("forkserver.toml:3: ", lines[1])

    def test_wrong_usage_says_what_to_do(self):
        for arguments in (["--repeat", "2", "--stress", "1s", "./red"], [],
                          ["--debugger", "gdb", "./red"], ["./red", "./red"],
                          ["-j", "0", "./red"], ["--isolate", "x", "./red"],
                          ["--partition", "hash:3/2", "./red"],
                          ["--profile", "none", "./red"]):
            with self.subTest(arguments):
                result = self.run_text(*arguments)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertRegex(result.stderr, "^forkserver: ")


if __name__ == "__main__":
    unittest.main()
