"""`forkserver run -t`: a worker with a terminal of its own, used from one."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

from daemon_fixture import (FORKSERVER, ZYGOTE_PROGRAM, DaemonTestCase, alive,
                            state_and_parent, wait_for)

TIMEOUT = 30


class Typed:
    """A terminal with a program in it, and somebody who types."""

    def __init__(self, argv, environment, rows=30, columns=100):
        self._fd, theirs = pty.openpty()
        self.resize(rows, columns)
        self.modes = termios.tcgetattr(self._fd)

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(argv, stdin=theirs, stdout=theirs,
                                        stderr=theirs, env=environment,
                                        preexec_fn=take_terminal)
        os.close(theirs)
        self.shown = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))

    def modes_now(self):
        return termios.tcgetattr(self._fd)

    def type(self, text):
        os.write(self._fd, text.encode())

    def expect(self, pattern):
        """Until that has been shown; what came before it is forgotten."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            found = re.search(pattern, self.shown)
            if found:
                self.shown = self.shown[found.end():]
                return found
            readable, _, _ = select.select(
                [self._fd], [], [], max(0, deadline - time.monotonic()))
            try:
                data = os.read(self._fd, 65536) if readable else b""
            except OSError:
                data = b""
            if not data:
                raise AssertionError(
                    f"{pattern!r} was not shown, but {self.shown!r}")
            self.shown += data.decode(errors="replace")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._fd)


class TerminalTest(DaemonTestCase):
    def typed(self, *argv, **options):
        typed = Typed(argv, self.sandbox.environment, **options)
        self.addCleanup(typed.close)
        return typed

    def run_typed(self, *words, **options):
        return self.typed(FORKSERVER, "run", "-t", "--", *words, **options)

    def outer_shell(self):
        shell = self.typed("bash", "--norc", "--noprofile", "-i")
        shell.type("PS1=rea''dy:\n")
        shell.expect("ready:")
        return shell

    def test_a_shell_is_usable(self):
        shell = self.run_typed("bash", "--norc", "--noprofile", "-i")
        # A typed word is shown too, and would be found before the answer.
        shell.type("PS1=ready:; echo $((6*7)); test -t 0 -a -t 1 -a -t 2"
                   " && echo ter''minals\n")
        shell.expect("42\r\n")
        shell.expect("terminals\r\n")
        shell.type("sleep 1000\n")
        shell.expect("sleep 1000\r\n")
        wait_for(lambda: self.foreground(shell) == "sleep", "sleep runs")
        shell.type("\x1a")
        shell.expect(r"Stopped +sleep 1000\r\n")
        shell.type("jobs; fg\n")
        shell.expect(r"Stopped +sleep 1000\r\n")
        wait_for(lambda: self.foreground(shell) == "sleep", "sleep runs")
        shell.type("\x03")
        shell.expect("ready:")
        shell.type("exit 7\n")
        self.assertEqual(shell.process.wait(TIMEOUT), 7)

    def foreground(self, shell):
        """The name of what has the worker's terminal."""
        worker = self.worker()
        with open(f"/proc/{worker['pid']}/stat", encoding="utf-8") as file:
            group = file.read().rpartition(")")[2].split()[5]
        with open(f"/proc/{group}/comm", encoding="utf-8") as file:
            return file.read().strip()

    def worker(self):
        (worker,) = self.cli_json("ps")
        return worker

    def test_it_has_the_size_of_this_terminal_and_follows_it(self):
        shell = self.run_typed(
            "bash", "-c", "trap 'stty size; done=1' WINCH; stty size;"
            " until test $done; do sleep 0.05; done", rows=33, columns=77)
        shell.expect("33 77\r\n")
        shell.resize(12, 200)
        shell.expect("12 200\r\n")
        self.assertEqual(shell.process.wait(TIMEOUT), 0)

    def test_keys_go_to_the_worker_and_the_modes_come_back(self):
        program = ("import sys, tty; tty.setraw(0); print('go', flush=True)\n"
                   "print(sys.stdin.buffer.raw.read(1), flush=True)")
        shell = self.run_typed("/usr/bin/python3", "-c", program)
        before = shell.modes
        shell.expect("go")
        self.assertNotEqual(shell.modes_now(), before)
        shell.type("\x03")
        shell.expect(re.escape(r"b'\x03'"))
        self.assertEqual(shell.process.wait(TIMEOUT), 0)
        self.assertEqual(shell.modes_now(), before)

    def test_ctrl_c_ends_it(self):
        shell = self.run_typed("sh", "-c", "echo go; exec sleep 1000")
        shell.expect("go")
        shell.type("\x03")
        self.assertEqual(shell.process.wait(TIMEOUT), 128 + signal.SIGINT)

    def test_ctrl_z_stops_both_and_fg_continues_them(self):
        shell = self.outer_shell()
        shell.type(f"{FORKSERVER} run -t -- sh -c 'echo g''o; exec cat'\n")
        shell.expect("go\r\n")
        worker = self.worker()["pid"]
        shell.type("\x1a")
        shell.expect("Stopped ")
        wait_for(lambda: state_and_parent(worker)[0] == "T", "it is stopped")
        shell.type("fg\n")
        wait_for(lambda: state_and_parent(worker)[0] == "S", "it is continued")
        shell.type("words\n")
        shell.expect("words\r\nwords\r\n")
        shell.type("\x04")
        shell.expect("ready:")
        shell.type("echo $?; exit\n")
        shell.expect("0\r\n")
        self.assertEqual(shell.process.wait(TIMEOUT), 0)

    def test_ctrl_z_without_a_terminal_of_its_own(self):
        shell = self.outer_shell()
        shell.type(f"{FORKSERVER} run -- sh -c 'echo g''o;"
                   " exec sleep 1000'\n")
        shell.expect("go\r\n")
        worker = self.worker()["pid"]
        shell.type("\x1a")
        shell.expect("Stopped ")
        wait_for(lambda: state_and_parent(worker)[0] == "T", "it is stopped")
        shell.type("fg\n")
        wait_for(lambda: state_and_parent(worker)[0] == "S", "it is continued")
        shell.type("\x03")
        shell.expect("ready:")
        shell.type("echo $?; exit 0\n")
        shell.expect("130\r\n")
        self.assertEqual(shell.process.wait(TIMEOUT), 0)

    def test_all_that_it_wrote_is_shown(self):
        result = self.cli("run", "-t", "--", "sh", "-c",
                          "seq 100000; stty size", stdin=subprocess.DEVNULL)
        lines = result.stdout.split("\n")
        # Input that has ended is shown as ^D and two steps back.
        self.assertEqual(lines[0].replace("^D\b\b", ""), "1")
        self.assertEqual(lines[1:100000],
                         [str(i) for i in range(2, 100001)])
        self.assertEqual(lines[100000:], ["24 80", ""])
        self.assertEqual(result.returncode, 0)

    def test_input_that_is_no_terminal(self):
        text = "".join(f"line {i}\n" for i in range(5000)) + "the end"
        result = self.cli("run", "-t", "--", "sh", "-c",
                          "stty -echo; echo go; wc -c", input=text)
        # What it was sent before it had switched that off is shown.
        self.assertEqual(result.stdout.split()[-1], str(len(text)))

    def test_the_loss_of_this_terminal_ends_it(self):
        shell = self.run_typed("sh", "-c", "echo go; exec sleep 1000")
        shell.expect("go")
        worker = self.worker()["pid"]
        shell.process.send_signal(signal.SIGHUP)
        self.assertEqual(shell.process.wait(TIMEOUT), 128 + signal.SIGHUP)
        wait_for(lambda: not alive(worker), "it is gone")

    def test_a_daemon_that_is_lost_leaves_the_terminal_as_it_was(self):
        shell = self.run_typed("sh", "-c", "echo go; exec sleep 1000")
        shell.expect("go")
        before = shell.modes
        self.assertNotEqual(shell.modes_now(), before)
        self.kill_daemon()
        self.assertEqual(shell.process.wait(TIMEOUT), 125)
        self.assertEqual(shell.modes_now(), before)

    def test_a_forked_worker(self):
        result = self.cli("zygote", "start", "demo", "--", ZYGOTE_PROGRAM)
        self.assertEqual(result.returncode, 0, result.stderr)
        shell = self.typed(FORKSERVER, "fork", "-t", "demo", "--entry",
                           "run_shell", "--args",
                           "test -t 0 && echo a terminal; exit 3")
        shell.expect("a terminal\r\n")
        self.assertEqual(shell.process.wait(TIMEOUT), 3)

    def test_what_does_not_go_together(self):
        for other in ("--detach", "--crash-report", "--session"):
            result = self.cli("run", "-t", other, "--", "true")
            self.assertEqual(result.returncode, 125)
            self.assertIn(other + " excludes --pty", result.stderr)


if __name__ == "__main__":
    unittest.main()
