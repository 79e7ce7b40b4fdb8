"""A worker that is stopped takes along all that it started."""

import os
import signal
import unittest

from daemon_fixture import (ZYGOTE_PROGRAM, DaemonTestCase, alive, read_file,
                            wait_for)

# Descendants in sessions of their own, one of them without its parents.
FAMILY = ("setsid sh -c 'echo $$ >>{0}; sleep 1000' & "
          "(setsid sh -c 'echo $$ >>{0}; trap \"\" HUP {1}; sleep 1000;"
          " sleep 1000' &); wait")


class StopTreeTest(DaemonTestCase):

    def family(self, *options, ignored=""):
        """A detached worker's id, and the pids of the two."""
        pids = os.path.join(self.folder, f"pids{len(os.listdir(self.folder))}")
        worker = self.cli("run", "--detach", *options, "--", "sh", "-c",
                          FAMILY.format(pids, ignored))
        self.assertEqual(worker.returncode, 0, worker.stderr)
        lines = wait_for(
            lambda: (lambda lines: lines if len(lines) == 2 else None)(
                read_file(pids).split()), "a family")
        return worker.stdout.strip(), [int(line) for line in lines]

    def test_stop_returns_when_the_whole_tree_is_gone(self):
        worker, pids = self.family("--grace", "200ms", ignored="TERM")
        self.assertEqual(self.cli("stop", worker).returncode, 0)
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_each_gets_the_signal_once(self):
        count = os.path.join(self.folder, "count")
        script = os.path.join(self.folder, "script")
        with open(script, "w", encoding="ascii") as file:
            file.write(f"trap 'echo $$ >>{count}; exit' TERM\n"
                       "echo ready >$1\n"
                       "while :; do sleep 0.01; done\n")
        worker = self.cli(
            "run", "--detach", "--", "sh", "-c",
            f"sh {script} {count}.1 & setsid sh {script} {count}.2 & "
            "trap '' TERM; wait; wait").stdout.strip()
        for i in (1, 2):
            wait_for(lambda i=i: read_file(f"{count}.{i}"), "it is ready")
        self.assertEqual(self.cli("stop", worker).returncode, 0)
        lines = read_file(count).split()
        self.assertEqual(len(lines), 2, lines)
        self.assertEqual(len(set(lines)), 2, lines)

    def test_a_timeout_ends_the_tree(self):
        worker, pids = self.family("--timeout", "300ms", "--grace", "0")
        result = self.cli("wait", worker)
        self.assertEqual(result.returncode, 124, result.stderr)
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_a_client_that_is_gone_takes_the_tree_along(self):
        pids = os.path.join(self.folder, "pids")
        run = self.start_cli("run", "--grace", "0", "--", "sh", "-c",
                             FAMILY.format(pids, ""))
        found = [int(line) for line in wait_for(
            lambda: (lambda lines: lines if len(lines) == 2 else None)(
                read_file(pids).split()), "a family")]
        run.kill()
        run.wait()
        wait_for(lambda: not any(alive(pid) for pid in found), "they end")

    def test_one_that_ends_by_itself_takes_only_its_group(self):
        pid_file = os.path.join(self.folder, "pid")
        result = self.cli(
            "run", "--", "sh", "-c",
            f"setsid sh -c 'echo $$ >{pid_file}.new; "
            f"mv {pid_file}.new {pid_file}; exec sleep 1000' "
            f">/dev/null 2>&1 & while ! test -e {pid_file}; "
            "do sleep 0.01; done")
        self.assertEqual(result.returncode, 0, result.stderr)
        pid = int(read_file(pid_file))
        self.assertTrue(alive(pid))
        os.kill(pid, signal.SIGKILL)

    def test_others_and_their_trees_are_left_alone(self):
        first, first_pids = self.family()
        second, second_pids = self.family()
        self.assertEqual(self.cli("stop", first).returncode, 0)
        self.assertEqual([pid for pid in first_pids if alive(pid)], [])
        self.assertTrue(all(alive(pid) for pid in second_pids))
        self.assertEqual(self.cli("stop", second).returncode, 0)

    def test_what_a_forked_worker_executed_is_found(self):
        self.cli("zygote", "start", "z", "--", ZYGOTE_PROGRAM)
        pids = os.path.join(self.folder, "pids")
        worker = self.cli("fork", "z", "--detach", "--entry", "run_shell",
                          "--args", FAMILY.format(pids, "")).stdout.strip()
        found = [int(line) for line in wait_for(
            lambda: (lambda lines: lines if len(lines) == 2 else None)(
                read_file(pids).split()), "a family")]
        self.assertEqual(self.cli("stop", worker).returncode, 0)
        self.assertEqual([pid for pid in found if alive(pid)], [])


if __name__ == "__main__":
    unittest.main()
