"""The blocking client against a daemon."""

import errno
import gc
import os
import pickle
import signal
import subprocess
import unittest
import unittest.mock

import forkserver
from client_fixture import ZYGOTE_PROGRAM, ClientTestCase
from daemon_fixture import read_file, wait_for


class SpawnTest(ClientTestCase):

    def test_the_record_says_how_it_ended(self):
        worker = self.client.spawn(["sh", "-c", "exit 3"], name="three")
        record = worker.wait()
        self.assertEqual((record.code, record.signal, record.reason),
                         (3, None, "exited"))
        self.assertEqual((record.id, record.pid, record.name, record.kind),
                         (worker.id, worker.pid, "three", "exec"))
        self.assertGreater(record.max_rss_bytes, 0)
        self.assertGreaterEqual(record.journey.ended_ns,
                                record.journey.started_ns)
        self.assertFalse(record.direct)
        self.assertIs(worker.wait(), record)
        self.assertIs(worker.poll(), record)
        self.assertIs(worker.stop(), record)
        self.assertEqual(self.client.wait(worker.id), record)

    def test_run_is_spawn_and_wait(self):
        record = self.client.run(["sh", "-c", "kill -9 $$"])
        self.assertEqual((record.code, record.signal, record.reason),
                         (None, 9, "signaled"))

    def test_the_worker_is_as_the_caller_where_nothing_is_said(self):
        old = os.umask(0o027)
        self.addCleanup(os.umask, old)
        read_end, write_end = os.pipe()
        with mock_environ(SHOP="caf\udcff"):
            self.client.run(["sh", "-c", 'echo "$SHOP|$PWD|$(umask)"'],
                            stdout=write_end)
        os.close(write_end)
        with open(read_end, "rb") as pipe:
            text = pipe.read()
        self.assertEqual(
            text, b"caf\xff|" + os.getcwdb() + b"|0027\n")

    def test_everything_that_can_be_said(self):
        read_end, write_end = os.pipe()
        script = ('echo "$A|$PWD|$(umask)|$(ulimit -Sn) $(ulimit -Hn)|$(nice)'
                  '|$(cut -d" " -f6 /proc/self/stat)" >&7; cat <&8 >&7; '
                  'echo out; echo err >&2')
        with open(os.path.join(self.folder, "in"), "w+b") as file:
            file.write(b"from a file\n")
            file.seek(0)
            worker = self.client.spawn(
                ["/bin/sh", b"-c", script],
                env={"A": "b", b"PATH": b"/usr/bin:/bin"}, cwd=self.folder,
                umask=0o077, limits={"nofile": (50, 60), "core": 0}, nice=5,
                group="session", fds={7: write_end, 8: file},
                stdin=subprocess.DEVNULL, stdout=write_end,
                stderr=subprocess.STDOUT)
            self.assertEqual(worker.wait().code, 0)
        os.close(write_end)
        with open(read_end, encoding="ascii") as pipe:
            lines = pipe.read().splitlines()
        self.assertEqual(
            lines, [f"b|{self.folder}|0077|50 60|5|{worker.pid}",
                    "from a file", "out", "err"])

    def test_cpus_io_priority_oom_score_and_no_new_privs(self):
        cpu = min(os.sched_getaffinity(0))
        for io_priority in ("idle", ("idle", 4)):
            worker = self.client.spawn(
                ["sleep", "60"], cpus={cpu}, io_priority=io_priority,
                oom_score_adj=900, no_new_privs=True)
            self.addCleanup(worker.stop)
            self.assertEqual(os.sched_getaffinity(worker.pid), {cpu})
            self.assertEqual(
                read_file(f"/proc/{worker.pid}/oom_score_adj"), b"900\n")
            self.assertIn(b"NoNewPrivs:\t1",
                          read_file(f"/proc/{worker.pid}/status"))
            self.assertEqual(
                subprocess.check_output(["ionice", "-p", str(worker.pid)]),
                b"idle\n")
            worker.stop()

    def test_streams_on_dev_null_and_the_callers_own(self):
        worker = self.client.spawn(
            ["sleep", "60"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        self.addCleanup(worker.stop)
        streams = [os.readlink(f"/proc/{worker.pid}/fd/{fd}")
                   for fd in range(3)]
        self.assertEqual(streams, ["/dev/null"] * 3)
        other = self.client.spawn(["sleep", "60"])
        self.addCleanup(other.stop)
        self.assertEqual(os.readlink(f"/proc/{other.pid}/fd/2"),
                         os.readlink("/proc/self/fd/2"))
        worker.stop()
        other.stop()

    def test_a_relative_folder_is_of_the_callers(self):
        os.mkdir(os.path.join(self.folder, "inner"))
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)
        with self.client.spawn(["sleep", "60"], cwd="inner") as worker:
            self.assertEqual(os.readlink(f"/proc/{worker.pid}/cwd"),
                             os.path.join(self.folder, "inner"))

    def test_descriptor_0_is_its_terminal(self):
        ours, theirs = os.openpty()
        try:
            record = self.client.run(
                ["sh", "-c", "test $(ps -o tpgid= $$) = $$ && test -t 0"],
                group="terminal", fds={0: theirs})
            self.assertEqual(record.code, 0)
            with open(os.devnull, "rb") as null:
                with self.assertRaises(forkserver.LaunchFailed) as caught:
                    self.client.run(["true"], group="terminal",
                                    fds={0: null.fileno()})
            self.assertEqual((caught.exception.step, caught.exception.errno),
                             ("ioctl", errno.ENOTTY))
        finally:
            os.close(ours)
            os.close(theirs)

    def test_253_descriptors_arrive(self):
        fd = os.open(os.devnull, os.O_RDONLY)
        try:
            with self.client.spawn(
                ["sleep", "60"], fds={n: fd for n in range(253)}) as worker:
                # The program may still be loading its libraries.
                wait_for(lambda: len(os.listdir(
                    f"/proc/{worker.pid}/fd")) == 253, "253 descriptors")
        finally:
            os.close(fd)

    def test_a_timeout_and_a_grace(self):
        record = self.client.spawn(["sh", "-c", "trap '' TERM; sleep 60"],
                                   timeout=0.05, grace=0).wait()
        self.assertEqual((record.reason, record.signal), ("timeout", 9))
        self.assertLess(record.wall_us, 30e6)

    def test_a_signal_of_its_own_asks_it_to_stop(self):
        self.start_zygote()
        options = {"stop_signal": signal.SIGUSR2, "grace": 60}
        for worker in (self.client.spawn(["sleep", "60"], **options),
                       self.client.fork("z", "sleep_forever", **options)):
            self.assertEqual(worker.stop().signal, signal.SIGUSR2)

    def test_a_detached_worker_outlives_its_client(self):
        client = self.connect()
        detached = client.spawn(["sleep", "60"], detach=True)
        other = client.spawn(["sleep", "60"])
        client.close()
        self.assertEqual(self.client.wait(other.id).reason, "client_gone")
        attached = self.client.attach(detached.id)
        self.assertEqual((attached.pid, attached.poll()),
                         (detached.pid, None))
        self.assertEqual(attached.stop().reason, "stopped")
        # Its own client is closed, and knows nothing.
        with self.assertRaises(forkserver.ConnectionLost):
            detached.wait()

    def test_a_client_that_is_dropped_is_closed(self):
        client = self.connect()
        worker_id = client.spawn(["sleep", "60"]).id
        del client
        gc.collect()
        self.assertEqual(self.client.wait(worker_id).reason, "client_gone")


class WorkerTest(ClientTestCase):

    def test_wait_raises_timeout_error_and_may_be_asked_again(self):
        worker = self.client.spawn(["sleep", "60"])
        for timeout in (0, 0.01):
            with self.assertRaises(TimeoutError) as caught:
                worker.wait(timeout)
            self.assertIsInstance(caught.exception, forkserver.Timeout)
            self.assertIn(worker.id, str(caught.exception))
        self.assertIsNone(worker.poll())
        self.assertEqual(worker.stop().signal, signal.SIGTERM)

    def test_one_request_however_often_a_stranger_waits(self):
        worker = self.client.spawn(["sleep", "60"])
        other = self.connect()
        for _ in range(3):
            with self.assertRaises(TimeoutError):
                other.wait(worker.id, 0.01)
        self.assertEqual(len(other._connection.session._pending), 1)
        worker.stop()
        self.assertEqual(other.wait(worker.id).reason, "stopped")
        self.assertEqual(len(other._connection.session._pending), 0)
        other.close()

    def test_signals(self):
        worker = self.client.spawn(
            ["sh", "-c", "trap 'exit 5' USR1; while :; do sleep 0.01; done"])
        wait_for(lambda: catches_usr1(worker.pid), "the trap is set")
        worker.signal(signal.SIGUSR1)
        self.assertEqual(worker.wait().code, 5)
        with self.assertRaises(forkserver.WorkerEnded):
            worker.signal(signal.SIGUSR1)
        other = self.client.spawn(["sleep", "60"])
        self.client.signal(other.id, signal.SIGKILL, group=True)
        self.assertEqual(self.client.wait(other).signal, signal.SIGKILL)

    def test_leaving_the_block_stops_it(self):
        with self.client.spawn(["sleep", "60"]) as worker:
            pass
        self.assertEqual(worker.wait().reason, "stopped")
        with self.assertRaisesRegex(RuntimeError, "mine"):
            with self.client.spawn(["sleep", "60"]):
                raise RuntimeError("mine")

    def test_attach_to_one_that_has_ended(self):
        worker = self.client.attach(self.client.run(["true"]).id)
        self.assertEqual((worker.wait().code, worker.kind), (0, "exec"))
        with self.assertRaises(forkserver.UnknownWorker):
            self.client.attach("x-1")

    def test_a_detached_worker_is_waited_for(self):
        worker = self.client.spawn(["sh", "-c", "exit 4"], detach=True)
        self.assertEqual(worker.wait().code, 4)


class DaemonTest(ClientTestCase):

    def test_list_and_status(self):
        with self.client.spawn(["sleep", "60"], name="n") as worker:
            info, = self.client.list().workers
            self.assertEqual((info.id, info.name, info.pid, info.state),
                             (worker.id, "n", worker.pid, "running"))
            status = self.client.status()
            self.assertEqual((status.workers, status.threads, status.socket),
                             (1, 1, self.sandbox.socket))

    def test_events_in_their_order(self):
        first = self.client.spawn(["sleep", "60"])
        events = self.client.subscribe()
        self.assertEqual([each.id for each in events.snapshot.workers],
                         [first.id])
        with self.assertRaises(TimeoutError):
            events.next(0)
        other = self.connect()
        second = other.spawn(["sleep", "60"])
        second.stop()
        first.stop()
        seen = [next(events) for _ in range(3)]
        self.assertEqual(
            [(each.event, each.worker.id) for each in seen],
            [("worker_launched", second.id), ("worker_ended", second.id),
             ("worker_ended", first.id)])
        events.close()
        self.assertEqual(list(events), [])
        other.close()

    def test_in_an_event_loop(self):
        worker = self.client.spawn(["true"])
        events = self.client.subscribe()

        def ended():
            self.client.process()
            return worker.poll()

        wait_for(ended, "the record has arrived")
        self.assertGreaterEqual(self.client.fileno(), 0)
        events.close()

    def test_shutdown(self):
        self.client.shutdown()
        self.assertEqual(self.daemon.wait(20), 0)
        with self.assertRaises(forkserver.ConnectionLost):
            self.client.status()


class ZygoteTest(ClientTestCase):

    def test_a_forked_worker_and_its_result(self):
        with self.start_zygote(preload=["ok"]) as zygote:
            self.assertEqual(zygote.info.state, "ready")
            self.assertIn("echo", zygote.info.entries)
            self.assertEqual(zygote.info.preloads[0].name, "ok")
            read_end, write_end = os.pipe()
            worker = zygote.fork("echo", args=b"\0bytes", result=write_end)
            os.close(write_end)
            with open(read_end, "rb") as pipe:
                self.assertEqual(pipe.read(), b"\0bytes")
            self.assertEqual(worker.wait().code, 0)
            self.assertEqual((worker.kind, worker.zygote), ("forked", "z"))
            record = zygote.run("exit_code", args=b"9")
            self.assertEqual((record.code, record.zygote), (9, "z"))
        with self.assertRaises((forkserver.ZygoteRetired,
                                forkserver.UnknownZygote)):
            zygote.fork("echo")

    def test_the_same_zygote_is_joined(self):
        first = self.start_zygote()
        self.assertEqual(self.start_zygote().info.id, first.info.id)
        with self.assertRaises(forkserver.ZygoteConflict):
            self.start_zygote(preload=["ok"])
        second = self.start_zygote(preload=["ok"], replace=True)
        self.assertNotEqual(second.info.id, first.info.id)
        # The command line's fingerprint is the same.
        joined = self.cli_json("zygote", "start", "cli", "--",
                               ZYGOTE_PROGRAM)
        mine = self.start_zygote("cli")
        self.assertEqual(mine.info.id, joined["id"])

    def test_a_zygote_from_a_zygote(self):
        self.start_zygote()
        nested = self.client.start_zygote("z/n", parent="z", preload=["ok"])
        self.assertEqual(nested.info.parent, "z")
        self.assertEqual(nested.run("exit_code", args=b"3").code, 3)


class RecordsTest(ClientTestCase):

    def test_records_and_errors_can_be_pickled(self):
        record = self.client.run(["true"])
        self.assertEqual(pickle.loads(pickle.dumps(record)), record)
        with self.assertRaises(forkserver.LaunchFailed) as caught:
            self.client.spawn(["/nowhere"])
        again = pickle.loads(pickle.dumps(caught.exception))
        self.assertIs(type(again), forkserver.LaunchFailed)
        self.assertEqual((again.step, again.errno, str(again)),
                         ("execve", 2, str(caught.exception)))

    def test_the_public_names_exist(self):
        for name in forkserver.__dir__():
            getattr(forkserver, name)
        with self.assertRaises(AttributeError):
            forkserver.no_such_name


def catches_usr1(pid):
    for line in read_file(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"SigCgt:"):
            return bool(int(line.split()[1], 16) & 1 << signal.SIGUSR1 - 1)
    return False


def mock_environ(**variables):
    return unittest.mock.patch.dict(os.environ, variables)


if __name__ == "__main__":
    unittest.main()
