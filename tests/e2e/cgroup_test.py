"""Cgroups of workers: what runs without the controllers of memory and pids.

The rest is in cgroup_machine_test.py. Tagged local: the sandbox of Bazel cannot
write to cgroups.
"""

import os
import signal
import unittest

from cgroup_folder import CgroupFolder, cgroup_of
from daemon_fixture import (ROOT, ZYGOTE_PROGRAM, DaemonTestCase, alive, read_file,
                            wait_for)

# Two that no parent and no variable leads to any more; one of them notes the
# signal that asks it to stop, and goes on, as the shell does.
ESCAPE = ("(setsid env -i sh -c 'echo $$ >>{0}; sleep 1000; :' &);"
          "(setsid env -i sh -c 'trap \"echo got >{0}.term\" TERM;"
          " echo $$ >>{0}; while :; do sleep 0.02; done' &); trap '' TERM; sleep 1000; :")


class EscapeCase(DaemonTestCase):

    def escaped(self):
        """A script, and what waits for the pids of the two."""
        pids = os.path.join(self.folder, "pids")

        def read():
            lines = read_file(pids).split()
            return [int(line) for line in lines] if len(lines) == 2 else None

        return ESCAPE.format(pids), lambda: wait_for(read, "two that escaped")


class OwnCgroupTest(EscapeCase):

    def setUp(self):
        self.cgroup = CgroupFolder(self)
        # Of daemons that are gone.
        for name in ("worker.1.2", "forkserverd.1"):
            os.mkdir(os.path.join(self.cgroup.path, name))
        self.daemon_options = {"preexec_fn": self.cgroup.enter}
        super().setUp()

    def tearDown(self):
        super().tearDown()
        # Nothing is left but what was there.
        self.assertEqual(self.cgroup.below(), [])
        self.assertEqual(
            self.cgroup.read("cgroup.subtree_control").strip(), "")

    def test_the_daemon_is_below_and_what_others_left_is_gone(self):
        name = f"forkserverd.{self.daemon.pid}"
        self.assertEqual(self.cgroup.below(), [name])
        self.assertEqual(self.cgroup.read("cgroup.procs"), "")
        self.assertEqual(self.status()["cgroup_missing"], "")
        # A worker that asks for nothing is where the daemon is.
        worker = self.cli("run", "--detach", "--", "sleep", "1000")
        (info,) = self.cli_json("ps")
        self.assertEqual(cgroup_of(info["pid"]), cgroup_of(self.daemon.pid))
        self.cli("stop", worker.stdout.strip(), "--grace", "0")

    def stop_a_service_that_escapes(self, *words, meanwhile=lambda: None):
        _, pids = self.escaped()
        result = self.cli("start", "web", "--grace", "300ms", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        found = pids()
        meanwhile()
        (service,) = self.cli_json("services")
        (name,) = self.cgroup.below("worker.")
        for pid in (service["pid"], *found):
            self.assertTrue(cgroup_of(pid).endswith("/" + name))
        self.assertEqual(self.cli("stop", "web").returncode, 0)
        self.assertEqual([pid for pid in found if alive(pid)], [])
        self.assertEqual(self.cgroup.below("worker."), [])

    def test_the_program_that_replaces_the_daemon_has_its_cgroups(self):
        script, _ = self.escaped()
        status = self.status()

        def upgrade():
            result = self.cli("daemon", "upgrade")
            self.assertEqual(result.returncode, 0, result.stderr)
        self.stop_a_service_that_escapes("--", "sh", "-c", script,
                                         meanwhile=upgrade)
        after = self.status()
        for key in ("cgroup_limits", "cgroup_missing"):
            self.assertEqual(after[key], status[key])

    def test_stop_ends_what_no_parent_and_no_variable_leads_to(self):
        script, _ = self.escaped()
        self.stop_a_service_that_escapes("--", "sh", "-c", script)
        # It was asked before it was killed.
        self.assertEqual(read_file(os.path.join(self.folder, "pids.term")),
                         b"got\n")

    def test_so_it_does_of_a_service_from_a_zygote(self):
        self.cli("zygote", "start", "z", "--", ZYGOTE_PROGRAM)
        script, _ = self.escaped()
        self.stop_a_service_that_escapes(
            "--zygote", "z", "--entry", "run_shell", "--args", script)

    def test_so_it_does_of_one_in_python(self):
        with open(os.path.join(self.folder, "job.py"), "w",
                  encoding="ascii") as file:
            file.write("import os\n"
                       "def run(context):\n"
                       "    return os.system(context.args.decode())\n")
        self.sandbox.environment["PYTHONPATH"] = os.pathsep.join(
            (self.folder, os.path.join(ROOT, "sdk/python")))
        script, _ = self.escaped()
        for spares in ("0:0", "1:1"):
            with self.subTest(spares=spares):
                started = self.cli(
                    "zygote", "start", "z" + spares, "--spares", spares,
                    "--preload", "job", "--", "/usr/bin/python3", "-m",
                    "forkserver.zygote_host")
                self.assertEqual(started.returncode, 0, started.stderr)
                self.stop_a_service_that_escapes(
                    "--zygote", "z" + spares, "--entry", "job:run", "--args",
                    script, "--replace")
                os.remove(os.path.join(self.folder, "pids"))

    def test_so_it_does_of_a_spare(self):
        self.cli("zygote", "start", "z", "--spares", "1:1", "--",
                 ZYGOTE_PROGRAM)
        (zygote,) = self.cli_json("zygote", "ls")
        wait_for(lambda: read_file(
            f"/proc/{zygote['pid']}/task/{zygote['pid']}/children").split(),
                 "a spare")
        script, _ = self.escaped()
        self.stop_a_service_that_escapes(
            "--zygote", "z", "--entry", "run_shell", "--args", script)

    def test_a_run_that_ends_takes_everything_along(self):
        script, pids = self.escaped()
        self.cli("start", "web", "--restart", "no", "--", "sh", "-c", script)
        found = pids()
        (service,) = self.cli_json("services")
        os.kill(service["pid"], signal.SIGKILL)
        wait_for(lambda: self.cli_json("services")[0]["state"] == "failed",
                 "the run is over")
        self.assertEqual([pid for pid in found if alive(pid)], [])
        self.assertEqual(self.cgroup.below("worker."), [])

    def test_a_program_that_is_not_there_leaves_no_cgroup(self):
        for _ in range(3):
            self.cli("start", "web", "--replace", "--", "/no/such")
        # One that fails in the child is removed when the next one is made.
        self.cli("start", "web", "--replace", "--", "sleep", "1000")
        self.assertEqual(len(self.cgroup.below("worker.")), 1)

    def test_a_limit_without_its_controller_is_refused_by_name(self):
        lacking = {"memory", "pids", "cpu"} - set(
            self.cgroup.read("cgroup.controllers").split())
        if not lacking:
            self.skipTest("kernel: it has all of them: see "
                          "cgroup_machine_test.py")
        self.cli("zygote", "start", "z", "--", ZYGOTE_PROGRAM)
        self.assertEqual(
            set(self.status()["cgroup_limits"]) & lacking, set())
        for option, value, controller in (("--memory-max", "64M", "memory"),
                                          ("--tasks-max", "5", "pids"),
                                          ("--cpu-max", "50%", "cpu")):
            if controller not in lacking:
                continue
            for words in (["run", option, value, "--", "true"],
                          ["fork", "z", option, value, "--entry", "echo"]):
                result = self.cli(*words)
                self.assertEqual(result.returncode, 125, result.stderr)
                self.assertIn(f"cgroup controller '{controller}'",
                              result.stderr)
            self.assertIn("unsupported",
                          self.cli("start", "web", option, value, "--",
                                   "true").stderr)
        self.assertEqual(self.cgroup.below("worker."), [])


class SharedCgroupTest(EscapeCase):
    """The daemon is where the test is, and others are."""

    def test_limits_are_refused_and_it_says_why(self):
        missing = self.status()["cgroup_missing"]
        self.assertIn(missing, self.cli("status").stdout)
        result = self.cli("run", "--memory-max", "64M", "--", "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn(missing, result.stderr)
        self.assertIn("Delegate=yes", result.stderr)
        self.assertIn("unsupported", result.stderr)
        self.assertEqual(self.cli("run", "--", "true").returncode, 0)
        for number in ("0", "-1"):
            self.assertEqual(self.cli("run", "--tasks-max", number, "--",
                                      "true").returncode, 125)


if __name__ == "__main__":
    unittest.main()
