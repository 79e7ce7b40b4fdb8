"""`forkserver enable` and `disable`: what they write, say and take away.

That a real user manager of systemd starts it is user_manager_test.
"""

import os
import plistlib
import shutil
import stat
import subprocess
import unittest

from daemon_fixture import FORKSERVERD, SandboxTestCase, wait_for

# What may stand in a path and has a meaning in one of the formats.
ODD = "a b%h%%c$g`h;i&j<k>l#m~n(o)p*q?r|s!t,u{v}w[x]yäz"
QUOTES = "c'd\"e\\f"
UNITS = [
    "systemd/user/basic.target.wants/forkserverd.service",
    "systemd/user/forkserverd.service",
    "systemd/user/forkserverd.socket",
    "systemd/user/sockets.target.wants/forkserverd.socket",
]
AGENT = "Library/LaunchAgents/forkserver.forkserverd.plist"
ENTRY = "autostart/forkserverd.desktop"
KINDS = {"systemd": UNITS, "launchd": [AGENT], "xdg": [ENTRY]}


class LoginTestCase(SandboxTestCase):

    def setUp(self):
        super().setUp()
        self.home = os.path.join(self.folder, "home")
        self.config = os.path.join(self.home, ".config")
        os.mkdir(self.home)
        environment = self.sandbox.environment
        environment["HOME"] = self.home
        environment["XDG_RUNTIME_DIR"] = self.folder
        for name in ("FORKSERVER_SOCKET", "XDG_CONFIG_HOME",
                     "XDG_CURRENT_DESKTOP", "XDG_SESSION_DESKTOP",
                     "DESKTOP_SESSION"):
            environment.pop(name, None)
        # No tool of this machine's own session is asked.
        self.tools = os.path.join(self.folder, "tools")
        os.mkdir(self.tools)
        environment["PATH"] = self.tools + ":/usr/bin:/bin"

    def tearDown(self):
        self.assert_nothing_left()
        super().tearDown()

    def tree(self):
        """{path below the home: what is there}"""
        found = {}
        for folder, folders, names in os.walk(self.home):
            for name in folders + names:
                path = os.path.join(folder, name)
                if os.path.islink(path):
                    value = os.readlink(path)
                elif os.path.isdir(path):
                    value = None
                else:
                    with open(path, "rb") as file:
                        value = file.read()
                found[os.path.relpath(path, self.home)] = value
        return found

    def files(self):
        return sorted(path for path, value in self.tree().items()
                      if value is not None)

    def below_home(self, kind):
        return [path if path == AGENT else ".config/" + path
                for path in KINDS[kind]]

    def done(self, *arguments, code=0):
        result = self.cli(*arguments)
        self.assertEqual(result.returncode, code, result)
        return result.stdout + result.stderr

    def use_program(self, folder):
        """forkserverd in that folder; its path."""
        path = os.path.join(self.folder, folder, "forkserverd")
        os.makedirs(os.path.dirname(path))
        shutil.copy(FORKSERVERD, path)
        self.sandbox.environment["FORKSERVER_BIN"] = os.path.dirname(path)
        return path

    def fake_tool(self, name, script):
        """A program that notes its arguments and runs `script`."""
        path = os.path.join(self.tools, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\necho "$*" >>"$0.calls"\n{script}\n')
        os.chmod(path, 0o755)

    def calls(self, name):
        path = os.path.join(self.tools, name + ".calls")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()


class EnableTest(LoginTestCase):

    def test_disable_takes_exactly_that_away_again(self):
        for kind in KINDS:
            with self.subTest(kind):
                # Of others, beside it.
                for path in self.below_home(kind):
                    folder = os.path.join(self.home, os.path.dirname(path))
                    os.makedirs(folder, exist_ok=True)
                    with open(os.path.join(folder, "other"), "wb"):
                        pass
                before = self.tree()
                said = self.done("enable", "--kind", kind)
                self.assertEqual(sorted(set(self.tree()) - set(before)),
                                 sorted(self.below_home(kind)))
                for path in self.below_home(kind):
                    self.assertIn(os.path.join(self.home, path), said)
                    full = os.path.join(self.home, path)
                    if not os.path.islink(full):
                        self.assertEqual(stat.S_IMODE(os.stat(full).st_mode),
                                         0o644)
                said = self.done("disable")
                self.assertEqual(self.tree(), before)
                for path in self.below_home(kind):
                    self.assertIn(os.path.join(self.home, path), said)

    def test_twice_is_once(self):
        for kind in KINDS:
            with self.subTest(kind):
                self.done("enable", "--kind", kind)
                tree = self.tree()
                inodes = [os.lstat(os.path.join(self.home, path)).st_ino
                          for path in self.below_home(kind)]
                said = self.done("enable", "--kind", kind)
                self.assertIn("Nothing to write", said)
                self.assertEqual(self.tree(), tree)
                self.assertEqual(
                    [os.lstat(os.path.join(self.home, path)).st_ino
                     for path in self.below_home(kind)], inodes)
                self.done("disable", "--kind", kind)
                self.assertIn("Nothing to remove",
                              self.done("disable", "--kind", kind))

    def test_a_dry_run_prints_it_and_changes_nothing(self):
        for kind in KINDS:
            with self.subTest(kind):
                said = self.done("enable", "--kind", kind, "--dry-run")
                self.assertEqual(self.files(), [])
                self.done("enable", "--kind", kind)
                tree = self.tree()
                for path in self.below_home(kind):
                    self.assertIn(os.path.join(self.home, path), said)
                    full = os.path.join(self.home, path)
                    if not os.path.islink(full):
                        self.assertIn(tree[path].decode(), said)
                said = self.done("disable", "--dry-run")
                self.assertIn("would remove", said)
                self.assertEqual(self.tree(), tree)
                self.done("disable")

    def test_only_the_kind_that_is_named_is_taken_away(self):
        for kind in KINDS:
            self.done("enable", "--kind", kind)
        self.done("disable", "--kind", "xdg")
        self.assertEqual(self.files(), sorted(
            self.below_home("systemd") + self.below_home("launchd")))
        self.done("disable")
        self.assertEqual(self.files(), [])

    def test_another_program_replaces_the_one_that_is_written(self):
        self.done("enable", "--kind", "systemd")
        path = self.use_program("new")
        self.assertIn("wrote", self.done("enable", "--kind", "systemd"))
        unit = self.tree()[".config/systemd/user/forkserverd.service"]
        self.assertIn(path.encode(), unit)

    def test_files_and_links_of_others_are_in_the_way(self):
        for kind, paths in KINDS.items():
            for path in paths:
                with self.subTest(path):
                    full = os.path.join(
                        self.home if path == AGENT else self.config, path)
                    os.makedirs(os.path.dirname(full), exist_ok=True)
                    if ".wants" in path:
                        os.symlink("/dev/null", full)
                    else:
                        with open(full, "wb") as file:
                            file.write(b"mine")
                    before = self.tree()
                    said = self.done("enable", "--kind", kind, code=125)
                    self.assertIn(full, said)
                    self.assertIn("did not make it", said)
                    self.assertEqual(self.tree(), before)
                    self.done("disable")
                    self.assertEqual(self.tree(), before)
                    os.unlink(full)

    def test_a_folder_that_cannot_be_written(self):
        with open(self.config, "wb"):
            pass
        self.assertIn(self.config, self.done("enable", "--kind", "xdg",
                                             code=125))

    def test_the_folder_for_settings_may_be_elsewhere(self):
        other = os.path.join(self.folder, "settings")
        self.sandbox.environment["XDG_CONFIG_HOME"] = other
        self.done("enable", "--kind", "xdg")
        self.assertTrue(os.path.exists(os.path.join(other, ENTRY)))
        # A relative one is to be ignored.
        self.sandbox.environment["XDG_CONFIG_HOME"] = "settings"
        self.done("enable", "--kind", "xdg")
        self.assertTrue(os.path.exists(os.path.join(self.config, ENTRY)))

    def test_without_a_home_or_a_daemon(self):
        home = self.sandbox.environment.pop("HOME")
        self.assertIn("HOME", self.done("enable", "--kind", "xdg", code=125))
        self.sandbox.environment["HOME"] = home
        self.sandbox.environment["FORKSERVER_BIN"] = "/no/bin"
        self.assertIn("/no/bin", self.done("enable", "--kind", "xdg",
                                           code=125))

    def test_wrong_usage(self):
        self.assertIn("upstart", self.done("enable", "--kind", "upstart",
                                           code=2))
        for command in ("enable", "disable"):
            self.assertIn("--socket", self.done(command, "--socket", "/x",
                                                code=2))

    def test_a_socket_of_the_environment_is_warned_of(self):
        self.sandbox.environment["FORKSERVER_SOCKET"] = "/x/y"
        said = self.done("enable", "--kind", "launchd")
        self.assertIn("FORKSERVER_SOCKET is set", said)
        self.assertNotIn(b"/x/y", self.tree()[AGENT])


class KindTest(LoginTestCase):

    @unittest.skipIf(os.path.isdir("/run/systemd/system"),
                     "os: this machine runs systemd")
    def test_where_nothing_starts_programs_it_says_who_does(self):
        said = self.done("enable", code=125)
        self.assertIn("the first program that needs forkserverd starts it",
                      said)
        self.assertEqual(self.files(), [])

    @unittest.skipIf(os.path.isdir("/run/systemd/system"),
                     "os: this machine runs systemd")
    def test_a_desktop_without_systemd(self):
        self.sandbox.environment["XDG_CURRENT_DESKTOP"] = "XFCE"
        said = self.done("enable")
        self.assertIn("autostart", said)
        self.assertIn("starts with the next login", said)
        self.assertEqual(self.files(), self.below_home("xdg"))

    def test_systemd_that_cannot_be_told(self):
        self.fake_tool("systemctl", "exit 0")
        said = self.done("enable", "--kind", "systemd")
        self.assertIn("No user manager of systemd can be told now", said)
        self.assertIn("starts with the next login", said)
        self.assertEqual(self.calls("systemctl"), [])

    def test_launchd_is_told(self):
        self.fake_tool("launchctl", "exit 0")
        self.done("enable", "--kind", "launchd")
        self.assertEqual(self.calls("launchctl"), [
            f"bootstrap gui/{os.getuid()} {os.path.join(self.home, AGENT)}"])

    def test_launchd_that_refuses(self):
        self.fake_tool("launchctl", "echo Input/output error >&2; exit 5")
        said = self.done("enable", "--kind", "launchd")
        self.assertIn("exit code 5", said)
        self.assertIn("starts with the next login", said)

    def test_a_daemon_that_serves_already_is_left_alone(self):
        self.fake_tool("launchctl", "exit 0")
        self.done("daemon", "start")
        pid = self.cli_json("daemon", "status")["pid"]
        said = self.done("enable", "--kind", "launchd")
        self.assertIn("launchctl bootstrap", said)
        self.assertIn("forkserver daemon stop", said)
        self.assertEqual(self.calls("launchctl"), [])
        self.done("disable")
        self.assertEqual(self.cli_json("daemon", "status")["pid"], pid)
        self.done("daemon", "stop")


class FormatTest(LoginTestCase):
    """By programs that read these formats, with a path that is hard to say."""

    def verify_units(self):
        # Unknown keys give exit code 0, and a line.
        folder = os.path.join(self.config, "systemd/user")
        for name in ("forkserverd.service", "forkserverd.socket"):
            result = subprocess.run(
                ["systemd-analyze", "--user", "verify",
                 os.path.join(folder, name)],
                env=self.sandbox.environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                timeout=60, check=False)
            self.assertEqual((result.returncode, result.stdout), (0, ""))

    @unittest.skipUnless(shutil.which("systemd-analyze"),
                         "os: no systemd-analyze")
    def test_systemd_takes_the_units(self):
        for folder in ("plain", "a b", ODD):
            with self.subTest(folder):
                # A program that is not there is an error for it.
                path = self.use_program(folder)
                self.done("enable", "--kind", "systemd")
                self.verify_units()
                os.unlink(path)
                with self.assertRaises(AssertionError):
                    self.verify_units()
                self.done("disable")

    def test_the_units_say_what_is_promised(self):
        self.done("enable", "--kind", "systemd")
        tree = self.tree()
        service = tree[".config/systemd/user/forkserverd.service"].decode()
        for line in ("Type=notify", "Delegate=yes", "KillMode=process",
                     "Before=basic.target shutdown.target",
                     "WantedBy=basic.target"):
            self.assertIn(line + "\n", service)
        listening = tree[".config/systemd/user/forkserverd.socket"].decode()
        for line in ("ListenStream=%t/forkserver/default.sock",
                     "SocketMode=0600", "DirectoryMode=0700"):
            self.assertIn(line + "\n", listening)
        # The one that is looked for, %t being this variable.
        self.assertEqual(
            self.cli("socket-path").stdout,
            self.sandbox.environment["XDG_RUNTIME_DIR"]
            + "/forkserver/default.sock\n")

    def test_a_plist_that_launchd_can_read(self):
        for folder in ("plain", ODD + QUOTES):
            with self.subTest(folder):
                path = self.use_program(folder)
                self.done("enable", "--kind", "launchd")
                agent = plistlib.loads(self.tree()[AGENT],
                                       fmt=plistlib.FMT_XML)
                wanted = self.folder + "/forkserver/default.sock"
                self.assertEqual(agent, {
                    "Label": "forkserver.forkserverd",
                    "ProgramArguments": [path, "--foreground", "--socket",
                                         wanted],
                    "Sockets": {"control": {"SockPathName": wanted,
                                            "SockPathMode": 0o600}},
                    "RunAtLoad": True,
                    "KeepAlive": {"SuccessfulExit": False},
                    "ProcessType": "Interactive",
                    "AbandonProcessGroup": True,
                    "ExitTimeOut": 60,
                    "StandardErrorPath":
                        self.home + "/Library/Logs/forkserverd.log",
                })
                self.done("disable")

    @unittest.skipUnless(shutil.which("desktop-file-validate"),
                         "os: no desktop-file-validate")
    def test_a_desktop_entry_that_is_valid(self):
        for folder in ("plain", ODD + QUOTES):
            with self.subTest(folder):
                self.use_program(folder)
                self.done("enable", "--kind", "xdg")
                result = subprocess.run(
                    ["desktop-file-validate",
                     os.path.join(self.config, ENTRY)],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    text=True, timeout=60, check=False)
                self.assertEqual((result.returncode, result.stdout), (0, ""))
                self.done("disable")

    def test_the_desktop_starts_that_very_program(self):
        try:
            # pylint: disable=import-outside-toplevel
            from gi.repository import Gio
        except ImportError:
            self.skipTest("os: no python3-gi")
        # GLib looks for the program before it has read "%%" as "%".
        for folder in ("plain", ODD.replace("%", "") + QUOTES):
            with self.subTest(folder):
                path = self.use_program(folder)
                self.done("enable", "--kind", "xdg")
                entry = Gio.DesktopAppInfo.new_from_filename(
                    os.path.join(self.config, ENTRY))
                context = Gio.AppLaunchContext()
                for name in os.environ:
                    context.unsetenv(name)
                for name, value in self.sandbox.environment.items():
                    context.setenv(name, value)
                self.assertTrue(entry.launch([], context))
                # At the socket that is looked for.
                wait_for(lambda: self.cli("status").returncode == 0,
                         "it serves")
                pid = self.cli_json("status")["pid"]
                self.assertEqual(os.readlink(f"/proc/{pid}/exe"), path)
                self.done("daemon", "stop")
                self.done("disable")

    def test_a_path_that_no_format_can_say_is_refused(self):
        cases = [("a\nb", ("systemd", "launchd", "xdg")),
                 (b"a\xffb".decode(errors="surrogateescape"),
                  ("systemd", "launchd", "xdg")), ("a=b", ("xdg",)),
                 (QUOTES, ("systemd",))]
        for folder, kinds in cases:
            self.use_program(folder)
            for kind in kinds:
                with self.subTest(folder=folder.encode(
                        errors="surrogateescape"), kind=kind):
                    result = self.cli("enable", "--kind", kind, text=False)
                    self.assertEqual(result.returncode, 125)
                    self.assertIn(b"the path of forkserverd", result.stderr)
                    self.assertEqual(self.files(), [])


if __name__ == "__main__":
    unittest.main()
