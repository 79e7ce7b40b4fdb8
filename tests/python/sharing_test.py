"""One client in several threads, under signal handlers, and after a fork."""

import faulthandler
import os
import random
import signal
import sys
import threading
import unittest

import forkserver
from client_fixture import Call, ClientTestCase, in_child
from daemon_fixture import wait_for


class ThreadsTest(ClientTestCase):

    def test_many_threads_use_one_client(self):
        self.client.subscribe()
        # As many chances for one to come between two steps of another.
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(1e-5)

        def work(number):
            worker = self.client.spawn(["sh", "-c", f"exit {number}"])
            self.client.status()
            return worker.wait().code

        for _ in range(3):
            calls = [Call(work, number) for number in range(20)]
            self.assertEqual([each.result() for each in calls],
                             list(range(20)))

    def test_one_waits_for_ever_and_others_go_on(self):
        worker = self.client.spawn(["sleep", "60"])
        waiting = [Call(worker.wait) for _ in range(3)]
        for _ in range(20):
            self.assertEqual(self.client.run(["true"]).code, 0)
        worker.stop()
        self.assertEqual({each.result().reason for each in waiting},
                         {"stopped"})

    def test_a_timeout_of_one_is_not_one_of_others(self):
        worker = self.client.spawn(["sleep", "60"])
        patient = Call(worker.wait)
        hasty = Call(worker.wait, 0.05)
        with self.assertRaises(TimeoutError):
            hasty.result()
        worker.stop()
        self.assertEqual(patient.result().reason, "stopped")

    def test_close_ends_what_other_threads_wait_for(self):
        client = self.connect()
        worker = client.spawn(["sleep", "60"])
        calls = [Call(worker.wait) for _ in range(2)]
        wait_for(lambda: client._connection._reader is not None,
                 "one thread reads")
        client.close()
        for call in calls:
            with self.assertRaisesRegex(forkserver.ConnectionLost, "closed"):
                call.result()
        with self.assertRaises(forkserver.ConnectionLost):
            client.status()

    def test_there_is_no_thread(self):
        self.client.subscribe()
        self.client.run(["true"])
        tasks = os.listdir("/proc/self/task")
        self.assertEqual(len(tasks), 1 + threading.active_count() - 1)


class SignalHandlerTest(ClientTestCase):

    def test_an_exception_of_a_handler_leaves_the_client_usable(self):
        worker = self.client.spawn(["sleep", "60"])

        class Interrupted(Exception):
            pass

        def handler(*_):
            raise Interrupted()

        previous = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, previous)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with self.assertRaises(Interrupted):
            worker.wait()
        self.assertEqual(self.client.run(["true"]).code, 0)
        self.assertEqual(worker.stop().reason, "stopped")

    def test_a_call_from_a_handler_is_refused_and_does_not_hang(self):
        worker = self.client.spawn(["sleep", "60"])
        seen = []

        def handler(*_):
            try:
                self.client.status()
            except forkserver.BadRequest as error:
                seen.append(str(error))
                os.kill(worker.pid, signal.SIGKILL)

        previous = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, previous)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        self.assertEqual(worker.wait().signal, signal.SIGKILL)
        self.assertIn("signal handler", seen[0])


    def test_whenever_a_handler_raises_nothing_hangs(self):

        class Interrupted(Exception):
            pass

        def handler(*_):
            raise Interrupted()

        previous = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, previous)
        faulthandler.dump_traceback_later(50, exit=True)
        self.addCleanup(faulthandler.cancel_dump_traceback_later)
        chance = random.Random(1)
        for _ in range(500):
            try:
                signal.setitimer(signal.ITIMER_REAL,
                                 chance.uniform(0.00001, 0.0005))
                try:
                    while True:
                        self.client.status()
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupted:
                pass
            except forkserver.ConnectionLost as error:
                self.assertIn("interrupted", str(error))
                self.client.close()
                self.client = self.connect()
        self.client.close()
        self.client = self.connect()
        self.assertEqual(self.client.run(["true"]).code, 0)

    def test_a_reader_that_left_without_a_word_is_missed(self):
        """As if an exception had struck before it could say so."""
        worker = self.client.spawn(["sleep", "60"])
        connection = self.client._connection
        connection._reader = threading.get_ident()
        waiting = Call(worker.wait)
        wait_for(lambda: connection._reader == waiting.ident,
                 "the other thread reads")
        worker.stop()
        self.assertEqual(waiting.result().reason, "stopped")
        connection._reader = threading.get_ident()
        self.assertEqual(self.client.status().threads, 1)


class ForkTest(ClientTestCase):

    def test_a_child_cannot_use_it_and_does_not_keep_it_open(self):
        worker = self.client.spawn(["sleep", "60"])
        number = self.client.fileno()

        def use():
            texts = []
            for call in (self.client.status, worker.wait, worker.stop,
                         self.client.fileno, self.client.process,
                         self.client.subscribe):
                try:
                    call()
                    texts.append("it worked")
                except forkserver.UseAfterFork as error:
                    texts.append(error.code)
            try:
                os.fstat(number)
                texts.append("open")
            except OSError:
                pass
            self.client.close()
            return " ".join(texts)

        self.assertEqual(in_child(use), " ".join(["use_after_fork"] * 6))
        self.assertEqual(self.client.run(["true"]).code, 0)
        worker.stop()

    def test_a_child_may_connect_again(self):

        def use():
            with self.connect() as client:
                return str(client.run(["sh", "-c", "exit 6"]).code)

        self.assertEqual(in_child(use), "6")

    def test_fork_while_another_thread_waits(self):
        worker = self.client.spawn(["sleep", "60"])
        waiting = Call(worker.wait)
        wait_for(lambda: self.client._connection._reader is not None,
                 "the thread reads")

        def use():
            try:
                self.client.status()
            except forkserver.UseAfterFork:
                with self.connect() as client:
                    return str(client.status().threads)
            return "no error"

        self.assertEqual(in_child(use), "1")
        worker.stop()
        self.assertEqual(waiting.result().reason, "stopped")

    def test_descriptors_of_a_request_under_way_are_not_kept_open(self):
        read_end, write_end = os.pipe()
        pipe = os.readlink(f"/proc/self/fd/{read_end}")
        self.daemon.send_signal(signal.SIGSTOP)
        call = Call(lambda: self.client.run(["true"], fds={9: write_end}))
        wait_for(lambda: self.client._connection.session._pending,
                 "the request is sent")
        os.close(write_end)
        held = in_child(lambda: " ".join(
            fd for fd in os.listdir("/proc/self/fd")
            if read_link(fd) == pipe))
        self.daemon.send_signal(signal.SIGCONT)
        self.assertEqual(call.result().code, 0)
        os.close(read_end)
        self.assertEqual(held, str(read_end))


def read_link(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


if __name__ == "__main__":
    unittest.main()
