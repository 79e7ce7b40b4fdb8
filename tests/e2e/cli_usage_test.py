"""What `forkserver` says about itself, and about wrong command lines."""

import unittest

from daemon_fixture import SandboxTestCase

COMMANDS = [
    "run", "fork", "zygote start", "zygote ls", "zygote stop", "ps", "top",
    "wait", "kill", "stop", "status", "events", "daemon start", "daemon stop",
    "daemon upgrade", "daemon status", "doctor", "guard", "socket-path",
]


class HelpTest(SandboxTestCase):

    def test_help_lists_every_command(self):
        text = self.cli("--help").stdout
        for group in ("zygote", "daemon"):
            text += self.cli(group, "--help").stdout
        first_words = [line.split()[0] for line in text.splitlines() if line]
        for command in COMMANDS:
            self.assertIn(command.split()[-1], first_words)

    def test_the_help_of_each_command_is_complete(self):
        for command in COMMANDS:
            with self.subTest(command):
                result = self.cli(*command.split(), "--help")
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertIn(f"Usage: forkserver {command} ", result.stdout)
                self.assertIn("Example:\n", result.stdout)
                self.assertIn("--socket", result.stdout)

    def test_help_after_the_double_dash_is_the_commands(self):
        self.sandbox.environment["FORKSERVER_DISABLE"] = "1"
        for separator in (["--"], []):
            result = self.cli("run", *separator, "sh", "-c", 'echo "$1"', "sh",
                              "--help")
            self.assertEqual(result.stdout, "--help\n")

    def test_version(self):
        result = self.cli("--version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"^forkserver \d+\.\d+\.\d+\n$")


class UsageErrorTest(SandboxTestCase):

    def assert_usage_error(self, code, *arguments):
        with self.subTest(arguments):
            result = self.cli(*arguments)
            self.assertEqual((result.returncode, result.stdout), (code, ""))
            self.assertRegex(result.stderr,
                             r"^forkserver: .*; see `forkserver.*--help`\n$")
            return result.stderr

    def test_what_is_wrong_is_named(self):
        for text, *arguments in (
            ("a command is required",),
            ("a command is required", "zygote"),
            ("there is no command 'bogus'", "bogus"),
            ("there is no command 'bogus'", "zygote", "bogus"),
            ("there is no option '--bogus'", "--bogus"),
            ("--restart: 'ever' is not one of no|on-failure|always",
             "start", "x", "--restart", "ever", "--", "true"),
            ("--audit: 'no' is not one of refuse|warn|allow",
             "zygote", "start", "x", "--audit", "no", "--", "true"),
        ):
            self.assertIn(text, self.assert_usage_error(2, *arguments))

    def test_it_is_125_for_commands_that_exit_as_a_worker(self):
        for arguments in (
            ("run",),
            ("run", "--"),
            ("run", "--bogus", "--", "true"),
            ("run", "--timeout", "soon", "--", "true"),
            ("run", "--timeout", "-1", "--", "true"),
            ("run", "--env", "NOVALUE", "--", "true"),
            ("run", "--umask", "9", "--", "true"),
            ("run", "--limit", "nofile", "--", "true"),
            ("run", "--nice", "nicely", "--", "true"),
            ("run", "--cpus", "all", "--", "true"),
            ("run", "--io-priority", "first", "--", "true"),
            ("run", "--oom-score-adj", "never", "--", "true"),
            ("fork",),
            ("fork", "z", "extra"),
            ("fork", "z", "--result", "--detach"),
            ("guard",),
            ("guard", "--mode", "panic", "--", "true"),
            ("guard", "--exec-window", "soon", "--", "true"),
            ("doctor", "--bogus"),
        ):
            self.assert_usage_error(125, *arguments)

    def test_it_is_2_for_all_others(self):
        for arguments in (
            (),
            ("bogus",),
            ("--bogus", "ps"),
            ("ps", "--bogus"),
            ("ps", "extra"),
            ("ps", "--", "extra"),
            ("zygote",),
            ("zygote", "bogus"),
            ("zygote", "start"),
            ("zygote", "start", "z"),
            ("zygote", "start", "z", "--parent", "y", "--", "true"),
            ("wait",),
            ("wait", "x", "--timeout", "soon"),
            ("kill", "-s", "BOGUS", "x"),
            ("kill", "-s", "999", "x"),
            ("daemon", "start", "--bogus"),
        ):
            self.assert_usage_error(2, *arguments)

    def test_it_names_the_option_and_the_value(self):
        text = self.assert_usage_error(125, "run", "--limit", "as=2X", "--",
                                       "true")
        self.assertIn("--limit", text)
        self.assertIn("as=2X", text)


if __name__ == "__main__":
    unittest.main()
