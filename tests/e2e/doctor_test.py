"""forkserver doctor: a process, the daemon, this session."""

import json
import os
import subprocess
import unittest

from daemon_fixture import SandboxTestCase, ZYGOTE_PROGRAM, read_file

PROGRAM = """
import socket, sys, threading, time
if "thread" in sys.argv:
    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
if "pair" in sys.argv:
    pair = socket.socketpair()
print("READY", flush=True)
time.sleep(100)
"""


class ProcessTest(SandboxTestCase):

    def start(self, *words):
        process = subprocess.Popen(
            ["/usr/bin/python3", "-c", PROGRAM, *words],
            env=self.sandbox.environment, stdout=subprocess.PIPE)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b"READY\n")
        return process.pid

    def test_a_safe_one(self):
        result = self.cli("doctor", str(self.start("pair")))
        self.assertEqual(result.returncode, 0, result)
        self.assertIn("is safe to fork", result.stdout)

    def test_an_unsafe_one_with_what_where_why_and_what_to_do(self):
        pid = self.start("thread")
        result = self.cli("doctor", str(pid))
        self.assertEqual(result.returncode, 1, result)
        for word in (f"process {pid} is unsafe to fork: 1 reason",
                     "- thread ", "where   started by /usr/bin/python3",
                     "why     a Python thread", "do      start threads",
                     "see     docs/fork_safety.md#python"):
            self.assertIn(word, result.stdout)

    def test_json(self):
        result = self.cli("doctor", "--json", str(self.start("thread")))
        self.assertEqual(result.returncode, 1)
        audit = json.loads(result.stdout)
        self.assertEqual(audit["verdict"], "unsafe")
        self.assertEqual(audit["reasons"][0]["known_as"], "python")

    def test_there_is_nothing_to_look_at(self):
        ended = subprocess.Popen(["/bin/true"])
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        result = self.cli("doctor", str(ended.pid))
        ended.wait()
        self.assertEqual(result.returncode, 125)
        self.assertIn("zombie", result.stderr)
        result = self.cli("doctor", str(ended.pid))
        self.assertEqual(result.returncode, 125)
        self.assertIn("no process", result.stderr)

    @unittest.skipUnless(b"kthreadd" in read_file("/proc/2/comm"),
                         "os: no kernel thread is to be seen")
    def test_a_thread_of_the_kernel(self):
        result = self.cli("doctor", "2")
        self.assertEqual(result.returncode, 125)
        self.assertIn("kernel", result.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "os: not root")
    def test_another_users(self):
        pid = self.start()
        os.chmod(self.sandbox.folder, 0o755)

        def become_nobody():
            os.setgid(65534)
            os.setuid(65534)

        try:
            result = self.cli("doctor", str(pid), preexec_fn=become_nobody)
        except (PermissionError, subprocess.SubprocessError):
            self.skipTest("os: no other user is mapped here")
        if result.returncode == 125 and "another user" not in result.stderr:
            self.skipTest("os: another user cannot run the program here")
        self.assertEqual(result.returncode, 125, result)
        self.assertIn("another user", result.stderr)

    def test_wrong_usage(self):
        for words in (["0"], ["-5"], ["x"], ["1", "2"], ["1", "--daemon"]):
            result = self.cli("doctor", *words)
            self.assertEqual(result.returncode, 125, words)


class SessionTest(SandboxTestCase):

    def setUp(self):
        super().setUp()
        self.addCleanup(self.cli, "daemon", "stop")

    def test_without_a_daemon_it_starts_none(self):
        result = self.cli("doctor")
        self.assertEqual(result.returncode, 0, result)
        self.assertIn("none runs", result.stdout)
        self.assertEqual(self.cli("daemon", "status").returncode, 1)

    def test_the_session(self):
        self.cli("zygote", "start", "z", "--", ZYGOTE_PROGRAM)
        result = self.cli("doctor")
        self.assertEqual(result.returncode, 0, result)
        for word in ("the daemon is safe to fork", "zygote 'z'",
                     "verdict      safe", "nofile"):
            self.assertIn(word, result.stdout)
        report = json.loads(self.cli("doctor", "--json").stdout)
        self.assertEqual(report["verdict"], "safe")
        self.assertEqual(report["daemon"]["threads"], 1)
        self.assertEqual(report["zygotes"][0]["audit"]["verdict"], "safe")
        self.assertEqual(report["problems"], [])

    def test_an_unsafe_zygote_makes_the_session_unsafe(self):
        started = self.cli("zygote", "start", "z", "--audit", "warn",
                           "--preload", "starts_thread", "--",
                           ZYGOTE_PROGRAM)
        self.assertEqual(started.returncode, 0, started)
        self.assertIn("warning: zygote 'z' is unsafe to fork", started.stderr)
        result = self.cli("doctor")
        self.assertEqual(result.returncode, 1, result)
        self.assertIn("stray worker", result.stdout)
        self.assertIn("step    preload starts_thread", result.stdout)
        listed = self.cli("zygote", "ls").stdout
        self.assertRegex(listed, r"z +\d+ +ready +unsafe")

    def test_the_daemon_itself(self):
        self.assertEqual(self.cli("doctor", "--daemon").returncode, 125)
        self.cli("daemon", "start")
        result = self.cli("doctor", "--daemon")
        self.assertEqual(result.returncode, 0, result)
        self.assertIn("forkserverd (pid", result.stdout)

    def test_a_folder_that_others_can_enter_is_to_be_mended(self):
        os.chmod(self.sandbox.folder, 0o755)
        result = self.cli("doctor")
        self.assertIn("to mend", result.stdout)
        self.assertIn("chmod 0700", result.stdout)

    def test_work_arounds_are_told(self):
        self.sandbox.environment["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = (
            "YES")
        result = self.cli("doctor")
        self.assertIn("OBJC_DISABLE_INITIALIZE_FORK_SAFETY=YES",
                      result.stdout)


if __name__ == "__main__":
    unittest.main()
