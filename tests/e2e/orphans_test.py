"""Nothing is left behind: by workers, clients, or the daemon.

The test process is a subreaper: what loses its daemon comes to it.
"""

import os
import signal
import sys
import unittest

from wire import (Client, WireTestCase, alive, child_program, children_of,
                  make_setup, read_file, state_and_parent, wait_for)

# 10,000 in the target of the same name with the tag long.
DOUBLE_FORKERS = int(os.environ.get("DOUBLE_FORKERS", "2000"))

# A shell with a child in its group and one in a group of its own session.
FAMILY = ["sh", "-c", "sleep 1000 & sleep 1000 & wait"]


class OrphansTest(WireTestCase):

    def family(self, client, **options):
        """A worker and its grandchildren's pids."""
        worker = client.spawn(FAMILY, **options)
        pids = wait_for(lambda: (lambda pids: pids if len(pids) == 2 else [])(
            children_of(worker["pid"])), "two grandchildren")
        return worker, [worker["pid"], *pids]

    def assert_ends(self, pids):
        wait_for(lambda: not any(alive(pid) for pid in pids),
                 lambda: "they end: " + repr(
                     [pid for pid in pids if alive(pid)]))

    def fork_client(self, action):
        """A process that connects and acts; returns when it has."""
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            status = 1
            try:
                action(Client(self.daemon.socket, self.marker), write_end)
                status = 0
            except BaseException as error:  # pylint: disable=broad-except
                print(error, file=sys.stderr)
            finally:
                os._exit(status)
        os.close(write_end)
        with open(read_end, "rb") as output:
            return pid, output.readline().decode().split()

    def test_grandchildren_that_double_fork_leave_no_zombie(self):
        client = self.client()
        body = {"setup": make_setup([child_program("double_fork")],
                                    env=client.env), "watch": True}
        left, under_way = DOUBLE_FORKERS, 0
        while left or under_way:
            while left and under_way < 16:
                client.send("spawn", body)
                left -= 1
                under_way += 1
            received = client.receive()
            if received["type"] == "exit":
                self.assertEqual(received["body"]["code"], 0)
                under_way -= 1
        wait_for(lambda: len(children_of(self.daemon.pid)) == 1,
                 "only the keeper is left")

    def test_an_orphan_that_lives_on_is_reaped_when_it_ends(self):
        client = self.client()
        stdin, ours = os.pipe()
        output, stdout = os.pipe()
        worker = client.spawn([child_program("double_fork"), "stay"],
                              [stdin, stdout], fds=[[0, 0], [1, 1]],
                              policy={"detach": True})
        os.close(stdin)
        os.close(stdout)
        self.assertEqual(client.wait(worker)["code"], 0)
        with open(output, "rb") as lines:
            orphan = int(lines.readline())
        self.assertEqual(state_and_parent(orphan)[1], self.daemon.pid)
        os.close(ours)
        wait_for(lambda: state_and_parent(orphan)[0] is None, "it is reaped")

    def test_when_a_worker_ends_the_rest_of_its_group_ends(self):
        client = self.client()
        worker, pids = self.family(client)
        os.kill(worker["pid"], signal.SIGKILL)
        self.assertEqual(client.wait(worker)["signal"], signal.SIGKILL)
        self.assert_ends(pids)

    def test_a_closed_connection_ends_its_workers_but_not_detached_ones(self):
        client = self.client()
        worker, pids = self.family(client)
        detached, others = self.family(client, policy={"detach": True})
        client.close()
        other = self.client()
        self.assertEqual(other.wait(worker)["reason"], "client_gone")
        self.assert_ends(pids)
        self.assertTrue(all(alive(pid) for pid in others))
        self.assertEqual(other.stop(detached)["reason"], "stopped")
        self.assert_ends(others)

    def test_a_killed_client_whose_child_keeps_the_descriptor(self):

        def act(client, output):
            worker, pids = self.family(client)
            sleeper = os.fork()
            if sleeper == 0:
                os.close(output)
                signal.pause()
            os.write(output, " ".join(
                map(str, [worker["id"], sleeper, *pids])).encode() + b"\n")
            signal.pause()

        pid, (worker, sleeper, *pids) = self.fork_client(act)
        sleeper, pids = int(sleeper), [int(one) for one in pids]
        self.assertTrue(all(alive(one) for one in pids))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.assertEqual(self.client().wait(worker)["reason"], "client_gone")
        self.assert_ends(pids)
        self.assertTrue(alive(sleeper))
        os.kill(sleeper, signal.SIGKILL)
        os.waitpid(sleeper, 0)

    def test_a_client_that_exits_at_once_leaves_nothing(self):

        def act(client, output):
            client.send_spawn(FAMILY)
            client.send_spawn(FAMILY, policy={"detach": True})
            os.write(output, b"sent\n")

        pid, _ = self.fork_client(act)
        os.waitpid(pid, 0)
        client = self.client()
        (left,) = wait_for(
            lambda: (lambda workers: workers if workers and all(
                worker.get("detach") for worker in workers) else [])(
                    client.workers()), "the detached one is left")
        client.stop(left)

    def test_a_worker_that_ignores_term_is_killed_after_its_grace(self):
        client = self.client()
        worker = client.spawn(["sh", "-c", "trap '' TERM; echo >&3; "
                               "while :; do sleep 1000; done"],
                              [write_end := os.pipe()[1]], fds=[[3, 0]],
                              policy={"grace_ms": 100})
        os.close(write_end)
        client.close()
        self.assertEqual(self.client().wait(worker)["reason"], "client_gone")

    def test_a_killed_daemon_leaves_what_was_detached_and_nothing_else(self):
        client = self.client()
        gone = []
        for _ in range(5):
            gone += self.family(client)[1]
        _, kept = self.family(client, policy={"detach": True})
        self.daemon.kill()
        self.assert_ends(gone)
        self.assertTrue(all(alive(pid) for pid in kept))
        for pid in kept:
            os.kill(pid, signal.SIGKILL)
        self.assert_ends(kept)
        self.assert_nothing_left()

    def test_a_daemon_killed_while_it_launches_leaves_nothing(self):
        client = self.client()
        for _ in range(300):
            client.send_spawn(FAMILY)
        client.receive()
        self.daemon.kill()
        self.assert_nothing_left()

    def keeper(self):
        (keeper,) = [pid for pid in children_of(self.daemon.pid)
                     if read_file(f"/proc/{pid}/comm").startswith(
                         b"forkserver-keep")] or [None]
        return keeper

    def test_a_killed_keeper_is_replaced_and_the_new_one_keeps(self):
        client = self.client()
        _, before = self.family(client)
        keeper = wait_for(self.keeper, "a keeper")
        os.kill(keeper, signal.SIGKILL)
        wait_for(lambda: self.keeper() not in (None, keeper), "a new keeper")
        self.assert_serves()
        _, after = self.family(client)
        self.assertTrue(all(alive(pid) for pid in before))
        self.daemon.kill()
        self.assert_ends(before + after)
        self.assert_nothing_left()

    def test_the_keeper_does_not_heed_the_signals_of_a_terminal(self):
        keeper = wait_for(self.keeper, "a keeper")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(keeper, number)
        self.assert_serves()
        self.assertEqual(self.keeper(), keeper)


if __name__ == "__main__":
    unittest.main()
