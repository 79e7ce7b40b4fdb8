"""--junit, --json, --trace and --html as files: read back, killed, disk full."""

import collections
import json
import os
import resource
import signal
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

from replay import REPLAY_RUN, environment, replay


class ReportTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def contents(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()


class JsonLinesTest(ReportTest):

    def test_standard_output_has_events_and_nothing_else(self):
        result = replay("--json")
        self.assertEqual(result.returncode, 1)
        events = [json.loads(line) for line in result.stdout.splitlines()]
        kinds = collections.Counter(event["event"] for event in events)
        self.assertEqual(
            kinds, {
                "target_ready": 3,
                "run_began": 1,
                "attempt_started": 64,
                "attempt_slow": 1,
                "attempt_ended": 64,
                "test_ended": 60,
                "run_ended": 1
            })
        # What a person sees is elsewhere.
        self.assertIn(b"FAILED  51 passed", result.stderr)

    def test_the_last_line_is_the_summary(self):
        events = [json.loads(line) for line in replay("--json").stdout.splitlines()]
        summary = events[-1]
        self.assertEqual(summary["event"], "run_ended")
        self.assertEqual(summary["planned"], 60)
        self.assertEqual(summary["passed"], 51)
        self.assertEqual(summary["flaky"], 1)
        self.assertEqual(summary["exit_code"], 1)
        ended = [e for e in events if e["event"] == "test_ended"]
        verdicts = collections.Counter(e["verdict"] for e in ended)
        self.assertEqual(verdicts["crash"], summary["crashed"])
        self.assertEqual(verdicts["pass"] + verdicts["flaky"],
                         summary["passed"])

    def test_an_attempt_has_all_that_is_known_of_it(self):
        events = [json.loads(line) for line in replay("--json").stdout.splitlines()]
        attempts = [e for e in events if e["event"] == "attempt_ended"]
        crash = next(e for e in attempts if e["verdict"] == "crash")
        self.assertEqual(crash["reason"], "SIGSEGV at address 0x8 (SEGV_MAPERR)")
        self.assertEqual(crash["stderr"],
                         {"head": "sampling level -1\n", "dropped_bytes": 0,
                          "tail": ""})
        self.assertIn("Texture::LevelAt", crash["backtrace"][0])
        self.assertEqual(crash["exit"]["signal"], 11)
        self.assertIsNone(crash["exit"]["code"])
        self.assertGreater(crash["exit"]["journey"]["started_ns"],
                           crash["begun_ns"])
        failure = next(e for e in attempts if e["failures"])["failures"][0]
        self.assertEqual((failure["file"], failure["line"]),
                         ("render/textures_test.cc", 42))
        not_made = next(e for e in attempts if e["verdict"] == "infrastructure")
        self.assertIsNone(not_made["exit"])
        # Every attempt has the same keys.
        self.assertEqual(len({tuple(e) for e in attempts}), 1)

    def test_any_bytes_become_utf8(self):
        result = replay("--json")
        odd = [line for line in result.stdout.splitlines() if b"odd" in line]
        self.assertTrue(odd)
        for line in result.stdout.splitlines():
            json.loads(line.decode("utf-8"))

    def test_a_reader_that_has_gone_is_an_error_and_the_run_goes_on(self):
        read_end, write_end = os.pipe()
        os.close(read_end)
        result = replay("--json", "--passing", "--junit", self.path("a.xml"),
                        stdout=write_end)
        os.close(write_end)
        self.assertEqual(result.returncode, 125)
        self.assertEqual(
            result.stderr.count(b"warning: --json: write(standard output): "
                                b"Broken pipe"), 1)
        self.assertIn(b"ERROR   --json: write(standard output)", result.stderr)
        root = ElementTree.fromstring(self.contents("a.xml"))
        self.assertEqual(len(list(root.iter("testcase"))), 60)


class JunitTest(ReportTest):

    def count(self):
        root = ElementTree.fromstring(self.contents("a.xml"))
        return len(list(root.iter("testcase")))

    def test_a_run_that_crashes_leaves_every_result_before_it(self):
        for results in (1, 2, 3, 17, 40, 59):
            with self.subTest(results=results):
                result = replay("--junit", self.path("a.xml"), "--trace",
                                self.path("a.json"), "--crash-after", results)
                self.assertEqual(result.returncode, -signal.SIGSEGV)
                self.assertEqual(self.count(), results)
                # Nothing lies beside it.
                self.assertEqual(sorted(os.listdir(self.folder)),
                                 ["a.json", "a.xml"])
                self.assertTrue(json.loads(self.contents("a.json")))

    def test_a_run_that_is_killed_at_any_time_leaves_a_document(self):
        report = self.path("a.xml")
        command = [REPLAY_RUN, "--speed", "0", "--tests", "4000",
                   "--big-output", "60000", "--junit", report]
        streams = {"stdout": subprocess.DEVNULL, "stdin": subprocess.DEVNULL,
                   "env": environment()}

        def size():
            try:
                return os.path.getsize(report)
            except FileNotFoundError:
                return 0

        subprocess.run(command, check=False, **streams)
        whole = size()
        counts = set()
        for part in range(25):
            os.unlink(report)
            with subprocess.Popen(command, **streams) as process:
                # Without a pause: it takes milliseconds.
                while size() <= whole * part // 30 and process.poll() is None:
                    pass
                process.kill()
            counts.add(self.count())
        self.assertGreater(len(counts), 3, counts)

    def test_a_pipe_gets_a_document_too(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        cat = subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE)
        self.addCleanup(cat.stdout.close)
        self.addCleanup(cat.wait)
        self.addCleanup(cat.kill)
        result = replay("--junit", fifo)
        output = cat.stdout.read()
        root = ElementTree.fromstring(output)
        self.assertEqual(len(list(root.iter("testcase"))), 60)
        self.assertEqual(result.returncode, 1)


class FullDiskTest(ReportTest):

    def test_a_file_that_may_not_grow_is_told_once_and_the_run_goes_on(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))

        for option, name in (("--junit", "a.xml"), ("--trace", "a.json"),
                             ("--html", "a.html")):
            with self.subTest(option=option):
                result = replay(option, self.path(name), "--passing",
                                "--tests", "2000", preexec_fn=limit)
                if option == "--html":
                    # It is larger than that before the run begins.
                    self.assertEqual(result.returncode, 2)
                    self.assertIn(b"File too large", result.stderr)
                    continue
                self.assertEqual(result.returncode, 125)
                output = result.stdout.decode()
                self.assertEqual(
                    output.count(f"warning: {option} {self.path(name)}: write: "
                                 "File too large"), 1, output)
                self.assertIn(f"ERROR   {option}", output)
                self.assertIn("2,000 passed  of 2,000 tests", output)
                self.assertEqual(os.listdir(self.folder), [name])
                if option == "--junit":
                    root = ElementTree.fromstring(self.contents(name))
                    self.assertGreater(len(list(root.iter("testcase"))), 50)
                else:
                    self.assertGreater(len(json.loads(self.contents(name))),
                                       100)
                os.unlink(self.path(name))

    def test_a_device_that_is_full_is_told_before_the_run(self):
        for option in ("--junit", "--trace", "--html"):
            with self.subTest(option=option):
                result = replay(option, "/dev/full")
                self.assertEqual(result.returncode, 2)
                self.assertIn(b"No space left on device", result.stderr)
                self.assertEqual(result.stdout, b"")

    def test_a_path_that_cannot_be_is_told_before_the_run(self):
        for option in ("--junit", "--trace", "--html"):
            for path, why in (("no/folder/a", "there is no folder"),
                              (self.folder, "it is a folder")):
                with self.subTest(option=option, path=path):
                    result = replay(option, path)
                    self.assertEqual(result.returncode, 2)
                    self.assertIn(f"{option} {path}: {why}",
                                  result.stderr.decode())
                    self.assertEqual(result.stdout, b"")


class TraceTest(ReportTest):

    def events(self):
        replay("--trace", self.path("a.json"))
        return json.loads(self.contents("a.json"))

    def test_each_target_is_a_process_and_each_slot_a_lane(self):
        events = self.events()
        names = {e["args"]["name"] for e in events if e["name"] == "process_name"}
        self.assertEqual(
            names, {
                "bazel-bin/render/render_test", "tests/test_orders.py",
                "bazel-bin/physics/solver_test"
            })
        lanes = {(e["pid"], e["tid"]): e["args"]["name"]
                 for e in events if e["name"] == "thread_name"}
        self.assertEqual(set(lanes.values()),
                         {"target", "slot 0", "slot 1", "slot 2", "slot 3"})
        for event in events:
            if event["ph"] == "X":
                self.assertIn((event["pid"], event["tid"]), lanes)

    def test_the_steps_of_a_worker_lie_in_its_attempt(self):
        slices = [e for e in self.events() if e["ph"] == "X"]
        attempts = [e for e in slices if "test" in e.get("args", {})]
        self.assertEqual(len(attempts), 64)
        steps = collections.defaultdict(list)
        for one in slices:
            if one in attempts or "framework" in one.get("args", {}):
                continue
            owners = [
                a for a in attempts
                if (a["pid"], a["tid"]) == (one["pid"], one["tid"]) and
                a["ts"] <= one["ts"] + 1e-3 and
                one["ts"] + one["dur"] <= a["ts"] + a["dur"] + 1e-3
            ]
            self.assertEqual(len(owners), 1, one)
            steps[attempts.index(owners[0])].append(one["name"])
        # All but the one that could not be made.
        self.assertEqual(len(steps), 63)
        for names in steps.values():
            self.assertEqual(names, ["request", "wait", "zygote forks",
                                     "set up", "test", "collect"])

    def test_a_slow_test_is_marked_when_it_is(self):
        slow = [e for e in self.events() if e["ph"] == "i"]
        self.assertEqual([e["name"] for e in slow], ["slow"])


class HtmlDataTest(ReportTest):

    def test_nothing_that_a_test_wrote_can_end_the_data(self):
        replay("--html", self.path("a.html"))
        text = self.contents("a.html")
        data = text[text.index('id="run-data"'):]
        self.assertEqual(data.count("<"), 3, "only the end tags")
        self.assertTrue(data.endswith("</script>\n</body>\n</html>\n"))
        self.assertIn("alert(1)", data)

    def test_the_page_asks_for_nothing_outside(self):
        replay("--html", self.path("a.html"))
        head = self.contents("a.html")
        head = head[:head.index('id="run-data"')]
        self.assertNotRegex(head, r"(?i)https?://|@import|\bsrc=|url\(")
        self.assertIn("default-src 'none'", head)


if __name__ == "__main__":
    unittest.main()
