"""forkserverd itself: clean whatever starts it, and in order to its end."""

import contextlib
import ctypes
import os
import platform
import re
import resource
import signal
import socket
import struct
import subprocess
import unittest

from wire import (FORKSERVERD, ROOT, Client, Daemon, WireTestCase, alive,
                  child_program, children_of, read_file, threads_of, wait_for)

LIBC = ctypes.CDLL(None)
RT_SIGACTION = 13 if platform.machine() == "x86_64" else 134
LIBRARIES = re.compile(
    r"/(libc|libm|libstdc\+\+|libgcc_s|libuv|ld-linux-x86-64|"
    r"ld-linux-aarch64|libasan|libubsan|"
    # What Debian's libuv and libasan are linked with themselves.
    r"libpthread|libdl|librt)[.-]")


class CleanTest(WireTestCase):

    def work(self):
        client = self.client()
        for _ in range(20):
            client.wait(client.spawn(["true"]))
        with contextlib.suppress(Exception):
            client.spawn(["/no/such"])
        client.request("list")
        client.request("subscribe")
        return client

    def test_it_has_one_thread_and_loads_nothing_it_does_not_need(self):
        self.work()
        self.assertEqual(threads_of(self.daemon.pid), [str(self.daemon.pid)])
        maps = read_file(f"/proc/{self.daemon.pid}/maps").decode()
        files = {line.split(None, 5)[5] for line in maps.splitlines()
                 if len(line.split(None, 5)) == 6}
        unexpected = [
            name for name in files
            if name.startswith("/") and not LIBRARIES.search(name)
            and os.path.basename(name) != "forkserverd"
            # The keeper's table.
            and name != "/memfd:forkserver-workers (deleted)"]
        self.assertEqual(unexpected, [])

    def test_every_descriptor_is_close_on_exec_and_belongs_to_nobody_else(
            self):
        self.work()
        for name in os.listdir(f"/proc/{self.daemon.pid}/fd"):
            if int(name) <= 2:
                continue
            info = read_file(f"/proc/{self.daemon.pid}/fdinfo/{name}")
            flags = int(re.search(rb"flags:\s*(\d+)", info).group(1), 8)
            self.assertTrue(flags & os.O_CLOEXEC, (name, info))


class CleanAfterUpgradeTest(CleanTest):

    def work(self):
        client = super().work()
        self.client().request("upgrade")
        return client

    def test_its_workers_get_what_they_did_before(self):
        client = self.client()

        def ask():
            return [re.sub("env FORKSERVER_WORKER=.*", "",
                           client.run([child_program(name)])[0])
                    for name in ("print_fds", "print_signals",
                                 "print_process")]
        before = ask()
        status = read_file(f"/proc/{self.daemon.pid}/status").decode()
        client.request("upgrade")
        self.assertEqual(ask(), before)
        after = read_file(f"/proc/{self.daemon.pid}/status").decode()
        for name in ("Name", "Umask", "Tgid", "SigBlk", "SigIgn", "SigCgt",
                     "NoNewPrivs", "Threads"):
            self.assertEqual(re.findall(f"^{name}:.*", after, re.M),
                             re.findall(f"^{name}:.*", status, re.M))


class DirtyParentTest(WireTestCase):
    starts_daemon = False

    def test_the_dirtiest_parent_leaves_no_trace(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

        def make_dirty():
            for number in range(3, 60):
                with contextlib.suppress(OSError):
                    os.dup2(0, number)
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
            for number in range(1, 65):
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, signal.SIG_IGN)
            # The two that glibc hides; SIG_IGN in a struct kernel_sigaction.
            ignore = struct.pack("Q24x", 1)
            for number in (32, 33):
                LIBC.syscall(RT_SIGACTION, number, ignore, None,
                             ctypes.c_size_t(8))
            os.umask(0o777)
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
            os.chdir("/tmp")
            for stream in (0, 1):
                os.close(stream)

        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertEqual(before, (soft, hard))
        self.start_daemon(preexec_fn=make_dirty, close_fds=False,
                          env={"LISTEN_FDS": "7", "LISTEN_PID": "1"})
        status = read_file(f"/proc/{self.daemon.pid}/status").decode()
        # SIGPIPE, SIGXFSZ
        self.assertIn("SigIgn:\t0000000001001000\n", status)
        self.assertEqual(os.readlink(f"/proc/{self.daemon.pid}/cwd"), "/")
        client = self.client()
        text, _ = client.run([child_program("print_fds")])
        self.assertEqual(text, "0 1 2")
        text, _ = client.run([child_program("print_signals")])
        self.assertEqual(text.strip(), "blocked: ignored:")
        text, _ = client.run(["/bin/cat", "/proc/self/status"])
        for name in ("SigBlk", "SigIgn", "SigCgt"):
            self.assertIn(name + ":\t0000000000000000\n", text)
        text, _ = client.run([child_program("print_process")])
        self.assertIn("umask 022\n", text)
        self.assertIn(f"nofile {soft} {hard}\n", text)
        self.assertLess(client.status()["open_fds"], 30)

    def test_a_library_that_starts_a_thread_makes_it_refuse_by_name(self):
        library = os.path.join(ROOT, "tests/faults/start_thread.so")
        self.daemon = self.start_unsafe(library)
        client = self.client()
        wait_for(lambda: len(threads_of(self.daemon.pid)) == 2, "the thread")
        error = wait_for(lambda: self.refusal(client), "it is named")
        self.assertEqual((error.code, error.step), ("daemon_unsafe", "audit"))
        self.assertIn("LD_PRELOAD", error.hint)
        self.assertEqual(client.workers(), [])
        client.close()
        self.assertEqual(self.daemon.stop(), 0)

    def refusal(self, client):
        error = self.assert_error("daemon_unsafe", client.spawn, ["true"])
        return error if "uninvited" in error.message else None

    def start_unsafe(self, library):
        return Daemon(self.folder, self.marker,
                      env={"LD_PRELOAD": library})


class EndTest(WireTestCase):

    def test_sigterm_ends_workers_and_delivers_their_records_first(self):
        client = self.client()
        workers = [client.spawn(["sleep", "1000"]) for _ in range(10)]
        detached = client.spawn(["sleep", "1000"], policy={"detach": True})
        watched = client.send_spawn(["sleep", "1000"],
                                    policy={"watch": True})
        client.answer(watched)
        requests = [client.send("wait", {"worker": worker["id"]})
                    for worker in (*workers, detached)]
        client.status()
        self.daemon.process.terminate()
        for request in requests:
            record = client.answer(request)["exit"]
            self.assertEqual((record["reason"], record["signal"]),
                             ("daemon_stopping", signal.SIGTERM))
        self.assertEqual(client.exit_message(watched)["reason"],
                         "daemon_stopping")
        self.assertEqual(client.wait_until_closed(), [])
        self.assertEqual(self.daemon.process.wait(30), 0)
        self.assertFalse(os.path.exists(self.daemon.socket))
        self.assert_nothing_left()

    def stubborn(self, client):
        read_end, write_end = os.pipe()
        worker = client.spawn(
            ["sh", "-c", "trap '' TERM; echo; while :; do sleep 1000; done"],
            [write_end], fds=[[1, 0]], policy={"grace_ms": 60_000})
        os.close(write_end)
        self.assertEqual(os.read(read_end, 1), b"\n")
        os.close(read_end)
        return worker

    def test_no_new_work_while_it_stops_and_a_second_sigterm_kills(self):
        client = self.client()
        worker = self.stubborn(client)
        request = client.send("wait", {"worker": worker["id"]})
        client.status()
        self.daemon.process.terminate()
        wait_for(lambda: client.workers()[0]["state"] == "stopping",
                 "it is stopping")
        self.assert_error("daemon_stopping", client.spawn, ["true"])
        self.assertTrue(alive(worker["pid"]))
        self.daemon.process.terminate()
        record = client.answer(request)["exit"]
        self.assertEqual((record["reason"], record["signal"]),
                         ("daemon_stopping", signal.SIGKILL))
        self.assertEqual(self.daemon.process.wait(30), 0)
        self.assert_nothing_left()

    def test_a_client_may_ask_for_the_end(self):
        client = self.client()
        client.request("shutdown")
        self.assertEqual(self.daemon.process.wait(30), 0)
        self.assert_nothing_left()


class IdleTest(WireTestCase):
    daemon_arguments = ("--idle-exit", "300ms")

    def test_it_ends_when_it_has_been_idle_and_not_before(self):
        client = self.client()
        worker = client.spawn(["sleep", "1000"], policy={"detach": True})
        client.close()
        other = self.client()
        wait_for(lambda: other.status()["uptime_ms"] > 1000, "a while")
        other.stop(worker)
        other.close()
        self.assertEqual(self.daemon.process.wait(30), 0)
        self.assertFalse(os.path.exists(self.daemon.socket))
        self.assert_nothing_left()


class BackgroundTest(WireTestCase):
    starts_daemon = False

    def start(self, *arguments, **options):
        return subprocess.run(
            [FORKSERVERD, "--socket", self.path, *arguments], timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False, **options)

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.folder, "d.sock")

    def end(self):
        with contextlib.closing(Client(self.path)) as client:
            pid = client.hello["pid"]
            client.request("shutdown")
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assert_nothing_left()

    def test_it_returns_when_the_socket_accepts_with_streams_let_go(self):
        # `run` would wait for the end of the output if it were kept.
        self.assertEqual(self.start().returncode, 0)
        with contextlib.closing(Client(self.path)) as client:
            pid = client.hello["pid"]
            self.assertEqual(client.status()["log"], self.path + ".log")
        self.assertEqual(os.getsid(pid), pid)
        for stream in range(3):
            self.assertEqual(os.readlink(f"/proc/{pid}/fd/{stream}"),
                             "/dev/null")
        self.assertEqual(os.getpgid(children_of(pid)[0]),
                         children_of(pid)[0])
        second = self.start()
        self.assertEqual(second.returncode, 1)
        self.assertIn(b"another forkserverd serves", second.stdout)
        self.assertEqual(self.start("--foreground").returncode, 1)
        self.end()

    def test_of_20_started_at_once_exactly_one_serves(self):
        started = [subprocess.Popen(
            [FORKSERVERD, "--socket", self.path], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                   for _ in range(20)]
        codes = [process.wait(60) for process in started]
        self.assertEqual(sorted(codes), [0] + [1] * 19)
        self.end()

    def test_socket_activation(self):
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(self.path)
        listening.listen(8)

        script = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&%d' % \
            listening.fileno()
        process = subprocess.Popen(
            ["bash", "-c", script, "sh", FORKSERVERD, "--socket", self.path,
             "--foreground"], pass_fds=[listening.fileno()],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        listening.close()
        with contextlib.closing(Client(self.path)) as client:
            self.assertEqual(client.hello["pid"], process.pid)
            text, _ = client.run([child_program("print_fds")])
            self.assertEqual(text, "0 1 2")
            text, _ = client.run([child_program("print_process")])
            self.assertNotIn("LISTEN", text)
        process.terminate()
        self.assertEqual(process.wait(30), 0)
        self.assertTrue(os.path.exists(self.path))  # the manager's
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
