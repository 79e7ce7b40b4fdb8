"""Every wrong argument gives an error that names it, and disturbs nothing."""

import errno
import os
import resource
import signal
import subprocess
import unittest

import forkserver
from client_fixture import ClientTestCase
from forkserver import (BadDescriptor, BadRequest, FrameTooLarge,
                        LaunchFailed, SystemCallFailed, TooManyDescriptors,
                        UnknownEntry,
                        UnknownPreload, UnknownWorker, UnknownZygote,
                        Unsupported, ZygoteFailed, ZygoteUnsafe)

NOT_OPEN = 9999


class SpawnTest(ClientTestCase):

    def refused(self, cls, says, argv, **options):
        for call in (self.client.spawn, self.client.run):
            with self.subTest(says, call=call.__name__):
                self.assert_error(cls, says, call, argv, **options)

    def tearDown(self):
        self.assertEqual(self.client.run(["true"]).code, 0)
        super().tearDown()

    def test_argv(self):
        self.refused(BadRequest, "argv is empty", [])
        self.refused(BadRequest, "argv[0] is empty", [""])
        self.refused(BadRequest, "argv must be a list of strings, not str",
                     "ls -l")
        self.refused(BadRequest, "argv must be a list of strings, not NoneType",
                     None)
        self.refused(BadRequest, "argv[1] must be a string", ["ls", 1])
        self.refused(BadRequest, "argv[1] holds a NUL byte", ["ls", "a\0b"])
        self.refused(BadRequest, "argv[0] cannot be sent as bytes",
                     ["\ud800"])

    def test_env(self):
        self.refused(BadRequest, "env must be a mapping", ["true"],
                     env=["A=b"])
        self.refused(BadRequest, "'A=B' is no name", ["true"],
                     env={"A=B": "c"})
        self.refused(BadRequest, "'' is no name", ["true"], env={"": "c"})
        self.refused(BadRequest, "env['A'] holds a NUL byte", ["true"],
                     env={"A": "b\0c"})
        self.refused(BadRequest, "env['A'] must be a string", ["true"],
                     env={"A": 1})

    def test_cwd(self):
        self.refused(BadRequest, "cwd is empty", ["true"], cwd="")
        self.refused(BadRequest, "cwd holds a NUL byte", ["true"], cwd="/\0")
        self.refused(BadRequest, "cwd must be a string", ["true"], cwd=1)
        self.refused(LaunchFailed, "step chdir", ["true"], cwd="/nowhere")

    def test_numbers(self):
        for umask in (-1, 0o1000):
            self.refused(BadRequest, "umask is not between", ["true"],
                         umask=umask)
        self.refused(BadRequest, "umask must be an integer", ["true"],
                     umask="022")
        self.refused(BadRequest, "nice", ["true"], nice=20)
        self.refused(BadRequest, "'setup.nice'", ["true"], nice="x")
        self.refused(BadRequest, "cpus must be a list", ["true"], cpus="0-1")
        self.refused(BadRequest, "'setup.cpus'", ["true"], cpus=["0"])
        self.refused(BadRequest, "setup.cpus", ["true"], cpus=[-1])
        self.refused(LaunchFailed, "no such CPU", ["true"], cpus=[8191])
        self.refused(BadRequest, "io_priority must be a class", ["true"],
                     io_priority=3)
        self.refused(BadRequest, "realtime, best_effort, idle", ["true"],
                     io_priority="best-effort")
        self.refused(BadRequest, "0..7", ["true"],
                     io_priority=("best_effort", 8))
        self.refused(BadRequest, "-1000..1000", ["true"], oom_score_adj=1001)
        self.refused(BadRequest, "no_new_privs", ["true"], no_new_privs=1)
        for limit in ("memory_max_bytes", "tasks_max", "cpu_max_percent"):
            self.refused(BadRequest, limit, ["true"], **{limit: -1})
            self.refused(BadRequest, limit, ["true"], **{limit: "1"})
            # The daemon is where its test is, and has no cgroup of its own.
            self.refused(Unsupported, "Delegate=yes", ["true"], **{limit: 1})
        self.refused(BadRequest, "no limit 'files'", ["true"],
                     limits={"files": 1})
        self.refused(BadRequest, "limits['core']", ["true"],
                     limits={"core": (1, 2, 3)})
        self.refused(BadRequest, "limits['core']", ["true"],
                     limits={"core": "0"})
        self.refused(BadRequest, "limits must be a mapping", ["true"],
                     limits=5)
        self.refused(BadRequest, "process_group, session", ["true"],
                     group="own")

    def test_times(self):
        self.refused(BadRequest, "timeout must be at least", ["true"],
                     timeout=-1)
        for timeout in (float("nan"), float("inf")):
            self.refused(BadRequest, "timeout must be finite", ["true"],
                         timeout=timeout)
        self.refused(BadRequest, "more than 0 s", ["true"], timeout=0)
        self.refused(BadRequest, "timeout must be a number of seconds",
                     ["true"], timeout="5s")
        self.refused(BadRequest, "grace must be at least", ["true"], grace=-1)
        self.refused(BadRequest, "timeout", ["true"], timeout=1e12)

    def test_signals(self):
        for number in (0, -1, signal.NSIG):
            self.refused(BadRequest, "stop_signal is not between 1 and",
                         ["true"], stop_signal=number)
        for number in ("TERM", True, 15.0, None):
            self.refused(BadRequest, "stop_signal must be the number of a "
                         "signal", ["true"], stop_signal=number)

    def test_names_and_flags(self):
        self.refused(BadRequest, "name must be a string", ["true"], name=5)
        self.refused(BadRequest, "128", ["true"], name="x" * 129)
        self.refused(BadRequest, "detach must be True or False", ["true"],
                     detach=1)
        with self.assertRaisesRegex(TypeError, r"spawn\(\) has no option "
                                    "'colour'; it has env"):
            self.client.spawn(["true"], colour="red")

    def test_no_descriptors_left(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            with self.assertRaises(SystemCallFailed) as caught:
                self.client.run(["true"])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual(caught.exception.errno, errno.EMFILE)

    def test_descriptors(self):
        self.refused(BadDescriptor, f"fds[3]: descriptor {NOT_OPEN}",
                     ["true"], fds={3: NOT_OPEN})
        self.refused(BadDescriptor, "stdout: descriptor", ["true"],
                     stdout=NOT_OPEN)
        self.refused(BadDescriptor, "fds[3] must be an open descriptor",
                     ["true"], fds={3: "file"})
        with open(os.devnull, "rb") as closed:
            pass
        self.refused(BadDescriptor, "closed file", ["true"], fds={3: closed})
        self.refused(BadDescriptor, "not a boolean", ["true"], fds={3: True})
        self.refused(BadRequest, "cannot have a descriptor -1", ["true"],
                     fds={-1: 0})
        self.refused(BadRequest, "cannot have a descriptor 65536", ["true"],
                     fds={65536: 0})
        self.refused(BadRequest, "must be a number", ["true"], fds={"1": 0})
        self.refused(BadRequest, "fds must be a mapping", ["true"], fds=[1])
        self.refused(BadDescriptor, "given by stdout and by fds[1]",
                     ["true"], fds={1: 2}, stdout=2)
        self.refused(BadRequest, "stdout cannot be -1", ["true"],
                     stdout=subprocess.PIPE)
        self.refused(TooManyDescriptors, "253", ["true"],
                     fds={n: 2 for n in range(254)})
        self.refused(TooManyDescriptors, "is one more", ["true"],
                     fds={n: 2 for n in range(3, 254)})

    def test_what_is_too_large_for_a_frame(self):
        self.refused(FrameTooLarge, "4194304", ["true", "x" * (5 << 20)])

    def test_what_cannot_be_executed(self):
        self.refused(LaunchFailed, "No such file", ["no-such-program"])
        self.refused(LaunchFailed, "Permission denied", ["/etc/passwd"])
        error = self.assert_error(LaunchFailed, "execve", self.client.spawn,
                                  ["/nowhere"])
        self.assertEqual((error.step, error.errno), ("execve", 2))

    def test_workers(self):
        unknown = f"{self.client.run(['true']).id.partition('-')[0]}-999"
        for call in (self.client.wait, self.client.stop, self.client.attach,
                     lambda worker: self.client.signal(worker, 15)):
            self.assert_error(UnknownWorker, unknown, call, unknown)
            self.assert_error(BadRequest, "worker's id", call, 5)
        with self.client.spawn(["sleep", "60"]) as worker:
            self.assert_error(BadRequest, "'signal.signal'", worker.signal,
                              "TERM")
            self.assert_error(BadRequest, "signal", worker.signal, 9999)
            self.assert_error(BadRequest, "timeout", worker.wait, -1)
            self.assert_error(BadRequest, "timeout", worker.wait, "1")
            self.assert_error(BadRequest, "grace", worker.stop, -1)

    def test_no_descriptor_is_left_open(self):
        with self.assertRaises(TooManyDescriptors):
            self.client.spawn(["true"], fds={n: 2 for n in range(254)})
        with self.assertRaises(FrameTooLarge):
            self.client.spawn(["true", "x" * (5 << 20)])
        with self.assertRaises(LaunchFailed):
            self.client.spawn(["/nowhere"])
        # tearDown counts them.


class ZygoteTest(ClientTestCase):

    def test_starting(self):
        for says, arguments, options in (
            ("argv is empty", ("z",), {}),
            ("argv must be empty for a zygote with a parent",
             ("z", ["true"]), {"parent": "p"}),
            ("preload must be a list", ("z", ["true"]), {"preload": "ok"}),
            ("freeze[0]", ("z", ["true"]), {"freeze": [1]}),
            ("keep must be True or False", ("z", ["true"]), {"keep": "yes"}),
            ("binary must be a string", ("z", ["true"]), {"binary": 1}),
            ("the zygote's name must be a string", (1, ["true"]), {}),
        ):
            with self.subTest(says):
                self.assert_error(BadRequest, says, self.client.start_zygote,
                                  *arguments, **options)
        self.assert_error(LaunchFailed, "No such file",
                          self.client.start_zygote, "z", ["/nowhere"])
        self.assert_error(ZygoteFailed, "z", self.client.start_zygote, "z",
                          ["true"])
        self.assert_error(UnknownPreload, "none", self.start_zygote,
                          preload=["none"])
        self.assert_error(ZygoteUnsafe, "starts_thread", self.start_zygote,
                          preload=["starts_thread"])
        self.assert_error(UnknownZygote, "p", self.client.start_zygote, "z",
                          parent="p")

    def test_forking(self):
        self.assert_error(UnknownZygote, "nobody", self.client.fork, "nobody",
                          "echo")
        self.assert_error(UnknownZygote, "nobody", self.client.stop_zygote,
                          "nobody")
        zygote = self.start_zygote()
        for call in (zygote.fork, zygote.run):
            self.assert_error(UnknownEntry, "no_entry", call, "no_entry")
            self.assert_error(BadRequest, "args must be bytes", call, "echo",
                              args="text")
            self.assert_error(BadRequest, "entry must be a string", call, 5)
            self.assert_error(BadDescriptor, "result", call, "echo",
                              result=NOT_OPEN)
            self.assert_error(forkserver.StaleEnvironment, "LC_ALL", call,
                              "echo", env={**os.environ, "LC_ALL": "xx"})
        self.assertEqual(zygote.run("exit_code", args=b"2").code, 2)


if __name__ == "__main__":
    unittest.main()
