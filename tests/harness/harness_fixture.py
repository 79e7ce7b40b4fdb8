"""`forkserver test` on programs that a test writes, in a project of its own.

  class MyTest(HarnessTestCase):
      def test_a_program_that_exits_with_0_passes(self):
          self.script("good", "exit 0")
          self.assertEqual(self.run_tests("./good").verdicts, {"./good": "pass"})

Each test has a project folder (self.project), in which the command runs, and a
cache and a temporary folder of its own. Tear-down fails if a process or a run's
folder is left.
"""

import json
import os
import signal
import subprocess

from daemon_fixture import (FORKSERVERD, SandboxTestCase, alive, read_file,
                            wait_for)

__all__ = ["HarnessTestCase", "Outcome", "alive", "read_file", "wait_for"]


class Outcome:
    """What a run of `forkserver test --json` said."""

    def __init__(self, code, stdout, stderr):
        self.code = code
        self.stderr = stderr
        self.events = [json.loads(line) for line in stdout.splitlines()]

    def of(self, event):
        return [each for each in self.events if each["event"] == event]

    @property
    def plan(self):
        return self.of("run_began")[0]

    @property
    def summary(self):
        return self.of("run_ended")[0]

    def _targets(self):
        return {test["id"]: test["target"] for test in self.plan["tests"]}

    @property
    def verdicts(self):
        """{target: verdict} of targets with one test."""
        targets = self._targets()
        return {
            targets[each["id"]]: each["verdict"]
            for each in self.of("test_ended")
        }

    def attempts(self, target):
        targets = self._targets()
        return [
            each for each in self.of("attempt_ended")
            if targets[each["id"]] == target
        ]

    def attempt(self, target):
        return self.attempts(target)[-1]

    def output(self, target, stream="stdout"):
        text = self.attempt(target)[stream]
        return text["head"] + text["tail"]

    @property
    def order(self):
        """The targets in the order in which they began."""
        targets = self._targets()
        return [targets[each["id"]] for each in self.of("attempt_started")]


class HarnessTestCase(SandboxTestCase):

    def setUp(self):
        super().setUp()
        self.project = os.path.join(self.folder, "p")
        os.mkdir(self.project)
        self.temporary = os.path.join(self.folder, "t")
        os.mkdir(self.temporary)
        self.sandbox.environment.update({
            "XDG_CACHE_HOME": os.path.join(self.folder, "c"),
            "TMPDIR": self.temporary,
            "PROJECT": self.project,
        })
        for name in list(self.sandbox.environment):
            if name.startswith(("TEST_", "TESTBRIDGE_", "XML_OUTPUT")):
                del self.sandbox.environment[name]

    def tearDown(self):
        self.assert_nothing_left()
        wait_for(lambda: not os.listdir(self.temporary),
                 lambda: f"nothing in {os.listdir(self.temporary)}")
        super().tearDown()

    def path(self, name):
        return os.path.join(self.project, name)

    def script(self, name, text, shell="/bin/sh"):
        """An executable of the project; $PROJECT is its folder."""
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(f"#!{shell}\n{text}\n")
        os.chmod(self.path(name), 0o755)
        return "./" + name

    def python(self, name, text):
        return self.script(name, text, shell="/usr/bin/python3 -IS")

    def settings(self, text):
        with open(self.path("forkserver.toml"), "w", encoding="utf-8") as file:
            file.write(text)

    def lines(self, name):
        """The lines of a file that tests append to."""
        return read_file(self.path(name)).decode().splitlines()

    def run_tests(self, *arguments, code=None, **options):
        at = arguments.index("--") if "--" in arguments else len(arguments)
        result = self.cli("test", "--json", *arguments[:at], *arguments[at:],
                          cwd=self.project, **options)
        outcome = Outcome(result.returncode, result.stdout, result.stderr)
        if code is not None:
            self.assertEqual(outcome.code, code, outcome.stderr)
        return outcome

    def run_text(self, *arguments, **options):
        """As a person sees it, without a terminal."""
        return self.cli("test", *arguments, cwd=self.project, **options)

    def start_tests(self, *arguments, **options):
        """In the background; finish() takes what it said."""
        return self.start_cli("test", "--json", *arguments, cwd=self.project,
                              **options)

    def finish(self, process):
        stdout, stderr = process.communicate(timeout=60)
        return Outcome(process.returncode, stdout, stderr)

    def start_session_daemon(self):
        """(its process, a function that ends it) of one that runs find.

        To be ended before tear-down, which fails for what is left.
        """
        daemon = subprocess.Popen(
            [FORKSERVERD, "--socket", self.sandbox.socket, "--foreground"],
            env=self.sandbox.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def end():
            if daemon.poll() is None:
                daemon.terminate()
                daemon.wait(20)

        self.addCleanup(end)
        wait_for(lambda: self.cli("status").returncode == 0, "the daemon")
        return daemon, end

    def wait_for_file(self, name):
        wait_for(lambda: os.path.exists(self.path(name)), f"the file {name}")

    def pid_in(self, name):
        """The number that a test has written to a file, once it has."""
        text = wait_for(lambda: read_file(self.path(name)).strip(),
                        f"a pid in {name}")
        return int(text)

    def assert_ends(self, pid):
        wait_for(lambda: not alive(pid), f"the end of {pid}")

    def kill_at_end(self, pid):
        def kill():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.addCleanup(kill)
