"""`forkserver guard`: what is reported, what never is, and that the guarded
program does not notice."""

import errno
import os
import re
import shutil
import stat
import subprocess
import sys
import unittest

from daemon_fixture import (FORKSERVER, processes, read_file,
                            state_and_parent, wait_for)
from guard_fixture import (FORKING_PROGRAM, LONG, PYTHON, SHORT, TINY_EXIT,
                           GuardTestCase)

GUARD_LIBRARY = os.path.join(os.path.dirname(os.path.realpath(FORKSERVER)),
                             "../../sdk/guard/libforkguard.so")

THREADED = """
import os, subprocess, sys, threading
end = threading.Event()
def wait_for_the_end():
    end.wait()
threading.Thread(target=wait_for_the_end, daemon=True).start()
"""


def children_of(parent):
    return [pid for pid in processes() if state_and_parent(pid)[1] == parent]


def open_files(pid):
    return [fd for fd in os.listdir(f"/proc/{pid}/fd") if int(fd) > 2]


class UnsafeForks(GuardTestCase):

    def check_thread_report(self, report):
        self.assertEqual(report["verdict"], "unsafe")
        reason, = report["audit"]["reasons"]
        self.assertEqual(reason["kind"], "thread")
        self.assertIn("'counter'", reason["what"])
        self.assertIn("forking_program", reason["where"])
        self.assertTrue(report["stack"][0].startswith("ForkAChild"),
                        report["stack"])
        thread, = report["threads"]
        self.assertTrue(any(frame.startswith("StartCounter")
                            for frame in thread["stack"]), thread)
        self.assertTrue(report["instead"])

    def test_a_fork_with_a_thread_gives_one_report(self):
        self.assertEqual(self.program("thread", "fork", "wait").stdout,
                         "waited 1, signalled, No child processes\n")
        self.check_thread_report(self.the_report())

    def test_the_text_on_standard_error_says_what_who_and_what_instead(self):
        result = self.cli("guard", "--", FORKING_PROGRAM, "thread", "fork",
                          "wait")
        self.assertEqual(result.returncode, 0)
        text = result.stderr
        self.assertEqual(text.count("forkguard:"), 1, text)
        for wanted in ("is unsafe to fork: 1 reason", "'counter'",
                       "The stack that called fork:\n    ForkAChild",
                       "StartCounter", "What would have been safe:\n"):
            self.assertIn(wanted, text)

    def test_a_child_that_crashes_is_reported(self):
        self.program("thread", "crash", "fork", "wait")
        self.check_thread_report(self.the_report())

    def test_a_parent_that_ends_at_once_is_reported(self):
        self.program("thread", "fork", "exit-now")
        report = wait_for(self.reports, "a report")[0]
        self.assertIn("'counter'", report["audit"]["reasons"][0]["what"])

    def test_a_thousand_forks_of_one_stack_give_one_report(self):
        result = self.python(THREADED + """
for _ in range(1000):
    pid = os.fork()
    if pid == 0: os._exit(0)
    os.waitpid(pid, 0)
""")
        self.assertEqual(result.returncode, 0, result.stderr)
        report = self.the_report()
        self.assertEqual(report["audit"]["reasons"][0]["known_as"], "python")
        self.assertIn("PyThread_start_new_thread",
                      report["threads"][0]["stack"][0])

    def test_an_exec_after_the_window_is_reported(self):
        process = self.start_cli(
            "guard", "--exec-window", "1ms", "--report", self.report_file,
            "--", FORKING_PROGRAM, "thread", "exec-late", "fork", "wait",
            stdin=subprocess.PIPE)
        wait_for(self.reports, "the window has passed")
        self.assertEqual(process.communicate()[0],
                         "waited 1, signalled, No child processes\n")
        self.check_thread_report(self.the_report())

    def test_the_main_thread_is_missing_in_the_child_of_another(self):
        self.program("from-thread", "wait")
        reason, = self.the_report()["audit"]["reasons"]
        self.assertEqual(reason["where"], "it is the main thread")

    def test_a_descriptor_is_a_reason_without_any_thread(self):
        self.program("epoll", "fork", "wait")
        report = self.the_report()
        self.assertIn("epoll", report["audit"]["reasons"][0]["what"])
        self.assertEqual(report["threads"], [])


class SafeWays(GuardTestCase):

    def assert_no_report(self, result, stdout=None):
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        self.assertEqual(self.reports(), [])
        if stdout is not None:
            self.assertEqual(result.stdout, stdout)

    def test_a_threaded_python_that_calls_subprocess_200_times(self):
        # With a preexec_fn it forks, without one it does not.
        for preexec in ("None", "lambda: None"):
            with self.subTest(preexec):
                self.assert_no_report(self.python(THREADED + f"""
for _ in range(200):
    subprocess.run(["/bin/true"], preexec_fn={preexec}, check=True)
print(subprocess.run(["echo", "x"], capture_output=True).stdout)
""", options=LONG), "b'x\\n'\n")

    def test_fork_and_exec(self):
        for how in ("exec", "exec-closed"):
            with self.subTest(how):
                self.assert_no_report(
                    self.program("thread", how, "fork", "fork", "wait",
                                 options=LONG),
                    "waited 2, signalled, No child processes\n")

    def test_spawn_vfork_system_and_popen(self):
        self.assert_no_report(
            self.program("thread", "spawn", "vfork", "system", "popen", "wait"))

    def test_a_process_with_one_thread_forks(self):
        self.assert_no_report(self.program("fork", "wait"))

    def test_a_child_that_closes_the_descriptor_at_once(self):
        # As the fork server of multiprocessing does.
        process = self.start_cli(
            "guard", "--exec-window", "1s", "--report", self.report_file, "--",
            FORKING_PROGRAM, "epoll", "closing", "fork", "wait",
            stdin=subprocess.PIPE)
        child = wait_for(lambda: children_of(process.pid), "a child")[0]
        wait_for(lambda: not open_files(child), "it has closed everything")
        # The watcher is the only other process that has this memory.
        wait_for(lambda: len(self.sandbox.leftovers()) == 2,
                 "the watcher has ended")
        process.communicate()
        self.assertEqual(self.reports(), [])

    def test_threads_that_have_ended(self):
        self.assert_no_report(self.program("short-threads", "fork", "wait"))

    def test_numpy_is_no_reason(self):
        try:
            import numpy  # pylint: disable=unused-import
        except ImportError:
            self.skipTest("numpy is not installed")
        self.assert_no_report(self.python(
            "import numpy, os\n"
            "numpy.ones((500, 500)) @ numpy.ones((500, 500))\n"
            "if os.fork() == 0: os._exit(0)\n"
            "os.wait()\n"))


class TheProgramNotices(GuardTestCase):
    """... nothing."""

    def both(self, *words, **more):
        plain = subprocess.run([FORKING_PROGRAM, *words], text=True,
                               env=self.sandbox.environment, timeout=60,
                               capture_output=True, check=True,
                               stdin=subprocess.DEVNULL)
        guarded = self.program(*words, **more)
        self.assertEqual((guarded.stdout, guarded.stderr),
                         (plain.stdout, plain.stderr))
        return plain.stdout

    def test_wait_takes_its_own_children_only(self):
        self.both("thread", "fork", "fork", "wait", "fork", "wait")
        self.assertEqual(len(self.reports()), 1)

    def test_no_signal_comes_of_a_watcher(self):
        for words in ((), ("subreaper",)):
            process = self.start_cli(
                "guard", *SHORT, "--report", self.report_file, "--",
                FORKING_PROGRAM, *words, "thread", "exec-late", "fork",
                "report", "input", "wait", stdin=subprocess.PIPE)
            self.assertEqual(process.stdout.readline(), "signals 0\n")
            self.assertEqual(process.communicate()[0],
                             "waited 1, signalled, No child processes\n")
            os.unlink(self.report_file)

    def test_the_same_of_one_that_adopts_orphans(self):
        # Two stacks, of which each would have left an orphan.
        self.both("subreaper", "thread", "fork", "wait", "epoll", "fork",
                  "from-thread", "wait")
        self.assertEqual(len(self.reports()), 2)

    def test_its_descriptors_are_the_same(self):
        self.both("thread", "fork", "wait", "descriptors")

    def test_its_pipes_end_when_it_has_ended(self):
        # The child lives in its window, and the watcher waits for it.
        ours, its = os.pipe()
        process = subprocess.Popen(
            [FORKSERVER, "guard", *LONG, "--report", self.report_file, "--",
             FORKING_PROGRAM, "thread", "exec-late", "fork", "exit-now"],
            stdin=subprocess.PIPE, stdout=its, pass_fds=(its,),
            env=self.sandbox.environment)
        os.close(its)
        self.addCleanup(os.close, ours)
        process.wait(60)
        # The child has it still, and gives it up at its end.
        process.stdin.close()
        self.assertEqual(os.read(ours, 1), b"")

    def test_many_threads_that_fork_at_a_time(self):
        for words, reports in ((("exec", "crowd"), 0), (("crowd",), 1)):
            self.both(*words, "wait", options=LONG if not reports else SHORT)
            self.assertEqual(len(self.reports()), reports)

    def test_threads_that_have_ended_take_no_room(self):
        # More of them than there is room for at a time.
        self.assertEqual(
            self.program(*["short-threads"] * 40, "thread", "fork",
                         "wait").returncode, 0)
        self.assertEqual(len(self.the_report()["threads"]), 1)


class DenyAndAbort(GuardTestCase):

    def test_deny_fails_with_eagain(self):
        result = self.program("thread", "fork", "fork", "wait",
                              options=("--mode", "deny"))
        denied = f"fork: {os.strerror(errno.EAGAIN)}\n"
        self.assertEqual(result.stdout, denied * 2 +
                         "waited 0, not signalled, No child processes\n")
        report = self.the_report()
        self.assertEqual((report["verdict"], report["child"]), ("unsafe", 0))

    def test_deny_leaves_pythons_subprocess_alone(self):
        for python in {PYTHON, os.path.realpath(sys.executable)}:
            result = self.guard(python, "-c", THREADED + """
try:
    os.fork()
except BlockingIOError as error:
    print("denied", error.errno)
print(subprocess.run(["echo", "x"], preexec_fn=lambda: None,
                     capture_output=True).stdout)
""", options=("--mode", "deny"))
            self.assertEqual(result.stdout,
                             f"denied {errno.EAGAIN}\nb'x\\n'\n",
                             result.stderr)

    def test_deny_allows_what_is_safe(self):
        self.assertEqual(
            self.program("fork", "wait", options=("--mode", "deny")).stdout,
            "waited 1, signalled, No child processes\n")

    def test_abort_ends_the_program_at_the_fork(self):
        result = self.program("thread", "fork", "wait",
                              options=("--mode", "abort"))
        self.assertEqual((result.returncode, result.stdout), (-6, ""))
        self.assertEqual(self.the_report()["verdict"], "unsafe")


class WhatCannotBeGuarded(GuardTestCase):

    def assert_refused(self, path, why):
        result = self.guard(path)
        self.assertEqual((result.returncode, result.stdout), (125, ""))
        self.assertRegex(result.stderr,
                         rf"^forkserver: .*{re.escape(path)}.*{why}.*\n$")

    def copy(self, mode):
        path = os.path.join(self.folder, "program")
        shutil.copy("/bin/true", path)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
        os.chmod(path, 0o755 | mode)
        return path

    def test_a_static_program(self):
        self.assert_refused(TINY_EXIT, "statically linked")

    def test_a_script_of_a_static_program(self):
        path = os.path.join(self.folder, "script")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!{os.path.realpath(TINY_EXIT)}\n")
        os.chmod(path, 0o755)
        self.assert_refused(path, "statically linked")

    def test_a_setuid_program(self):
        path = self.copy(stat.S_ISUID) if os.geteuid() == 0 else "/usr/bin/su"
        self.assert_refused(path, "setuid")

    @unittest.skipUnless(os.geteuid() == 0, "os: only root gives files away")
    def test_a_setgid_program(self):
        self.assert_refused(self.copy(stat.S_ISGID), "setgid")

    def test_another_architecture(self):
        path = self.copy(0)
        with open(path, "r+b") as file:
            file.seek(18)  # e_machine: s390
            file.write(b"\x16\x00")
        self.assert_refused(path, "architecture")

    def test_no_such_program_and_no_program_at_all(self):
        self.assertEqual(self.guard("no-such-program").returncode, 127)
        self.assertEqual(self.guard(self.folder + "/nothing").returncode, 127)
        plain = os.path.join(self.folder, "plain")
        with open(plain, "w", encoding="utf-8"):
            pass
        self.assertEqual(self.guard(plain).returncode, 126)
        self.assertEqual(self.cli("guard").returncode, 125)
        self.assertEqual(self.cli("guard", "--mode", "x", "--", "true")
                         .returncode, 125)


class WithoutTheCommand(GuardTestCase):

    def setUp(self):
        super().setUp()
        self.environment = dict(os.environ,
                                LD_PRELOAD=GUARD_LIBRARY,
                                FORKSERVER_GUARD="warn",
                                FORKSERVER_GUARD_WINDOW="1",
                                FORKSERVER_GUARD_PROGRAM="/nonexistent/forkserver")

    def run_program(self, *words):
        return subprocess.run([FORKING_PROGRAM, *words],
                              env=self.environment,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE,
                              check=True)

    def test_a_report_that_nobody_can_make_is_named(self):
        result = self.run_program("thread", "fork", "wait")
        self.assertIn(
            b"forkguard: a fork may be unsafe; the program that would tell why "
            b"(forkserver) cannot be executed\n", result.stderr)

    def test_it_goes_where_reports_go(self):
        self.environment["FORKSERVER_GUARD_REPORT"] = self.report_file
        result = self.run_program("thread", "fork", "wait")
        self.assertEqual(result.stderr, b"")
        self.assertIn(b"cannot be executed", read_file(self.report_file))

    def test_a_safe_fork_is_not_spoken_of(self):
        self.assertEqual(self.run_program("fork", "wait").stderr, b"")


class GuardInAGuard(GuardTestCase):

    def test_it_says_everything_once(self):
        self.guard(FORKSERVER, "guard", "--", FORKING_PROGRAM, "thread",
                   "fork", "wait")
        self.assertEqual(len(self.reports()), 1)

    def test_another_copy_of_the_library_keeps_quiet(self):
        copy = os.path.join(self.folder, "libforkguard.so")
        shutil.copy(GUARD_LIBRARY, copy)
        self.sandbox.environment["LD_PRELOAD"] = copy
        self.program("thread", "fork", "wait")
        self.assertEqual(len(self.reports()), 1)

    def test_what_is_preloaded_already_stays(self):
        self.sandbox.environment["LD_PRELOAD"] = "libc.so.6"
        result = self.guard("sh", "-c", "echo $LD_PRELOAD")
        self.assertRegex(result.stdout, r"^/.*/libforkguard\.so:libc\.so\.6$")


if __name__ == "__main__":
    unittest.main()
