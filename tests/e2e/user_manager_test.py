"""A login: `forkserver enable`, and then a real user manager of systemd.

As root in a mount and pid namespace of its own, in which the machine looks as
if systemd had booted it. Tagged local.
"""

import contextlib
import os
import shutil
import subprocess
import unittest

from daemon_fixture import (FORKSERVER, FORKSERVERD, SandboxTestCase,
                            read_file, wait_for)

SYSTEMD = "/lib/systemd/systemd"
RUNTIME = f"/run/user/{os.geteuid()}"
SOCKET = RUNTIME + "/forkserver/default.sock"
# Ends with everything in it when its standard input does. The manager moves
# itself into a cgroup of its own; without the unified hierarchy there is none.
LOGIN = f"""
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/system {RUNTIME}
chmod 700 {RUNTIME}
if ! [ -e /sys/fs/cgroup/cgroup.procs ]; then
  while umount -l /sys/fs/cgroup 2>/dev/null; do :; done
  mount -t cgroup2 none /sys/fs/cgroup
fi
mkdir "/sys/fs/cgroup/$1"
echo $$ >"/sys/fs/cgroup/$1/cgroup.procs"
{SYSTEMD} --user --log-target=console >&2 &
echo started
cat >/dev/null
"""
# Others that a session starts, as they usually say it.
PROBE = """[Unit]
Description=probe

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'test -S %t/forkserver/default.sock && \
    {forkserver} --socket %t/forkserver/default.sock status >%h/probe'

[Install]
WantedBy=default.target
"""


@unittest.skipIf(os.geteuid() != 0, "os: needs root")
@unittest.skipUnless(os.access(SYSTEMD, os.X_OK), "os: no systemd")
class UserManagerTest(SandboxTestCase):

    def setUp(self):
        super().setUp()
        self.home = os.path.join(self.folder, "home")
        self.units = os.path.join(self.home, ".config/systemd/user")
        os.makedirs(self.units)
        self.cgroup = os.path.basename(self.folder)
        environment = self.sandbox.environment
        for name in ("FORKSERVER_SOCKET", "XDG_STATE_HOME"):
            del environment[name]
        environment.update({
            "HOME": self.home, "XDG_RUNTIME_DIR": RUNTIME,
            "PATH": "/usr/bin:/bin", "SYSTEMD_LOG_LEVEL": "warning",
            # systemd takes no quotes in it, but all else.
            "FORKSERVER_BIN": os.path.join(self.folder, "a b%h$HOME"),
        })
        os.mkdir(environment["FORKSERVER_BIN"])
        self.program = os.path.join(environment["FORKSERVER_BIN"],
                                    "forkserverd")
        shutil.copy(FORKSERVERD, self.program)

    def log_in(self):
        """Starts the session; `self.inside(ARGV...)` runs in it."""
        log_path = os.path.join(self.folder, "manager.log")
        with open(log_path, "wb") as log:
            self.session = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "--kill-child",
                 "--mount-proc", "--propagation", "private", "bash", "-c",
                 LOGIN, "login", self.cgroup],
                env=self.sandbox.environment, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log)
        self.addCleanup(self.log_out)
        if self.session.stdout.readline() != b"started\n":
            self.skipTest("os: no session can be made here: " +
                          read_file(log_path).decode(errors="replace")[-300:])
        children = read_file(f"/proc/{self.session.pid}/task/"
                             f"{self.session.pid}/children").split()
        self.login = int(children[0])
        wait_for(lambda: self.inside("systemctl", "--user",
                                     "is-system-running").stdout.strip()
                 in ("running", "degraded"),
                 lambda: read_file(log_path).decode(errors="replace"), 60)

    def log_out(self):
        self.session.stdin.close()
        self.session.stdout.close()
        try:
            self.session.wait(30)
        except subprocess.TimeoutExpired:
            self.session.kill()
            self.session.wait()
        for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            top = os.path.join(mount, self.cgroup)
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        self.assert_nothing_left()

    def inside(self, *argv, timeout=60):
        return subprocess.run(
            ["nsenter", f"--target={self.login}", "--mount", "--pid", *argv],
            env=self.sandbox.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=timeout, check=False)

    def forkserver(self, *arguments, code=0):
        result = self.inside(FORKSERVER, *arguments)
        self.assertEqual(result.returncode, code, result.stdout)
        return result.stdout

    def show(self, unit, name):
        return self.inside("systemctl", "--user", "show", "--value", "-p",
                           name, unit).stdout.strip()

    def enable_before_login(self):
        result = self.cli("enable", "--kind", "systemd")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_login_starts_it_before_all_else(self):
        probe = os.path.join(self.units, "probe.service")
        with open(probe, "w", encoding="ascii") as file:
            file.write(PROBE.format(forkserver=FORKSERVER))
        wants = os.path.join(self.units, "default.target.wants")
        os.mkdir(wants)
        os.symlink("../probe.service", os.path.join(wants, "probe.service"))
        self.enable_before_login()
        self.log_in()
        self.assertEqual(self.show("forkserverd.service", "ActiveState"),
                         "active")
        self.assertEqual(self.show("probe.service", "Result"), "success")
        pid = self.show("forkserverd.service", "MainPID")
        self.assertIn(f"pid           {pid}\n", read_file(
            os.path.join(self.home, "probe")).decode())
        ready = [int(self.show(unit, "ActiveEnterTimestampMonotonic"))
                 for unit in ("forkserverd.socket", "forkserverd.service",
                              "basic.target", "default.target")]
        self.assertEqual(ready, sorted(ready))
        modes = self.inside("stat", "-c", "%a", SOCKET,
                            os.path.dirname(SOCKET)).stdout.split()
        self.assertEqual(modes, ["600", "700"])
        reloaded = self.inside("systemctl", "--user", "reload",
                               "forkserverd.service")
        self.assertEqual(reloaded.returncode, 0, reloaded.stdout)
        wait_for(lambda: "upgrades      1\n" in self.forkserver("status"),
                 "it is upgraded")
        self.assertEqual(self.show("forkserverd.service", "ActiveState"),
                         "active")
        self.assertEqual(self.show("forkserverd.service", "MainPID"), pid)
        said = self.forkserver("enable")
        self.assertIn("Nothing to write", said)
        self.assertIn("listens already", said)

    def test_detached_workers_survive_it_and_it_comes_back(self):
        self.enable_before_login()
        self.log_in()
        first = self.show("forkserverd.service", "MainPID")
        text = self.forkserver("run", "--", "sh", "-c",
                               "env; cat /proc/self/cgroup")
        self.assertNotIn("NOTIFY_SOCKET", text)
        self.assertNotIn("LISTEN_", text)
        self.assertRegex(text, r"0::/.*/forkserverd\.service")
        self.forkserver("run", "--detach", "--", "sh", "-c",
                        f"echo $$ >{self.home}/pid; exec sleep 600")
        wait_for(lambda: read_file(self.home + "/pid"), "it runs")
        worker = read_file(self.home + "/pid").decode().strip()
        self.inside("kill", "-KILL", first)
        wait_for(lambda: self.show("forkserverd.service", "MainPID")
                 not in (first, "0"), "systemd restarts it")
        self.forkserver("status")
        self.assertEqual(
            self.inside("cat", f"/proc/{worker}/comm").stdout, "sleep\n")
        # Ended in order it stays away, until somebody asks.
        self.forkserver("daemon", "stop")
        self.assertEqual(self.show("forkserverd.service", "ActiveState"),
                         "inactive")
        self.forkserver("run", "--", "true")
        self.assertEqual(self.show("forkserverd.service", "ActiveState"),
                         "active")

    def test_enable_and_disable_in_a_session_that_is_there(self):
        self.log_in()
        self.forkserver("status", code=125)
        said = self.forkserver("enable")
        self.assertIn("ran systemctl --user start", said)
        first = self.show("forkserverd.service", "MainPID")
        self.assertIn(f"pid           {first}\n", self.forkserver("status"))
        said = self.forkserver("disable")
        self.assertNotIn("warning", said.lower())
        self.assertEqual(os.listdir(self.units), [])
        # It goes on, and nobody listens in its place when it has ended.
        self.assertIn(f"pid           {first}\n", self.forkserver("status"))
        self.forkserver("daemon", "stop")
        self.forkserver("status", code=125)

    def test_a_daemon_of_the_first_client_keeps_the_session(self):
        self.log_in()
        # As the command line starts it: in the background.
        self.forkserver("run", "--", "true")
        said = self.forkserver("enable")
        self.assertIn("serves", said)
        self.assertEqual(self.show("forkserverd.socket", "ActiveState"),
                         "inactive")
        self.forkserver("daemon", "stop")
        started = self.inside("systemctl", "--user", "start",
                              "forkserverd.socket", "forkserverd.service")
        self.assertEqual(started.returncode, 0, started.stdout)
        pid = self.show("forkserverd.service", "MainPID")
        self.assertIn(f"pid           {pid}\n", self.forkserver("status"))

    def test_a_login_does_not_wait_for_one_that_cannot_start(self):
        self.enable_before_login()
        os.unlink(self.program)
        self.log_in()
        self.assertEqual(self.show("default.target", "ActiveState"),
                         "active")
        wait_for(lambda: self.show("forkserverd.service", "ActiveState")
                 == "failed", "systemd gives up")


if __name__ == "__main__":
    unittest.main()
