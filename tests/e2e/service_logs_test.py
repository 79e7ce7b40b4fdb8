"""What services write: kept, shown, followed, and never in the way."""

import json
import os
import signal
import unittest

from daemon_fixture import alive, processes, read_file, wait_for
from services_test import ServicesTestCase


class ServiceLogsTest(ServicesTestCase):

    def logged(self, name, *arguments):
        """(stream, text) of each line; their order is that of the log."""
        result = self.cli("logs", name, "--json", *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [(line["stream"], line["text"])
                for line in map(json.loads, result.stdout.splitlines())]

    def wait_for_line(self, name, stream, text):
        wait_for(lambda: os.path.exists(self.service(name).get("log", ""))
                 and (stream, text) in self.logged(name),
                 lambda: f"{text!r} in {self.logged(name)}")

    def log_writers(self):
        """Its process, a child of the daemon's."""
        return [pid for pid in processes()
                if read_file(f"/proc/{pid}/comm") == b"forkserver-log\n"
                and alive(pid) and
                f" {self.daemon.pid} ".encode()
                in read_file(f"/proc/{pid}/stat").rpartition(b")")[2][:20]]

    def test_both_streams_and_the_daemon_s_notes(self):
        self.start("job", "--restart", "no", "--", "sh", "-c",
                   "echo one; echo two >&2; exit 3")
        self.wait_for_state("job", "failed")
        self.wait_for_line("job", "note", "it has ended: exit code 3")
        lines = self.logged("job")
        self.assertEqual(lines[0], ("note", "run 1 begins"))
        worker = self.service("job")["exit"]
        self.assertIn(("note", f"it is worker {worker['id']}, pid "
                       f"{worker['pid']}"), lines)
        self.assertEqual([line for line in lines if line[0] != "note"],
                         [("out", "one"), ("err", "two")])
        result = self.cli("logs", "job", "-n", "1")
        self.assertRegex(result.stdout, r"^2\d{3}-\S+Z note it has ended: "
                         r"exit code 3\n$")

    def test_a_line_says_that_it_is_ready(self):
        go_on = os.path.join(self.folder, "go_on")
        os.mkfifo(go_on)
        start = self.start_cli(
            "start", "job", "--ready", "line:^listening on [0-9]+$", "--",
            "sh", "-c", f"echo not listening on 1; cat {go_on} >&2; sleep 1000")
        self.wait_for_line("job", "out", "not listening on 1")
        self.assertEqual(self.service("job")["state"], "starting")
        with open(go_on, "w", encoding="ascii") as fifo:
            fifo.write("listening on 8000\n")
        self.assertEqual(start.wait(timeout=30), 0)
        self.assertEqual(self.service("job")["state"], "running")

    def test_an_expression_that_is_none_is_refused(self):
        result = self.cli("start", "job", "--ready", "line:(", "--", "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn("'('", result.stderr)

    def test_follow(self):
        self.start("job", "--", "sh", "-c",
                   "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; "
                   "done")
        follow = self.start_cli("logs", "job", "-f", "--json")
        seen = [json.loads(follow.stdout.readline()) for _ in range(30)]
        follow.send_signal(signal.SIGINT)
        self.assertEqual(follow.wait(timeout=30), 0)
        follow.stdout.close()
        texts = [line["text"] for line in seen if line["stream"] == "out"]
        self.assertEqual(texts, [f"line {i}"
                                 for i in range(1, len(texts) + 1)])

    def test_the_files_stay_within_their_bounds(self):
        self.start("job", "--log-size", "8K", "--log-files", "2", "--", "sh",
                   "-c", "seq 1 20000")
        self.wait_for_state("job", "finished")
        self.wait_for_line("job", "out", "20000")
        log = self.service("job")["log"]
        folder = os.path.dirname(log)
        self.assertEqual(sorted(os.listdir(folder)),
                         ["job.log", "job.log.1"])
        for name in os.listdir(folder):
            self.assertLessEqual(
                os.path.getsize(os.path.join(folder, name)), 8192)

    def test_a_log_writer_that_is_killed_is_replaced(self):
        # What it had not read is still in the pipe, and nobody gets SIGPIPE.
        go_on = os.path.join(self.folder, "go_on")
        for i in (1, 2, 3):
            os.mkfifo(f"{go_on}{i}")
        self.start("job", "--", "sh", "-c",
                   f"for i in 1 2 3; do echo $i; read x <{go_on}$i;"
                   f" seq ${{i}}001 ${{i}}100; done; echo 4")
        for i in (1, 2, 3):
            self.wait_for_line("job", "out", str(i))
            pid = wait_for(self.log_writers, "a log writer")[0]
            os.kill(pid, signal.SIGKILL)
            with open(f"{go_on}{i}", "w", encoding="ascii") as fifo:
                fifo.write("\n")
            wait_for(lambda pid=pid: not alive(pid), "it is dead")
        self.wait_for_state("job", "finished")
        self.wait_for_line("job", "out", "4")
        numbers = [int(text) for stream, text in self.logged("job")
                   if stream == "out"]
        self.assertEqual(numbers, [
            number for i in (1, 2, 3)
            for number in (i, *range(i * 1000 + 1, i * 1000 + 101))] + [4])

    def test_the_log_of_the_run_before_stays(self):
        self.start("job", "--", "sh", "-c", "echo a run; sleep 1000")
        self.wait_for_line("job", "out", "a run")
        self.cli("restart", "job")
        wait_for(lambda: self.logged("job").count(("out", "a run")) == 2,
                 "both runs")

    def test_a_flood_is_kept_back_and_the_daemon_does_not_grow(self):
        def private_kb():
            smaps = read_file(f"/proc/{self.daemon.pid}/smaps_rollup").decode()
            return sum(int(line.split()[1]) for line in smaps.splitlines()
                       if line.startswith("Private_"))
        self.start("small", "--", "sleep", "1000")
        before = private_kb()
        for name in ("flood", "dropped"):
            self.start(name, *(["--log-drop"] if name == "dropped" else []),
                       "--log-size", "100K", "--", "sh", "-c",
                       "yes $(seq 1 100) | head -c 100000000")
        for name in ("flood", "dropped"):
            self.wait_for_state(name, "finished")
        # Of 200 MB. A sanitizer keeps more than we do.
        self.assertLess(private_kb() - before, 8192)

    def test_a_terminal(self):
        self.start("job", "--pty", "--restart", "no", "--", "sh", "-c",
                   "test -t 0 -a -t 1 -a -t 2 && stty size && echo error >&2;"
                   " printf unfinished; exit 3")
        self.wait_for_state("job", "failed")
        wait_for(lambda: ("out", "unfinished") in self.logged("job"),
                 "it has been read")
        self.assertEqual([each for each in self.logged("job")
                          if each[0] != "note"],
                         [("out", "24 80"), ("out", "error"),
                          ("out", "unfinished")])

    def test_a_terminal_is_a_part_of_the_log(self):
        result = self.cli("start", "job", "--pty", "--log-size", "0", "--",
                          "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn("'policy.pty' is set, and its output is not kept",
                      result.stderr)

    def test_no_log_is_no_file(self):
        self.start("job", "--log-size", "0", "--", "echo", "x")
        self.assertEqual(self.service("job")["log"], "")
        result = self.cli("logs", "job")
        self.assertEqual(result.returncode, 125)
        self.assertIn("is not kept", result.stderr)

    def test_a_log_that_cannot_be_written_does_not_stop_the_service(self):
        self.start("job", "--", "sleep", "1000")
        log = self.service("job")["log"]
        writers = wait_for(self.log_writers, "a log writer")
        self.cli("remove", "job")
        wait_for(lambda: not any(alive(pid) for pid in writers),
                 "it has written all")
        os.unlink(log)
        os.mkdir(log)
        self.start("job", "--", "sh", "-c", "echo x; sleep 1000")
        wait_for(lambda: "cannot be written" in self.service("job")["why"],
                 "it says so")
        self.assertEqual(self.service("job")["state"], "running")

    def test_bad_times_and_names(self):
        self.start("job", "--", "true")
        result = self.cli("logs", "job", "--since", "yesterday")
        self.assertEqual(result.returncode, 2)
        self.assertIn("yesterday", result.stderr)
        self.assertIn("unknown_service", self.cli("logs", "nobody").stderr)


if __name__ == "__main__":
    unittest.main()
