"""Completion: what is offered, and that real shells offer it."""

import os
import pty
import select
import shutil
import signal
import subprocess
import time
import unittest

from daemon_fixture import FORKSERVER, ZYGOTE_PROGRAM, DaemonTestCase


class CandidatesTest(DaemonTestCase):

    def words(self, *typed):
        result = self.cli("complete", "--", *typed)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return [line.split("\t")[0] for line in result.stdout.splitlines()]

    def test_every_command_that_help_lists(self):
        listed = self.cli("--help").stdout
        commands = self.words("")
        for command in commands:
            self.assertIn(f"\n  {command} ", listed)
        self.assertIn("run", commands)
        self.assertNotIn("complete", commands)
        self.assertNotIn("guard-report", commands)
        self.assertEqual(self.words("daemon", ""), ["start", "stop", "upgrade", "status"])

    def test_every_option_that_help_lists(self):
        listed = self.cli("start", "--help").stdout
        options = self.words("start", "web", "--")
        for option in options:
            self.assertIn(option, listed)
        self.assertIn("--backoff-max", options)
        self.assertNotIn("--crash-report", options)

    def test_values_of_options(self):
        self.assertEqual(sorted(self.words("start", "x", "--restart", "")),
                         ["always", "no", "on-failure"])
        self.assertEqual(sorted(self.words("start", "x", "--restart", "=",
                                           "o")),
                         ["always", "no", "on-failure"])
        self.assertEqual(self.words("start", "x", "--cwd", ""), [])

    def test_names_that_the_daemon_knows(self):
        self.cli("start", "web", "--", "sleep", "1000")
        self.cli("zygote", "start", "render", "--", ZYGOTE_PROGRAM)
        worker = self.cli("run", "--detach", "--", "sleep",
                          "1000").stdout.strip()
        web = self.cli_json("status", "web")["worker"]
        self.assertEqual(self.words("logs", ""), ["web"])
        self.assertEqual(self.words("start", "x", "--after", ""), ["web"])
        self.assertEqual(sorted(self.words("stop", "")),
                         sorted(["web", web, worker]))
        self.assertEqual(sorted(self.words("wait", "")),
                         sorted([web, worker]))
        self.assertEqual(self.words("fork", ""), ["render"])
        self.assertEqual(self.words("start", "x", "--zygote", ""), ["render"])
        self.assertEqual(self.words("logs", "web", ""), [])

    def test_the_words_of_a_command_are_its_own(self):
        self.assertEqual(self.words("run", "--", "ls", "--"), [])

    def test_without_a_daemon_there_are_no_names(self):
        self.assertEqual(self.words("--socket", self.folder + "/none", "logs",
                                    ""), [])


class ShellTest(DaemonTestCase):

    def setUp(self):
        super().setUp()
        self.cli("start", "webserver", "--", "sleep", "1000")
        bin_folder = os.path.join(self.folder, "bin")
        os.mkdir(bin_folder)
        os.symlink(FORKSERVER, os.path.join(bin_folder, "forkserver"))
        self.environment = dict(
            self.sandbox.environment, PATH=bin_folder + ":/usr/bin:/bin",
            TERM="xterm")

    def run_shell(self, *command):
        result = subprocess.run(command, env=self.environment, text=True,
                                stdin=subprocess.DEVNULL, timeout=60,
                                capture_output=True, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout.splitlines()

    def test_bash(self):
        self.assertEqual(self.run_shell(
            "bash", "-c", "source <(forkserver completion bash)\n"
            "COMP_WORDS=(forkserver stop webs) COMP_CWORD=2; _forkserver\n"
            "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
            "COMP_WORDS=(forkserver zygote '') COMP_CWORD=2; _forkserver\n"
            "printf '%s\\n' \"${COMPREPLY[@]}\""),
            ["webserver", "start", "ls", "stop"])

    @unittest.skipUnless(shutil.which("fish"), "os: no fish")
    def test_fish(self):
        self.assertEqual(self.run_shell(
            "fish", "--no-config", "-c", "forkserver completion fish | source;"
            "complete -C 'forkserver stop webs';"
            "complete -C 'forkserver start x --restart on'"),
            ["webserver\trunning", "on-failure"])

    @unittest.skipUnless(shutil.which("zsh"), "os: no zsh")
    def test_zsh(self):
        # Its completion works only while a line is typed.
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe("zsh", ["zsh", "-f"], self.environment)
        self.addCleanup(os.close, terminal)
        seen = b""

        def await_text(text):
            nonlocal seen
            deadline = time.monotonic() + 30
            while text not in seen:
                left = deadline - time.monotonic()
                if left < 0 or not select.select([terminal], [], [], left)[0]:
                    self.fail(f"no {text!r} in {seen!r}")
                seen += os.read(terminal, 4096)
            seen = seen.partition(text)[2]

        os.write(terminal, b"PS1='> '; autoload -U compinit; compinit -u -D; "
                 b"source <(forkserver completion zsh); echo REA''DY\n")
        await_text(b"READY\r\n")
        os.write(terminal, b"forkserver stop webs\t")
        await_text(b"erver")
        os.write(terminal, b"\x15forkserver zyg\t\t")
        await_text(b"zygote")
        await_text(b"Retire a zygote")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    unittest.main()
