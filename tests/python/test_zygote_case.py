"""A zygote with tests, driven as the harness does it, and the stock runners
beside it.

  class MyTest(TestZygoteCase):
      def test_it_passes(self):
          self.write("test_one.py", "...")
          tests = self.load("test_one.py", "unittest")
          self.assertEqual(tests.run("test_one.One.test_it").status, "passed")
"""

import json
import os
import struct
import sys

import forkserver
from forkserver.protocol.messages import (TestFiles, TestList, TestPlan,
                                          TestProgress, TestRun)
from forkserver.zygote_host.settings import Settings
from runner_fixture import PACKAGE, RunnerTestCase

PREPARE = "forkserver.test_zygote.loading:prepare"
LOAD = "forkserver.test_zygote.loading:load"

# As tools/harness/targets/python_program.cc has it.
PROGRAM = ("import sys; "
           "sys.path[:] = [p for p in [*sys.path, sys.argv.pop(1)] if p]; "
           "from forkserver.zygote_host.host import main; "
           "from forkserver.zygote_host.settings import Settings; "
           "sys.exit(main(Settings.from_json(sys.argv.pop())))")

# Runs the tests of a stock loader, each with a result of its own words.
STOCK_UNITTEST = r'''
import json, sys, unittest

class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.words = {}
    def put(self, test, word):
        words = self.words.setdefault(test.id(), [])
        words.append(word)
    def addSuccess(self, test): self.put(test, "passed")
    def addError(self, test, err): self.put(test, "failed")
    def addFailure(self, test, err): self.put(test, "failed")
    def addSkip(self, test, reason): self.put(test, "skipped: " + reason)
    def addExpectedFailure(self, test, err): self.put(test, "passed")
    def addUnexpectedSuccess(self, test): self.put(test, "failed")
    def addSubTest(self, test, subtest, err):
        if err: self.put(test, "failed")

loader = unittest.TestLoader()
if sys.argv[1] == "discover":
    suite = loader.discover(sys.argv[2])
else:
    suite = loader.loadTestsFromNames(sys.argv[1:])
result = Result()
suite(result)
print(json.dumps(result.words))
'''

# A plugin: the outcomes that stock pytest reports for each test.
STOCK_PYTEST = r'''
import json, os

words = {}

def pytest_runtest_logreport(report):
    word = report.outcome
    if hasattr(report, "wasxfail") and word == "skipped":
        word = "passed"
    words.setdefault(report.nodeid, []).append(word)

def pytest_sessionfinish(session):
    with open(os.environ["WORDS"], "w") as file:
        json.dump(words, file)
'''


class Outcome:
    """Of one worker: its exit record, what it printed, and what is on its
    report page."""

    def __init__(self, record, output, records):
        self.record = record
        self.output = output
        self.records = records

    @property
    def words(self):
        """{test: its last record}, of those that have ended."""
        return {each.test: each for each in self.records
                if each.event == "ended"}

    @property
    def status(self):
        """Of the only test; "" if the framework did not say."""
        return self.one.status if self.words else ""

    @property
    def one(self):
        word, = self.words.values()
        return word

    @property
    def begun(self):
        return [each.test for each in self.records if each.event == "begun"]

    @property
    def complete(self):
        return any(each.event == "complete" for each in self.records)

    @property
    def text(self):
        """All that its failures say."""
        return "\n".join(each.message for each in self.one.failures)


class ReportPage:
    """The harness's end: sdk/cpp/testing/report_page.h."""

    def __init__(self):
        self.fd = os.memfd_create("report page")
        os.ftruncate(self.fd, 16 << 20)
        self.clear()

    def clear(self):
        os.pwrite(self.fd, struct.pack("=IIII", 0x52545346, 1, 0, 0), 0)

    def read(self):
        committed = struct.unpack("=IIII", os.pread(self.fd, 16, 0))[3]
        data = os.pread(self.fd, committed, 16)
        records = []
        while data:
            size, = struct.unpack_from("=I", data)
            records.append(TestProgress.decode(data[4:4 + size]))
            data = data[4 + size:]
        return records

    def close(self):
        os.close(self.fd)


class Tests:
    """A zygote of a target."""

    def __init__(self, case, zygote):
        self._case = case
        self._zygote = zygote
        self.fork = zygote.fork
        self.list = TestList.decode(self.call("forkserver.test_list"))
        self.names = [each.name for each in self.list.tests]

    def call(self, entry, args=b""):
        read_end, write_end = os.pipe()
        with open(read_end, "rb") as result:
            try:
                worker = self.fork(entry, args=args, result=write_end,
                                   **self._case.process)
            finally:
                os.close(write_end)
            data = result.read()
        record = worker.wait(60)
        self._case.assertEqual(record.code, 0, record)
        return data

    def files(self):
        return TestFiles.decode(self.call("forkserver.test_files"))

    def plan(self, *names):
        run = TestRun(list(names) or self.names)
        return TestPlan.decode(self.call("forkserver.test_plan",
                                         run.encode()))

    def run(self, *names, fork=None, timeout=60, env=None, **options):
        """One worker that runs these tests. `fork`: of another zygote."""
        page = ReportPage()
        output = os.memfd_create("output")
        try:
            process = dict(self._case.process)
            process["env"] = {**process["env"], **(env or {})}
            worker = (fork or self.fork)(
                "forkserver.test_run",
                args=TestRun(list(names), 3, **options).encode(),
                fds={3: page.fd, 1: output, 2: output}, timeout=timeout,
                **process)
            record = worker.wait(timeout + 30)
            return Outcome(record, os.pread(output, 1 << 20, 0).decode(),
                           page.read())
        finally:
            page.close()
            os.close(output)

    def verdicts(self):
        """{test: status}, each in a worker of its own."""
        return {name: self.run(name).status for name in self.names}


class TestZygoteCase(RunnerTestCase):

    def setUp(self):
        super().setUp()
        self.client = forkserver.connect(self.sandbox.socket, autostart=False)
        self.addCleanup(self.client.close)
        self.process = {"env": self.environment, "cwd": self.suite}
        self._zygotes = 0

    def tearDown(self):
        self.client.close()
        super().tearDown()

    def start(self, target, framework="", *arguments, preload=()):
        """The zygote."""
        settings = Settings(tests={"target": target, "framework": framework,
                                   "arguments": list(arguments)})
        self._zygotes += 1
        return self.client.start_zygote(
            f"tests-{self._zygotes}",
            [sys.executable, "-c", PROGRAM, PACKAGE, settings.to_json()],
            preload=[PREPARE, *preload, LOAD], **self.process)

    def load(self, target, framework="", *arguments, **options):
        return Tests(self, self.start(target, framework, *arguments,
                                      **options))

    # --- the stock runners ---

    def stock_unittest(self, *arguments):
        """{test: "passed", "failed" or "skipped"}."""
        path = os.path.join(self.folder, "stock_unittest.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(STOCK_UNITTEST)
        result = self.python(path, *arguments, env={
            "PYTHONPATH": os.pathsep.join([self.suite, PACKAGE])})
        self.assertEqual(result.returncode, 0, result.stderr)
        words = json.loads(result.stdout.splitlines()[-1])
        return {name: _joined([word.partition(":")[0] for word in each])
                for name, each in words.items()}

    def stock_pytest(self, *arguments):
        """The same, and the exit code."""
        path = os.path.join(self.folder, "stock_words.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(STOCK_PYTEST)
        words = os.path.join(self.folder, "words.json")
        result = self.python(
            "-m", "pytest", "-p", "stock_words", *arguments,
            env={"WORDS": words, "PYTHONPATH": os.pathsep.join(
                [self.folder, PACKAGE])})
        self.assertTrue(os.path.exists(words), result.stdout + result.stderr)
        with open(words, encoding="utf-8") as file:
            return ({name: _joined(each)
                     for name, each in json.load(file).items()},
                    result.returncode)


def _joined(words):
    for word in ("failed", "skipped"):
        if word in words:
            return word
    return "passed"
