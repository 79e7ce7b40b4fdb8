"""Each case of cases.py: os.fork() fails as documented, a worker does not.

One test for each case and way, test_CASE_WAY. The ways are the columns of
page.py. Each is a method that takes a parent that has used what the case is
about, and returns what docs/fork_safety.md says of it.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import unittest

import forkserver
import page
from cases import CASES
from daemon_fixture import FORKSERVER, ROOT, DaemonTestCase, wait_for

HERE = os.path.join(ROOT, "tests/fork_safety")
PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        "programs")
PYTHON = "/usr/bin/python3"
SERVER = [PYTHON, os.path.join(PROGRAMS, "services.py")]
# Each prints its address first.
SERVICES = {
    "bus": ["dbus-daemon", "--session", "--nofork", "--print-address",
            "--address=unix:dir=/tmp"],
    "grpc": SERVER + ["grpc"],
    "http": SERVER + ["pairs"],
    "tls": SERVER + ["tls"],
    "x": ["Xvfb", "-displayfd", "1", "-nolisten", "tcp"],
}
results = {}


def page_text():
    # A source file, in the runfiles too.
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        "../../docs/fork_safety.md")
    with open(path, encoding="utf-8") as file:
        return file.read()


@contextlib.contextmanager
def running(command, environment, log):
    """A program and all that it starts, for two minutes at most."""
    with open(log, "ab") as stderr:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=stderr, text=True,
            start_new_session=True)
    watchdog = threading.Timer(120, os.killpg,
                               (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        # The leader first, which may have to clean up. It is not reaped before
        # its group is ended: until then the number is theirs.
        os.kill(process.pid, signal.SIGTERM)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()


class Parent:
    """A process that has used what the case is about, and waits.

    Its `pid` can be looked at, and `expects` has what must be named then;
    `tell()` makes it go on.
    """

    def __init__(self, process, expects):
        self.pid = process.pid
        self.expects = expects
        self._process = process

    def tell(self, what):
        """"fork" or "ask"; returns what became of each child."""
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline() or "[]")


class ForkSafetyTest(DaemonTestCase):

    @contextlib.contextmanager
    def parent(self, case, guard=()):
        environment = dict(
            self.sandbox.environment, **case.environment,
            CASE_LIBRARIES=HERE, PYTHONPATH=os.pathsep.join([
                PROGRAMS,
                os.path.dirname(os.path.dirname(forkserver.__file__)),
                *sys.path]))
        address = None
        with contextlib.ExitStack() as stack:
            if case.service:
                service = stack.enter_context(running(
                    SERVICES[case.service], self.sandbox.environment,
                    self.log))
                address = service.stdout.readline().strip()
                environment["CASE_ADDRESS"] = address
            process = stack.enter_context(running(
                [*guard, PYTHON, os.path.join(PROGRAMS, "case_program.py"),
                 case.program, case.use, str(case.children)], environment,
                self.log))
            self.assertEqual(process.stdout.readline(), "READY\n",
                             self.log_text())
            yield Parent(process, [text.format(address=address)
                                   for text in case.expects])

    def stock_fork(self, case):
        seen = []
        for _ in range(case.attempts):
            with self.parent(case) as parent:
                seen.append(parent.tell("fork"))
            results.setdefault(case.name, {})["outcomes"] = seen
            if case.fails is None:
                self.assertEqual(seen[-1], ["right answer"] * case.children)
                return case.shows
            if any(re.search(case.fails, outcome) for outcome in seen[-1]):
                return case.shows
        self.fail(f"no child of os.fork() shows {case.fails}: {seen}\n" +
                  self.log_text())

    def check_audit(self, case, parent, audit):
        self.assertEqual(audit["verdict"], "unsafe")
        reasons = json.dumps(audit["reasons"])
        for name in parent.expects:
            self.assertIn(name, reasons)
        return "names " + ", ".join(
            name.format(address="the connection's other end")
            for name in case.expects)

    def doctor(self, case):
        with self.parent(case) as parent:
            done = subprocess.run(
                [FORKSERVER, "doctor", "--json", str(parent.pid)],
                stdout=subprocess.PIPE, text=True, check=False)
            audit = json.loads(done.stdout)
            found = {each["known_as"]
                     for each in audit["reasons"] + audit["notes"]}
            self.assertLessEqual(set(case.known_as), found)
            if not case.expects:
                self.assertEqual((done.returncode, audit["reasons"]), (0, []))
                return "safe"
            self.assertEqual(done.returncode, 1)
            return self.check_audit(case, parent, audit)

    def guard(self, case):
        reports = os.path.join(self.sandbox.folder, "reports")

        def read():
            with contextlib.suppress(FileNotFoundError):
                with open(reports, encoding="utf-8") as file:
                    # The last one may be under way.
                    return [json.loads(line)
                            for line in file.read().split("\n")[:-1]]
            return []

        with self.parent(case, [FORKSERVER, "guard", "--report", reports,
                                "--"]) as parent:
            outcomes = parent.tell("fork")
            if not case.expects:
                self.assertEqual(outcomes, ["right answer"] * case.children)
                self.assertEqual(read(), [])
                return "no report"
            wait_for(read, "a report")
            return self.check_audit(case, parent, read()[0]["audit"])

    def clean_worker(self, case):
        with self.parent(case) as parent:
            self.assertEqual(parent.tell("ask"),
                             ["right answer"] * case.children,
                             self.log_text())
        return "works"


class PageTest(unittest.TestCase):

    def test_it_has_a_row_for_each_case(self):
        self.assertEqual(list(page.table_of(page_text())),
                         [case.used for case in CASES])


def test_of(case, way):

    def test(self):
        text = getattr(self, way)(case)
        results.setdefault(case.name, {})[way] = text
        row = page.table_of(page_text()).get(case.used, {})
        self.assertEqual(row.get(way), text,
                         "see tests/fork_safety/page.py")

    return test


for _case in CASES:
    for _way in page.COLUMNS:
        setattr(ForkSafetyTest, f"test_{_case.name}_{_way}",
                test_of(_case, _way))


def tearDownModule():
    folder = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    if folder:
        with open(os.path.join(folder, "fork_safety.json"), "w",
                  encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    unittest.main()
