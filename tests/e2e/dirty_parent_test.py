"""forkserverd is pristine, whatever the process was that started it."""

import contextlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from daemon_fixture import is_sanitized
from dirty_parent import lowest_niceness, lowest_oom_score
from wire import (FORKSERVERD, LIBC, ROOT, Client, WireTestCase, alive,
                  child_program, read_file, threads_of, wait_for)

DIRTY_PARENT = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "dirty_parent.py")
LIBRARY = os.path.join(ROOT, "tests/faults/start_thread.so")
NOBODY = 65534
IOPRIO_GET = {"x86_64": 252, "aarch64": 31}.get(platform.machine())
# What every kernel that can be tested on, in every sandbox, allows.
CERTAIN = ("terminal", "batch", "one_cpu", "io_idle", "oom_score",
           "timer_slack", "no_randomization", "threads", "working_directory",
           "file_mask", "parent_death")

# What a worker says of itself.
LOOK = """
import ctypes, json, os, resource, signal
libc = ctypes.CDLL(None)
with open("/proc/self/status") as file:
    status = dict(line.split(":", 1) for line in file)
print(json.dumps({
    "nice": os.getpriority(os.PRIO_PROCESS, 0),
    "policy": os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK,
    "cpus": sorted(os.sched_getaffinity(0)),
    "io": libc.syscall(IOPRIO_GET, 1, 0) >> 13,
    "oom": open("/proc/self/oom_score_adj").read(),
    "slack": libc.prctl(30, 0, 0, 0, 0),
    "personality": libc.personality(0xffffffff),
    "huge": libc.prctl(42, 0, 0, 0, 0),
    "securebits": libc.prctl(27, 0, 0, 0, 0),
    "memory": open("/proc/self/numa_maps").readline().split()[1]
              if os.path.exists("/proc/self/numa_maps") else None,
    "timers": [signal.getitimer(each) for each in range(3)],
    "limits": {name: resource.getrlimit(getattr(resource, name))
               for name in dir(resource) if name.startswith("RLIMIT_")},
    "masks": {name: status[name].strip() for name in
              ("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")},
    "umask": status["Umask"].strip(),
    "terminal": open("/proc/self/stat").read().rpartition(")")[2].split()[4],
    "environment": sorted(os.environ),
}))
""".replace("IOPRIO_GET", str(IOPRIO_GET))


def fds_of(pid):
    return {int(name): os.readlink(f"/proc/{pid}/fd/{name}")
            for name in os.listdir(f"/proc/{pid}/fd")}


def limits_of(pid):
    """{"Max open files": ("1024", "4096")}"""
    return {line[:26].strip(): tuple(line[26:].split()[:2])
            for line in read_file(f"/proc/{pid}/limits").decode(
                ).splitlines()[1:]}


def stat_of(pid):
    """The fields of /proc/PID/stat after the name, from the state on."""
    return read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()


class DirtyParentTestCase(WireTestCase):
    starts_daemon = False

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.folder, "d.sock")
        self.made = os.path.join(self.folder, "made.json")

    def start_dirty(self, *arguments, also="", prefix=(), program=FORKSERVERD,
                    script=DIRTY_PARENT, preload=LIBRARY):
        """A process that ends as the one that it starts does."""
        sanitized = is_sanitized(program)
        environment = dict(
            os.environ, DIRTY_ALSO=also,
            # A sanitizer's own would have to come first.
            DIRTY_PRELOAD="" if sanitized else preload,
            # They reserve terabytes of addresses, and where the streams are
            # closed and no descriptor is left they look for one for ever.
            DIRTY_NOT="AS DATA NOFILE" if sanitized else "")
        return subprocess.Popen(
            [*prefix, "/usr/bin/python3", script, self.made, program,
             "--socket", self.path, *arguments], env=environment)

    def start_in_background(self, **options):
        """Returns the daemon's pid and the steps that were not allowed."""
        started = self.start_dirty(**options)
        self.assertEqual(started.wait(60), 0)
        with open(self.made, encoding="ascii") as file:
            made = json.load(file)
        for step in (*CERTAIN, *options.get("also", "").split()):
            self.assertIsNone(made[step], step)
        if os.geteuid() == 0 and lowest_niceness() == 0:
            self.assertIsNone(made["nice"])
        self.connection = Client(self.path)
        self.connections.callback(self.connection.close)
        return (self.connection.hello["pid"],
                {step for step, error in made.items() if error})

    def log_text(self):
        return read_file(self.path + ".log").decode()

    def end(self, pid):
        with contextlib.closing(Client(self.path)) as client:
            client.request("shutdown")
        self.assertEqual(os.waitpid(pid, 0)[1], 0, self.log_text())
        self.assert_nothing_left()

    def look(self, argv=("/usr/bin/python3", "-c", LOOK), **setup):
        text, record = self.connection.run(list(argv), **setup)
        self.assertEqual(record["code"], 0, text)
        return json.loads(text)

    def look_at_ourselves(self):
        """The same of a child of this test."""
        return json.loads(subprocess.run(
            ["/usr/bin/python3", "-c", LOOK], check=True, env={},
            stdout=subprocess.PIPE, start_new_session=True, umask=0o22,
            timeout=60).stdout)


class BackgroundTest(DirtyParentTestCase):

    def test_the_daemon_has_nothing_of_it(self):
        pid, _ = self.start_in_background()
        status = dict(line.split(":", 1) for line in read_file(
            f"/proc/{pid}/status").decode().splitlines())
        # SIGCHLD is read from a descriptor, SIGPIPE and SIGXFSZ are ignored;
        # TERM, INT and HUP have handlers.
        self.assertEqual(
            {name: int(status[name], 16) for name in
             ("SigPnd", "ShdPnd", "SigBlk", "SigIgn")},
            {"SigPnd": 0, "ShdPnd": 0, "SigBlk": 1 << signal.SIGCHLD - 1,
             "SigIgn": 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1})
        self.assertEqual(status["Umask"].strip(), "0077")
        self.assertEqual(threads_of(pid), [str(pid)])
        self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
        self.assertEqual(os.getsid(pid), pid)
        fields = stat_of(pid)
        self.assertEqual(fields[4], b"0", "no terminal")
        self.assertEqual(int(fields[16]), lowest_niceness())
        self.assertEqual(os.sched_getscheduler(pid) &
                         ~os.SCHED_RESET_ON_FORK, os.SCHED_OTHER)
        self.assertEqual(os.sched_getaffinity(pid), os.sched_getaffinity(0))
        self.assertEqual(int(read_file(f"/proc/{pid}/oom_score_adj")),
                         lowest_oom_score())
        self.assertEqual(int(read_file(f"/proc/{pid}/personality"), 16), 0)
        self.assertNotEqual(LIBC.syscall(IOPRIO_GET, 1, pid) >> 13, 3)
        self.end(pid)

    def test_its_environment_and_its_libraries_are_not_the_parents(self):
        pid, _ = self.start_in_background()
        names = {entry.partition(b"=")[0].decode() for entry in
                 read_file(f"/proc/{pid}/environ").split(b"\0") if entry}
        strange = [name for name in names if not re.match(
            r"(FORKSERVER|XDG)_|(HOME|LOGNAME|PATH|USER|LISTEN_PID|LISTEN_FDS|"
            r"LD_LIBRARY_PATH|[A-Z]*SAN_OPTIONS)$", name)]
        self.assertEqual(strange, [])
        self.assertNotIn(b"start_thread", read_file(f"/proc/{pid}/maps"))
        self.assertEqual(self.connection.status()["threads"], 1)
        self.end(pid)

    def test_no_descriptor_is_inherited(self):
        pid, _ = self.start_in_background()
        fds = fds_of(pid)
        self.assertLess(max(fds), 100, fds)
        self.assertEqual({fds[stream] for stream in range(3)}, {"/dev/null"})
        self.assertEqual([name for name in fds.values() if "pts" in name], [])
        clean = self.connection.status()["open_fds"]
        self.end(pid)
        started = subprocess.run([FORKSERVERD, "--socket", self.path],
                                 stdin=subprocess.DEVNULL, check=True,
                                 timeout=60)
        self.assertEqual(started.returncode, 0)
        with contextlib.closing(Client(self.path)) as client:
            self.assertEqual(client.status()["open_fds"], clean)
            pid = client.hello["pid"]
        self.end(pid)

    def test_its_limits_are_the_hard_ones(self):
        pid, _ = self.start_in_background()
        for name, (soft, hard) in limits_of(pid).items():
            with self.subTest(name):
                if name in ("Max open files", "Max address space",
                            "Max data size", "Max cpu time", "Max file size",
                            "Max processes", "Max locked memory"):
                    self.assertEqual(soft, hard)
                if name == "Max stack size":
                    self.assertIn(soft, (str(8 << 20), hard))
        self.end(pid)

    def test_a_worker_is_like_one_of_a_clean_daemon(self):
        pid, refused = self.start_in_background()
        ours = self.look_at_ourselves()
        # Whoever runs this test may not be clean.
        ours.update(nice=lowest_niceness(), oom=f"{lowest_oom_score()}\n")
        worker = self.look(env=[])
        # Bazel lets its tests ignore two. Python ignores PIPE and XFSZ itself.
        del ours["masks"]
        self.assertEqual(
            {name: int(mask, 16) for name, mask in worker.pop("masks").items()
             if name != "SigCgt"},
            {"SigPnd": 0, "ShdPnd": 0, "SigBlk": 0, "SigIgn":
             1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1})
        worker["environment"].remove("FORKSERVER_WORKER")
        self.assertEqual(worker, ours, f"not made: {refused}")
        text, _ = self.connection.run([child_program("print_fds")])
        self.assertEqual(text, "0 1 2")
        self.end(pid)

    def test_it_outlives_the_process_that_started_it(self):
        pid, _ = self.start_in_background()
        wait_for(lambda: self.connection.status()["uptime_ms"] > 600,
                 "every timer is over")
        self.assertTrue(alive(pid))
        self.end(pid)


class HardLimitsTest(DirtyParentTestCase):

    def test_lowered_ones_do_not_refuse_the_workers_of_others(self):
        pid, _ = self.start_in_background(also="lowered_hard_limits")
        ours = self.look_at_ourselves()["limits"]
        theirs = self.look()["limits"]
        for name in ("RLIMIT_CORE", "RLIMIT_NOFILE"):
            hard = {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": 900}[name]
            # Raised where whoever tests may do that.
            self.assertIn(theirs[name], (
                ours[name], [min(ours[name][0], hard), hard]))
        # What a request asks for is not bent.
        if theirs["RLIMIT_NOFILE"][1] == 900:
            error = self.assert_error(
                "launch_failed", self.connection.spawn, ["true"],
                limits={"nofile": [1000, 1000]})
            self.assertEqual(error.step, "setrlimit")
        self.end(pid)


class WhatStaysTest(DirtyParentTestCase):

    def test_no_new_privs_stays_and_the_log_says_so(self):
        pid, _ = self.start_in_background(also="no_new_privs")
        self.assertIn("NoNewPrivs:\t1\n",
                      read_file(f"/proc/{pid}/status").decode())
        self.assertIn("kept from whoever started it: no_new_privs",
                      self.log_text())
        # Nobody is more confined than it.
        self.assertEqual(self.connection.run(["echo", "x"])[0], "x\n")
        self.end(pid)

    def test_nothing_is_said_where_nothing_stays(self):
        pid, _ = self.start_in_background()
        kept = [line for line in self.log_text().splitlines()
                if "kept from" in line and "cgroup" not in line
                and "seccomp" not in line]
        if lowest_niceness() == 0 and lowest_oom_score() == 0:
            self.assertEqual(kept, [])
        self.end(pid)


@unittest.skipIf(os.geteuid() != 0, "os: needs root")
class WhatStaysAsRootTest(DirtyParentTestCase):
    """Tagged local: it changes users and makes a cgroup."""

    def test_without_rights_a_niceness_stays_and_the_log_says_so(self):
        folder = os.path.join(self.folder, "nobody")
        os.chmod(self.folder, 0o755)
        os.mkdir(folder, 0o700)
        os.chown(folder, NOBODY, NOBODY)
        self.path = os.path.join(folder, "d.sock")
        self.made = os.path.join(folder, "made.json")
        program = self.public_program()
        preload = os.path.join(self.folder, "start_thread.so")
        shutil.copy(LIBRARY, preload)
        script = os.path.join(self.folder, "dirty_parent.py")
        shutil.copy(DIRTY_PARENT, script)
        started = self.start_dirty(
            also="nice", program=program, script=script, preload=preload,
            prefix=["setpriv", f"--reuid={NOBODY}", "--clear-groups",
                    "--bounding-set=-all", "--inh-caps=-all"])
        self.assertEqual(started.wait(60), 0)
        log = self.log_text()
        pid = int(re.search(r"serves .*, pid (\d+)", log).group(1))
        self.assertIn("kept from whoever started it: niceness 10 "
                      "(setpriority: Permission denied)", log)
        # What takes no rights is undone all the same.
        self.assertEqual(os.sched_getaffinity(pid), os.sched_getaffinity(0))
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assert_nothing_left()

    def test_its_cgroup_stays_and_the_log_says_so(self):
        mounts = re.findall(r"^\S+ (\S+) cgroup2 ",
                            read_file("/proc/mounts").decode(), re.MULTILINE)
        if not mounts:
            self.skipTest("os: no cgroup2 is mounted")
        try:
            folder = tempfile.mkdtemp(prefix="fs-dirty-", dir=mounts[0])
        except OSError as error:
            self.skipTest(f"os: no cgroup can be made: {error}")
        self.addCleanup(os.rmdir, folder)
        os.environ["DIRTY_CGROUP"] = folder
        self.addCleanup(os.environ.pop, "DIRTY_CGROUP")
        pid, _ = self.start_in_background(also="cgroup")
        name = os.path.basename(folder)
        self.assertRegex(self.log_text(),
                         f"kept from whoever started it: cgroup .*/{name},")
        text, _ = self.connection.run(["/bin/cat", "/proc/self/cgroup"])
        self.assertIn(name, text)
        self.end(pid)
        wait_for(lambda: not read_file(folder + "/cgroup.procs"), "it is empty")


class ForegroundTest(DirtyParentTestCase):
    """Surroundings are its manager's; what nobody configures is reset."""

    def test_timers_and_pending_signals_do_not_end_it(self):
        started = self.start_dirty("--foreground")
        client = wait_for(self.connect, "it serves")
        pid = client.hello["pid"]
        wait_for(lambda: client.status()["uptime_ms"] > 600,
                 "every timer is over")
        self.assertEqual(fds_of(pid)[0], "/dev/null")
        self.assertLess(max(fds_of(pid)), 100)
        self.assertEqual(os.readlink(f"/proc/{pid}/cwd"), "/")
        # As a manager may want it.
        self.assertEqual(os.sched_getscheduler(pid), os.SCHED_BATCH)
        client.request("shutdown")
        client.close()
        self.assertEqual(started.wait(60), 0)
        self.assert_nothing_left()

    def connect(self):
        try:
            return Client(self.path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None


if __name__ == "__main__":
    unittest.main()
