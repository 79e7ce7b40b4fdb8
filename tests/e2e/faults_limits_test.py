"""Limits of the system, and systems without the newer calls.

Tagged local: as root, with users and seccomp filters of its own.
"""

import contextlib
import ctypes
import errno
import os
import platform
import resource
import struct
import unittest

from wire import (Client, WireError, WireTestCase, ZYGOTE_PROGRAM, alive,
                  child_program, children_of, make_setup, prctl, wait_for)

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
# The same on every machine.
PIDFD_SEND_SIGNAL, PIDFD_OPEN, CLONE3, CLOSE_RANGE = 424, 434, 435, 436
CLONE, GETSOCKOPT = {"x86_64": (56, 55)}.get(platform.machine(), (220, 209))
CLONE_PIDFD, SO_PEERPIDFD = 0x1000, 77


class DescriptorLimitTest(WireTestCase):

    def set_limit(self, number):
        hard = resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE,
                         (min(number, hard), hard))

    def test_no_descriptor_left_for_a_launch(self):
        client = self.client()
        codes = set()
        for room in range(12):
            self.set_limit(client.status()["open_fds"] + room)
            with contextlib.suppress(WireError):
                self.assertEqual(client.wait(client.spawn(["true"]))["code"],
                                 0)
                continue
            try:
                client.spawn(["true"])
            except WireError as error:
                codes.add(error.code)
                self.assertIn(error.errno, (errno.EMFILE, errno.EINVAL,
                                            errno.EBADF), error)
                self.assertTrue(error.step, error)
            self.set_limit(1 << 20)
            self.assert_serves()
        self.assertIn("descriptor_limit", codes)
        # What the lower limit does to a call that is under way.
        self.assertLessEqual(codes, {"descriptor_limit", "launch_failed"})
        self.set_limit(1 << 20)
        self.assert_serves()

    def test_no_room_for_the_descriptors_of_a_request(self):
        client = self.client()
        null = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, null)
        for room in (0, 1, 5, 10):
            self.set_limit(client.status()["open_fds"] + room)
            error = self.assert_error(
                "descriptor_limit", client.spawn, ["true"], [null] * 20,
                fds=[[3 + index, index] for index in range(20)])
            self.assertIn("no room", error.message)
            self.set_limit(1 << 20)
            self.assertEqual(client.wait(client.spawn(["true"]))["code"], 0)

    def test_no_descriptor_left_for_another_client(self):
        client = self.client()
        worker = client.spawn(["sleep", "1000"])
        self.set_limit(client.status()["open_fds"])
        with self.assertRaises(WireError) as caught:
            Client(self.daemon.socket)
        self.assertEqual(caught.exception.code, "descriptor_limit")
        self.assertEqual([one["id"] for one in client.workers()],
                         [worker["id"]])
        self.set_limit(1 << 20)
        self.assert_serves()
        client.stop(worker)

    def test_many_workers_at_the_limit(self):
        client = self.client()
        self.set_limit(client.status()["open_fds"] + 60)
        workers, refused = [], 0
        for _ in range(100):
            try:
                workers.append(client.spawn(["sleep", "1000"]))
            except WireError as error:
                refused += 1
                self.assertEqual(error.code, "launch_failed")
        self.assertTrue(workers)
        for worker in workers:
            self.assertEqual(client.stop(worker)["reason"], "stopped")
        self.assert_serves()


@unittest.skipIf(os.geteuid() != 0, "os: needs root")
class ProcessLimitTest(WireTestCase):
    starts_daemon = False

    def test_no_process_left_for_a_launch(self):
        user = 50_000 + os.getpid() % 10_000  # nobody else's processes
        os.chown(self.folder, user, user)
        program = self.public_program()

        def become():
            os.seteuid(0)
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            # The daemon raises a soft limit.
            resource.setrlimit(resource.RLIMIT_NPROC, (5, 5))

        os.seteuid(user)
        try:
            # A client that could be root again looks confined to others.
            self.start_daemon("--allow-confined", program=program,
                              preexec_fn=become)
            client = self.client()
        finally:
            os.seteuid(0)
        fds = client.status()["open_fds"]
        # With the daemon and its keeper these are five.
        workers = [client.spawn(["sleep", "1000"]) for _ in range(3)]
        for _ in range(3):
            error = self.assert_error("launch_failed", client.spawn, ["true"])
            self.assertEqual((error.step, error.errno),
                             ("clone", errno.EAGAIN))
        error = self.assert_error(
            "launch_failed", client.request, "zygote_start",
            {"name": "z", "setup": make_setup(["true"], env=[])})
        self.assertEqual(error.errno, errno.EAGAIN)
        for worker in workers:
            client.stop(worker)
        self.assertEqual(client.wait(client.spawn(["true"]))["code"], 0)
        wait_for(lambda: client.status()["open_fds"] == fds,
                 lambda: f"{fds} descriptors: {client.status()}")
        self.assertEqual(self.daemon.stop(), 0)
        self.assert_nothing_left()


def filter_program(rules):
    """Instructions of a seccomp filter: nr, or (nr, argument, op, value),
    answered by an errno; everything else is allowed."""
    load, jump_equal, jump_set, answer = 0x20, 0x15, 0x45, 0x06
    program = []
    for rule, number in rules:
        failing = (answer, 0, 0, 0x50000 | number)
        if isinstance(rule, int):
            program += [(load, 0, 0, 0), (jump_equal, 0, 1, rule), failing]
        else:
            nr, argument, operation, value = rule
            program += [(load, 0, 0, 0), (jump_equal, 0, 3, nr),
                        (load, 0, 0, 16 + 8 * argument),
                        (operation, 0, 1, value), failing]
    program.append((answer, 0, 0, 0x7fff0000))
    return b"".join(struct.pack("HBBI", *one) for one in program)


def install(rules):
    code = filter_program(rules)

    def enter():
        instructions = ctypes.create_string_buffer(code, len(code))
        program = ctypes.create_string_buffer(
            struct.pack("HxxxxxxP", len(code) // 8,
                        ctypes.addressof(instructions)))
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        prctl(PR_SET_SECCOMP, 2, ctypes.addressof(program))

    return enter


NEW_CALLS = [(CLONE3, errno.ENOSYS), (CLOSE_RANGE, errno.ENOSYS),
             (PIDFD_OPEN, errno.ENOSYS), (PIDFD_SEND_SIGNAL, errno.ENOSYS)]
NO_PIDFD = NEW_CALLS + [
    ((CLONE, 0, 0x45, CLONE_PIDFD), errno.EINVAL),
    ((GETSOCKOPT, 2, 0x15, SO_PEERPIDFD), errno.ENOPROTOOPT)]


class OldKernelTest(WireTestCase):
    starts_daemon = False

    def check(self, rules):
        self.start_daemon(preexec_fn=install(rules))
        client = self.client()
        requests = [client.send_spawn(["sh", "-c", "exit 6"],
                                      policy={"watch": True})
                    for _ in range(50)]
        for request in requests:
            client.answer(request)
            self.assertEqual(client.exit_message(request)["code"], 6)
        text, _ = client.run([child_program("print_fds")])
        self.assertEqual(text, "0 1 2")
        error = self.assert_error("launch_failed", client.spawn, ["/no/such"])
        self.assertEqual((error.step, error.errno), ("execve", errno.ENOENT))

        worker = client.spawn(["sh", "-c", "sleep 1000 & sleep 1000 & wait"])
        family = wait_for(lambda: (lambda pids: pids if len(pids) == 2
                                   else [])(children_of(worker["pid"])),
                          "two grandchildren")
        self.assertEqual(client.stop(worker)["reason"], "stopped")
        wait_for(lambda: not any(alive(pid) for pid in family), "all end")

        client.wait(client.spawn([child_program("double_fork")]))
        wait_for(lambda: len(children_of(self.daemon.pid)) == 1,
                 "the orphan is reaped")

        client.request("zygote_start", {"name": "z", "setup": make_setup(
            [ZYGOTE_PROGRAM], env=client.env)})
        fork = {"zygote": "z", "setup": make_setup(
            [], env=client.env, entry="sleep_forever")}
        forked = client.request("fork", fork)["worker"]
        other = client.request("fork", fork)["worker"]
        self.assertEqual(client.stop(forked)["reason"], "stopped")
        (zygote,) = client.request("list")["zygotes"]
        os.kill(zygote["pid"], 9)
        self.assertEqual(client.wait(other)["reason"], "zygote_died")

        last = client.spawn(["sleep", "1000"])
        client.close()
        self.assertEqual(self.client().wait(last)["reason"], "client_gone")

    def test_without_clone3_close_range_and_pidfd_open(self):
        self.check(NEW_CALLS)

    def test_without_any_pidfd(self):
        self.check(NO_PIDFD)

    def test_without_close_range_alone(self):
        self.check([(CLOSE_RANGE, errno.ENOSYS)])


if __name__ == "__main__":
    unittest.main()
