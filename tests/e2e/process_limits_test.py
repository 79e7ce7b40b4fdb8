"""CPUs, I/O priority, OOM score and no_new_privs, of every kind of process."""

import errno
import os
import platform
import re
import unittest

from wire import LIBC, ZYGOTE_PROGRAM, make_setup, read_file
from zygote_fixture import ZygoteTestCase

IOPRIO_GET = {"x86_64": 252, "aarch64": 31}.get(platform.machine())
CLASSES = ("none", "realtime", "best_effort", "idle")
# One that this process has, and that a cpuset may not be without.
CPU = min(os.sched_getaffinity(0))
SETUP = {"cpus": [CPU], "oom_score_adj": 900, "no_new_privs": True,
         "io_priority": {"io_class": "best_effort", "level": 7}}
FOUND = {"cpus": [CPU], "oom_score_adj": 900, "no_new_privs": True,
         "io_priority": ("best_effort", 7)}


def limits_of(pid):
    privileges = re.search(rb"NoNewPrivs:\t(\d)",
                           read_file(f"/proc/{pid}/status"))
    found = {"cpus": sorted(os.sched_getaffinity(pid)),
             "oom_score_adj": int(read_file(f"/proc/{pid}/oom_score_adj")),
             "no_new_privs": privileges[1] == b"1"}
    if IOPRIO_GET is not None:
        value = LIBC.syscall(IOPRIO_GET, 1, pid, 0, 0, 0)
        found["io_priority"] = (CLASSES[value >> 13], value & 7)
    return found


def expected(**others):
    found = {**FOUND, **others}
    if IOPRIO_GET is None:
        del found["io_priority"]
    return found


class ProcessLimitsTest(ZygoteTestCase):

    def setUp(self):
        super().setUp()
        self.c = self.client()
        self.of_daemon = limits_of(self.daemon.pid)

    def check(self, worker, **others):
        self.assertEqual(limits_of(worker["pid"]), expected(**others))
        # The kernel gives an OOM score to all who share memory.
        self.assertEqual(limits_of(self.daemon.pid), self.of_daemon)
        self.c.stop(worker)

    def test_an_exec_worker(self):
        self.check(self.c.spawn(["sleep", "600"], **SETUP))

    def test_one_by_one(self):
        plain = self.c.spawn(["sleep", "600"])
        default = limits_of(plain["pid"])
        self.c.stop(plain)
        for key, value in SETUP.items():
            with self.subTest(key=key):
                worker = self.c.spawn(["sleep", "600"], **{key: value})
                self.assertEqual(limits_of(worker["pid"]),
                                 {**default, key: expected()[key]}
                                 if key in expected() else default)
                self.c.stop(worker)

    def test_a_forked_worker(self):
        zygote = self.start(self.c)
        before = limits_of(zygote["pid"])
        self.check(self.fork(self.c, "sleep_forever", **SETUP))
        self.assertEqual(limits_of(zygote["pid"]), before)

    def test_a_spare_has_them_from_the_request(self):
        zygote = self.start(self.c, spares_min=1, spares_max=1)
        (spare,) = self.await_spares(zygote, 1)
        before = limits_of(spare)
        worker = self.fork(self.c, "sleep_forever", **SETUP)
        self.assertEqual(worker["pid"], spare)
        self.assertNotEqual(expected(), before)
        self.check(worker)

    def test_a_zygote_and_its_workers_inherit_them(self):
        body = self.start_body(self.c, "z")
        body["setup"] = make_setup([ZYGOTE_PROGRAM], env=self.c.env, **SETUP)
        zygote = self.c.request("zygote_start", body)["zygote"]
        self.assertEqual(limits_of(zygote["pid"]), expected())
        self.check(self.fork(self.c, "sleep_forever"))
        self.check(self.fork(self.c, "sleep_forever", oom_score_adj=950),
                   oom_score_adj=950)

    def test_what_is_out_of_range_is_refused(self):
        self.start(self.c)
        for setup, name in (({"cpus": [-1]}, "cpus"), ({"cpus": [8192]}, "cpus"),
                            ({"oom_score_adj": 1001}, "oom_score_adj"),
                            ({"oom_score_adj": -1001}, "oom_score_adj"),
                            ({"io_priority": {"io_class": "idle", "level": 8}},
                             "io_priority.level"),
                            ({"io_priority": {"io_class": "soon", "level": 1}},
                             "io_class")):
            with self.subTest(setup=setup):
                for launch in (lambda: self.c.spawn(["true"], **setup),
                               lambda: self.fork(self.c, "echo", **setup)):
                    error = self.assert_error("bad_request", launch)
                    self.assertIn(name, error.message)

    def test_a_cpu_that_is_not_there_is_named(self):
        self.start(self.c)
        for launch in (
                lambda: self.c.spawn(["true"], cpus=[CPU, 8191]),
                lambda: self.fork(self.c, "echo", cpus=[CPU, 8191]),
                lambda: self.c.spawn(["true"], cpus=[8191])):
            error = self.assert_error("launch_failed", launch)
            self.assertEqual((error.step, error.errno),
                             ("sched_setaffinity", errno.EINVAL))
            self.assertIn("CPU 8191", error.message)
            self.assertIn("no such CPU", error.hint)

    def test_what_needs_rights_is_named(self):
        try:
            with open("/proc/self/oom_score_adj", "r+",
                      encoding="ascii") as file:
                old = int(file.read())
                file.seek(0)
                file.write(str(old - 1))
            self.skipTest("os: this process may lower its oom_score_adj")
        except PermissionError:
            pass
        error = self.assert_error(
            "launch_failed", self.c.spawn, ["true"],
            oom_score_adj=limits_of(self.daemon.pid)["oom_score_adj"] - 1)
        self.assertEqual((error.step, error.errno),
                         ("oom_score_adj", errno.EACCES))
        self.assertIn("CAP_SYS_RESOURCE", error.hint)


if __name__ == "__main__":
    unittest.main()
