"""Exec workers, as any client on the wire sees them."""

import os
import resource
import signal
import socket
import unittest

from wire import (WireTestCase, child_program, children_of, make_setup,
                  read_file, state_and_parent, wait_for)

STEPS = ("received_ns", "launch_begun_ns", "launched_ns", "started_ns",
         "ended_ns")


def status_field(text, name):
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    return None


class DescriptorTest(WireTestCase):

    def pipes(self, count):
        """The reading ends as files and the writing ends, closed later."""
        readers, writers = [], []
        for _ in range(count):
            read_end, write_end = os.pipe()
            readers.append(os.fdopen(read_end, "rb"))
            writers.append(write_end)
            self.addCleanup(readers[-1].close)
        return readers, writers

    def test_each_descriptor_arrives_under_the_number_it_asked_for(self):
        client = self.client()
        (seven, hundred), writers = self.pipes(2)
        worker = client.spawn(
            ["bash", "-c", "echo seven >&7; echo hundred >&100"], writers,
            fds=[[100, 1], [7, 0]])
        for fd in writers:
            os.close(fd)
        self.assertEqual(seven.read(), b"seven\n")
        self.assertEqual(hundred.read(), b"hundred\n")
        self.assertEqual(client.wait(worker)["code"], 0)

    def test_numbers_may_be_permuted_and_overlap_those_of_the_daemon(self):
        client = self.client()
        numbers = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
        readers, writers = self.pipes(len(numbers))
        script = ";".join(f"echo {number} >&{number}" for number in numbers)
        worker = client.spawn(
            ["bash", "-c", script], writers,
            fds=[[number, index]
                 for index, number in enumerate(reversed(numbers))])
        for fd in writers:
            os.close(fd)
        for reader, number in zip(readers, reversed(numbers)):
            self.assertEqual(reader.read(), b"%d\n" % number)
        client.wait(worker)

    def test_one_descriptor_may_be_placed_twice(self):
        client = self.client()
        (reader,), (writer,) = self.pipes(1)
        worker = client.spawn(["sh", "-c", "echo out; echo err >&2"],
                              [writer], fds=[[1, 0], [2, 0]])
        os.close(writer)
        self.assertEqual(reader.read(), b"out\nerr\n")
        client.wait(worker)

    def test_253_descriptors_arrive_and_nothing_else(self):
        client = self.client()
        (reader,), (writer,) = self.pipes(1)
        worker = client.spawn(
            [child_program("print_fds")], [writer] * 253,
            fds=[[1, 0]] + [[9 + index, index] for index in range(1, 253)])
        os.close(writer)
        self.assertEqual(
            [int(number) for number in reader.read().split()],
            [0, 1, 2] + list(range(10, 262)))
        client.wait(worker)

    def test_300_clients_are_in_no_workers_way(self):
        # Their descriptors are not copied for a worker.
        others = [self.client() for _ in range(300)]
        client = self.client()
        table = f"/proc/{self.daemon.process.pid}/fd"
        before = set(os.listdir(table))
        self.assertGreater(len(before), 600)
        for _ in range(20):
            (reader,), (writer,) = self.pipes(1)
            worker = client.spawn([child_program("print_fds")], [writer],
                                  fds=[[1, 0], [300, 0]])
            os.close(writer)
            self.assertEqual(reader.read().split(),
                             [b"0", b"1", b"2", b"300"])
            client.wait(worker)
        wait_for(lambda: set(os.listdir(table)) == before, "none is left")
        for other in others:
            self.assertEqual(other.workers(), [])

    def test_streams_that_are_not_named_are_dev_null(self):
        client = self.client()
        worker = client.spawn(["sleep", "1000"])
        for stream in range(3):
            self.assertEqual(os.readlink(f"/proc/{worker['pid']}/fd/{stream}"),
                             "/dev/null")
        client.stop(worker)

    def test_a_socket_arrives_whole(self):
        client = self.client()
        ours, theirs = socket.socketpair()
        worker = client.spawn(["sh", "-c", "read line; echo got $line"],
                              [theirs.fileno()], fds=[[0, 0], [1, 0]])
        theirs.close()
        ours.sendall(b"word\n")
        self.assertEqual(ours.makefile().read(), "got word\n")
        ours.close()
        client.wait(worker)


class SetupTest(WireTestCase):

    def test_the_environment_replaces_that_of_the_daemon(self):
        for env in (["B=2", "A=1=1", "B=3"], []):
            text, record = self.client().run([child_program("print_process")],
                                             env=env)
            self.assertEqual(
                [line for line in text.splitlines()
                 if line.startswith("env ")],
                ["env " + each
                 for each in env + ["FORKSERVER_WORKER=" + record["id"]]])

    def test_a_workers_id_takes_the_place_of_its_clients_own(self):
        text, record = self.client().run(
            ["/usr/bin/env"], env=["FORKSERVER_WORKER=client", "A=1"])
        self.assertEqual(text.splitlines(),
                         ["A=1", "FORKSERVER_WORKER=" + record["id"]])

    def test_the_path_of_the_request_finds_the_program(self):
        folder = os.path.join(self.folder, "bin")
        os.mkdir(folder)
        os.symlink("/bin/sh", os.path.join(folder, "own-shell"))
        text, _ = self.client().run(["own-shell", "-c", "echo $0"],
                                    env=[f"PATH=/nowhere:{folder}"])
        self.assertEqual(text, "own-shell\n")

    def test_cwd_umask_and_niceness_are_those_of_the_request(self):
        niceness = min(os.nice(0) + 7, 19)
        text, _ = self.client().run([child_program("print_process"), "x"],
                                    cwd=self.folder, umask=0o137,
                                    nice=niceness)
        for line in (f"cwd {self.folder}", "umask 137",
                     f"nice {niceness}", "argv x",
                     "group 1 session 0"):
            self.assertIn(line + "\n", text)

    def test_a_session_of_its_own(self):
        text, _ = self.client().run([child_program("print_process")],
                                    group="session")
        self.assertIn("group 1 session 1\n", text)

    def test_limits_are_those_of_the_client_unless_it_says_otherwise(self):
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (321, before[1]))
        client = self.client()
        text, _ = client.run([child_program("print_process")])
        self.assertIn(f"nofile 321 {before[1]}\n", text)
        text, _ = client.run([child_program("print_process")],
                             limits={"nofile": [44, 55]})
        self.assertIn("nofile 44 55\n", text)
        # As they are when it asks: nothing of an earlier request is kept.
        resource.setrlimit(resource.RLIMIT_NOFILE, (322, before[1]))
        text, _ = client.run([child_program("print_process")])
        self.assertIn(f"nofile 322 {before[1]}\n", text)
        # The daemon itself keeps as many as it may have.
        limits = read_file(f"/proc/{self.daemon.pid}/limits").decode()
        line = next(line for line in limits.splitlines()
                    if line.startswith("Max open files"))
        self.assertEqual(line.split()[3], line.split()[4])

    def test_no_signal_is_blocked_or_ignored_and_none_has_a_handler(self):
        text, _ = self.client().run(["/bin/cat", "/proc/self/status"])
        for name in ("SigBlk", "SigIgn", "SigCgt"):
            self.assertEqual(int(status_field(text, name), 16), 0, name)

    def test_a_wrong_setup_is_named_by_its_step_not_by_an_exit_status(self):
        client = self.client()
        error = self.assert_error("launch_failed", client.spawn, ["true"],
                                  limits={"nofile": [-1, -1]})
        self.assertEqual(error.step, "setrlimit")
        self.assertIn("nofile", error.message)
        self.assertEqual(client.workers(), [])


class EndTest(WireTestCase):

    def test_the_record_has_every_field_and_a_monotonic_journey(self):
        client = self.client()
        worker = client.spawn(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do "
                               "i=$((i+1)); done; exit 3"],
                              policy={"name": "count"})
        self.assertEqual((worker["kind"], worker["state"], worker["zygote"],
                          worker["name"]), ("exec", "running", "", "count"))
        record = client.wait(worker)
        self.assertEqual(record["id"], worker["id"])
        self.assertEqual(record["pid"], worker["pid"])
        self.assertEqual(
            {key: record[key] for key in ("name", "kind", "zygote", "code",
                                          "signal", "core", "reason")},
            {"name": "count", "kind": "exec", "zygote": "", "code": 3,
             "signal": None, "core": False, "reason": "exited"})
        times = [record["journey"][step] for step in STEPS]
        self.assertEqual(times, sorted(times))
        self.assertGreater(times[0], 0)
        self.assertEqual(record["wall_us"], (times[4] - times[2]) // 1000)
        self.assertGreater(record["max_rss_bytes"], 100_000)
        self.assertGreater(record["user_us"] + record["system_us"], 0)

    def test_a_signal_is_told_as_a_signal(self):
        client = self.client()
        record = client.wait(client.spawn(["sh", "-c", "kill -SEGV $$"]))
        self.assertEqual((record["code"], record["signal"], record["reason"]),
                         (None, signal.SIGSEGV, "signaled"))

    def test_a_watched_worker_is_told_of_by_an_exit_message(self):
        client = self.client()
        request = client.send_spawn(["sh", "-c", "exit 5"],
                                    policy={"watch": True})
        worker = client.answer(request)["worker"]
        self.assertEqual(client.exit_message(request)["id"], worker["id"])

    def test_the_end_can_be_the_only_answer(self):
        client = self.client()
        request = client.send_spawn(["sh", "-c", "exit 5"],
                                    policy={"exit_only": True})
        self.assertEqual(client.exit_message(request)["code"], 5)
        failing = client.send_spawn(["/no/such"], policy={"exit_only": True})
        self.assert_error("launch_failed", client.answer, failing)
        client.status()
        self.assertFalse(client.frames)  # and nothing else came

    def test_the_ends_of_many_old_workers_are_all_told(self):
        client = self.client()
        before = client.status()["open_fds"]
        workers = [client.spawn(["sleep", "1000"]) for _ in range(150)]
        # Live workers do not cost the daemon a descriptor each.
        self.assertLess(client.status()["open_fds"], before + 50)
        # At once, so that one SIGCHLD stands for many; then one by itself.
        for worker in workers[:100]:
            os.kill(worker["pid"], signal.SIGKILL)
        for worker in workers[:100]:
            self.assertEqual(client.wait(worker)["signal"], signal.SIGKILL)
        os.kill(workers[100]["pid"], signal.SIGTERM)
        self.assertEqual(client.wait(workers[100])["signal"], signal.SIGTERM)
        self.assertEqual(
            sorted(worker["id"] for worker in client.workers()),
            sorted(worker["id"] for worker in workers[101:]))

    def test_any_client_may_wait_and_all_get_the_same_record(self):
        worker = self.client().spawn(["sleep", "1000"])
        waiting = [self.client() for _ in range(5)]
        requests = [client.send("wait", {"worker": worker["id"]})
                    for client in waiting]
        record = self.client().stop(worker)
        self.assertEqual((record["reason"], record["signal"]),
                         ("stopped", signal.SIGTERM))
        for client, request in zip(waiting, requests):
            self.assertEqual(client.answer(request)["exit"], record)
        self.assertEqual(self.client().wait(worker), record)

    def test_a_timeout_ends_the_worker(self):
        client = self.client()
        record = client.wait(client.spawn(["sleep", "1000"],
                                          policy={"timeout_ms": 100}))
        self.assertEqual((record["reason"], record["signal"]),
                         ("timeout", signal.SIGTERM))

    def test_one_that_ignores_term_is_killed_after_its_grace(self):
        client = self.client()
        read_end, write_end = os.pipe()
        worker = client.spawn(
            ["sh", "-c", "trap '' TERM; echo; sleep 1000 & wait; wait"],
            [write_end], policy={"grace_ms": 200}, fds=[[1, 0]])
        os.close(write_end)
        self.assertEqual(os.read(read_end, 1), b"\n")
        os.close(read_end)
        record = client.stop(worker)
        self.assertEqual((record["reason"], record["signal"]),
                         ("stopped", signal.SIGKILL))
        self.assertGreaterEqual(record["wall_us"], 190_000)

    def test_a_stop_reaches_the_whole_group_and_a_stopped_process(self):
        client = self.client()
        worker = client.spawn(["sh", "-c", "sleep 1000 & sleep 1000 & wait"])
        grandchildren = wait_for(
            lambda: (lambda pids: pids if len(pids) == 2 else None)(
                children_of(worker["pid"])), "two grandchildren")
        client.signal(worker, signal.SIGSTOP, group=True)
        wait_for(lambda: state_and_parent(worker["pid"])[0] == "T", "stopped")
        client.stop(worker)
        wait_for(lambda: all(state_and_parent(pid)[0] is None
                             for pid in grandchildren), "the group ends")

    def test_a_signal_goes_to_the_worker_or_to_its_group(self):
        client = self.client()
        read_end, write_end = os.pipe()
        output = os.fdopen(read_end)
        worker = client.spawn(
            ["bash", "-c", "trap 'echo parent' USR1; "
             "(trap 'echo child' USR1; sleep 1000 & echo up; "
             "while :; do wait; done) & "
             "echo up; while :; do wait; done"],
            [write_end], fds=[[1, 0]])
        os.close(write_end)
        self.assertEqual([output.readline(), output.readline()],
                         ["up\n", "up\n"])
        client.signal(worker, signal.SIGUSR1)
        self.assertEqual(output.readline(), "parent\n")
        client.signal(worker, signal.SIGUSR1, group=True)
        self.assertEqual({output.readline(), output.readline()},
                         {"parent\n", "child\n"})
        client.stop(worker, grace_ms=0)
        output.close()

    def test_a_detached_worker_outlives_its_client(self):
        client = self.client()
        worker = client.spawn(["sleep", "1000"], policy={"detach": True})
        attached = client.spawn(["sleep", "1000"])
        client.close()
        other = self.client()
        self.assertEqual(other.wait(attached)["reason"], "client_gone")
        (left,) = other.workers()
        self.assertEqual((left["id"], left["detach"]), (worker["id"], True))
        other.stop(worker)

    def test_200_pipelined_spawns_are_answered_once_each(self):
        client = self.client()
        body = {"setup": make_setup(["sh", "-c", "exit 4"], env=client.env),
                "watch": True}
        requests = {client.send("spawn", body) for _ in range(200)}
        answered, ended = [], []
        while len(answered) < 200 or len(ended) < 200:
            frame = client.receive()
            (answered if frame["type"] == "reply" else ended).append(
                frame["id"])
            if frame["type"] == "exit":
                self.assertEqual(frame["body"]["code"], 4)
        self.assertEqual(set(answered), requests)
        self.assertEqual(set(ended), requests)
        client.status()  # nothing else came
        self.assertFalse(client.frames)


if __name__ == "__main__":
    unittest.main()
