"""A worker of a Python zygote is the process that was asked for."""

import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
import unittest
from unittest import mock

import forkserver
from daemon_fixture import MARKER
from forkserver import interpreter
from forkserver.zygote_host import streams
from zygote_case import ZygoteTestCase, alive, wait_for

# Tells what it is, as JSON.
DESCRIBE = """
    import json, os, resource, subprocess, sys
    def open_fds():
        folder = os.open("/proc/self/fd", os.O_RDONLY)
        found = {int(name) for name in os.listdir(folder)} - {folder}
        os.close(folder)
        def is_open(fd):
            try:
                return bool(os.fstat(fd))
            except OSError:
                return False
        return sorted(fd for fd in found if is_open(fd))
    def leads_terminal():
        try:
            fd = os.open("/dev/tty", os.O_RDWR)
        except OSError:
            return False
        try:
            return os.tcgetpgrp(fd) == os.getpid()
        finally:
            os.close(fd)
    def entry(context):
        context.set_result(json.dumps({
            "args": context.args.decode(), "argv": context.argv,
            "sys.argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ),
            "umask": os.umask(0), "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "cpus": sorted(os.sched_getaffinity(0)),
            "io": subprocess.check_output(["ionice"]).decode(),
            "oom": open("/proc/self/oom_score_adj").read(),
            "privileges": open("/proc/self/status").read(),
            "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
            "leads_group": os.getpgrp() == os.getpid(),
            "leads_session": os.getsid(0) == os.getpid(),
            "leads_terminal": leads_terminal(),
            "fds": open_fds(),
        }).encode())
"""


class SetupTest(ZygoteTestCase):

    def describe(self, **options):
        result, record = self.run_entry(DESCRIBE, **options)
        self.assertEqual(record.code, 0)
        found = json.loads(result)
        self.assertEqual(found["env"].pop("FORKSERVER_WORKER"), record.id)
        return found

    def test_a_worker_has_what_the_request_says(self):
        cwd = os.path.join(self.folder, "cwd")
        os.mkdir(cwd)
        environment = dict(os.environ, ONLY_HERE="1")
        cpu = min(os.sched_getaffinity(0))
        found = self.describe(args=b"abc", argv=["prog", "x"], cwd=cwd,
                              env=environment, umask=0o027, nice=5,
                              limits={"nofile": (200, 300)}, group="session",
                              cpus=[cpu], io_priority=("best_effort", 6),
                              oom_score_adj=900, no_new_privs=True)
        self.assertEqual(found["args"], "abc")
        self.assertEqual(found["argv"], ["prog", "x"])
        self.assertEqual(found["sys.argv"], ["prog", "x"])
        self.assertEqual(found["cwd"], cwd)
        self.assertEqual(found["env"], environment)
        self.assertEqual(found["umask"], 0o027)
        self.assertEqual(found["nice"], 5)
        self.assertEqual(found["cpus"], [cpu])
        self.assertEqual(found["io"], "best-effort: prio 6\n")
        self.assertEqual(found["oom"], "900\n")
        self.assertIn("NoNewPrivs:\t1\n", found["privileges"])
        self.assertEqual(found["nofile"], [200, 300])
        self.assertTrue(found["leads_session"])

    def test_a_worker_leads_a_group_and_has_the_callers_own_otherwise(self):
        found = self.describe()
        self.assertTrue(found["leads_group"])
        self.assertFalse(found["leads_session"])
        self.assertEqual(found["cwd"], os.getcwd())
        self.assertEqual(found["env"], dict(os.environ))

    def test_descriptor_0_is_its_terminal(self):
        ours, theirs = os.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        found = self.describe(group="terminal", fds={0: theirs})
        self.assertTrue(found["leads_session"])
        self.assertTrue(found["leads_terminal"])
        with open(os.devnull, "rb") as null:
            with self.assertRaises(forkserver.LaunchFailed) as caught:
                self.describe(group="terminal", fds={0: null.fileno()})
        self.assertEqual((caught.exception.step, caught.exception.errno),
                         ("ioctl", errno.ENOTTY))
        self.assertIn("must be a terminal", caught.exception.hint)

    def test_variables_that_a_preload_set_are_not_merged_in(self):
        setter = self.write("""
            import ctypes, os
            os.environ["SET_BY_PRELOAD"] = "1"
        """)
        hidden = self.write("""
            import ctypes
            ctypes.CDLL(None).setenv(b"HIDDEN", b"1", 1)
        """)
        for preload in ([setter], [setter, hidden]):
            zygote = self.zygote(name=str(len(preload)), preload=preload)
            found = self.describe(zygote=zygote)
            self.assertEqual(found["env"], dict(os.environ))
            out = zygote.call(subprocess.check_output, ["env"])
            self.assertNotIn(b"SET_BY_PRELOAD", out)
            self.assertNotIn(b"HIDDEN", out)
            self.assertIn(MARKER.encode(), out)

    def test_what_a_worker_executes_carries_its_id(self):
        with mock.patch.dict(os.environ, FORKSERVER_WORKER="client"):
            zygote = self.zygote("of a worker")
            worker = zygote.fork(self.write("""
                import os
                def entry(context):
                    os.execvp("sh", ["sh", "-c",
                                     'test "$FORKSERVER_WORKER" = ' +
                                     context.worker_id])
            """) + ":entry")
        self.assertEqual(worker.wait(30).code, 0)

    def test_frozen_variables_that_differ_are_named(self):
        zygote = self.zygote()
        with self.assertRaises(forkserver.StaleEnvironment) as caught:
            zygote.fork("nothing:here",
                        env=dict(os.environ, PYTHONHASHSEED="7"))
        self.assertIn("PYTHONHASHSEED (added)", str(caught.exception))

    def test_exactly_the_descriptors_that_were_asked_for_are_open(self):
        opener = self.write("import socket; s = socket.socketpair()")
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        self.addCleanup(os.close, write_end)
        # `result` has a number above all others, and so has the file for the
        # traceback of a crash.
        found = self.describe(
            zygote=self.zygote(preload=[opener]),
            fds={3: write_end, 4: read_end, 777: write_end})
        self.assertEqual(found["fds"][:-2], [0, 1, 2, 3, 4, 777])

    def test_descriptors_cross_over_and_can_be_the_zygotes_own_numbers(self):
        read_ends, write_ends = zip(os.pipe(), os.pipe())
        targets = [2000, *range(955, 975)]
        result, record = self.run_entry("""
            import os
            def entry(context):
                for fd in map(int, context.argv):
                    os.write(fd, b"%d " % fd)
                os.write(5, b"five")
                context.set_result(os.read(6, 100))
        """, argv=list(map(str, targets)),
            fds={**{fd: write_ends[0] for fd in targets},
                 5: write_ends[1], 6: read_ends[0]})
        self.assertEqual(record.code, 0)
        self.assertEqual(result.split(), [b"%d" % fd for fd in targets])
        self.assertEqual(os.read(read_ends[1], 100), b"five")
        for fd in read_ends + write_ends:
            os.close(fd)

    def test_a_step_that_fails_is_named(self):
        zygote = self.zygote()
        name = self.write("def entry(context): pass")
        for step, options in {
            "chdir": {"cwd": "/no/such/folder"},
            "setrlimit": {"limits": {"nofile": (1 << 40, 1 << 40)}},
        }.items():
            with self.assertRaises(forkserver.LaunchFailed) as caught:
                zygote.fork(name + ":entry", **options)
            self.assertEqual(caught.exception.step, step)
            self.assertNotEqual(caught.exception.errno, 0)
        with self.assertRaises(forkserver.BadRequest):
            zygote.fork(name + ":entry", limits={"nofile": (9, 8)})
        self.assertEqual(zygote.run(name + ":entry").code, 0)

    def test_entries_that_are_not_there_are_named(self):
        zygote = self.zygote()
        raising = self.write("raise ValueError('not today')")
        for entry, text in (("nope", "nope"), ("no_such:entry", "no_such"),
                            ("os:no_such", "no_such"), ("os:sep", "callable"),
                            (raising + ":entry", "not today")):
            with self.assertRaises(forkserver.UnknownEntry) as caught:
                zygote.fork(entry)
            self.assertIn(text, str(caught.exception))


class StreamsTest(ZygoteTestCase):

    STREAMS = """
        import sys
        def entry(context):
            print("to stdout", sys.stdin.read(), sys.stdout.line_buffering)
            print("to stderr", file=sys.stderr)
            assert sys.__stdout__ is sys.stdout, sys.__stdout__
            context.set_result(repr([(each.encoding, each.errors, each.name,
                each.mode) for each in (sys.stdin, sys.stdout, sys.stderr)]
                ).encode())
    """

    def test_streams_are_opened_anew_on_the_workers_descriptors(self):
        for name in ("in", "out", "err"):
            open(os.path.join(self.folder, name), "wb").close()
        with open(os.path.join(self.folder, "in"), "r+") as stdin, \
                open(os.path.join(self.folder, "out"), "wb") as stdout, \
                open(os.path.join(self.folder, "err"), "wb") as stderr:
            stdin.write("typed")
            stdin.flush()
            stdin.seek(0)
            result, record = self.run_entry(self.STREAMS, stdin=stdin,
                                            stdout=stdout, stderr=stderr)
        self.assertEqual(record.code, 0)
        fresh = subprocess.run(
            [sys.executable, "-c", "import sys; print([(each.encoding, "
             "each.errors, each.name, each.mode) for each in (sys.stdin, "
             "sys.stdout, sys.stderr)], end='')"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
        self.assertEqual(result, fresh.stdout)
        self.assertEqual(self.text("out"), "to stdout typed False\n")
        self.assertEqual(self.text("err"), "to stderr\n")

    def test_a_terminal_is_buffered_by_line(self):
        master, slave = os.openpty()
        _, record = self.run_entry(self.STREAMS, stdin=subprocess.DEVNULL,
                                   stdout=slave, stderr=slave)
        self.assertEqual(record.code, 0)
        os.close(slave)
        by_line = not streams.is_unbuffered()
        self.assertIn(b"to stdout  %r" % by_line, os.read(master, 1000))
        os.close(master)

    def test_what_a_preload_printed_is_not_printed_again(self):
        preload = self.write("import sys; sys.stdout.write('x'); "
                             "sys.stdout.buffer.write(b'y')")
        out = os.path.join(self.folder, "out")
        with open(out, "wb") as stdout:
            _, record = self.run_entry(
                "def entry(context): print('worker')",
                zygote=self.zygote(preload=[preload]), stdout=stdout)
        self.assertEqual(record.code, 0)
        self.assertEqual(self.text("out"), "worker\n")

    def text(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return file.read()


class EndTest(ZygoteTestCase):

    def test_the_exit_code_is_that_of_any_python(self):
        error_file = os.path.join(self.folder, "err")
        for body, code, text in (
            ("return 7", 7, ""), ("return None", 0, ""),
            ("sys.exit(9)", 9, ""), ("sys.exit()", 0, ""),
            ("sys.exit('bye')", 1, "bye\n"),
            ("raise ValueError('boom')", 1, "ValueError: boom"),
            ("return 'text'", 1, "no exit code"), ("os._exit(4)", 4, ""),
        ):
            with open(error_file, "wb") as stderr:
                _, record = self.run_entry(
                    f"import os, sys\ndef entry(context): {body}",
                    stderr=stderr)
            with open(error_file, encoding="utf-8") as file:
                shown = file.read()
            self.assertIn(text, shown, body)
            self.assertNotIn("zygote_host", shown)
            self.assertEqual(record.code, code, body)
            self.assertEqual(record.reason, "exited")

    def test_a_signal_is_in_the_record(self):
        _, record = self.run_entry(
            "import os, signal\n"
            "def entry(context): os.kill(os.getpid(), signal.SIGSEGV)")
        self.assertEqual(record.signal, signal.SIGSEGV)
        self.assertEqual(record.reason, "signaled")
        self.assertGreater(record.max_rss_bytes, 1 << 20)
        self.assertGreater(record.user_us + record.system_us, 0)

    def test_exit_functions_of_the_worker_run_and_not_the_zygotes(self):
        out = os.path.join(self.folder, "out")
        preload = self.write("import atexit; "
                             "atexit.register(print, 'of the zygote')")
        with open(out, "wb") as stdout:
            _, record = self.run_entry("""
                import atexit, threading, time
                def late():
                    time.sleep(0.1)
                    print("thread")
                def entry(context):
                    atexit.register(print, "exit function")
                    threading.Thread(target=late).start()
            """, zygote=self.zygote(preload=[preload]), stdout=stdout)
        self.assertEqual(record.code, 0)
        with open(out, encoding="utf-8") as file:
            self.assertEqual(file.read(), "thread\nexit function\n")

    def test_signals_are_those_of_a_fresh_interpreter(self):
        source = """
            import signal
            def describe():
                return repr((
                    signal.getsignal(signal.SIGINT) is
                    signal.default_int_handler,
                    [signal.getsignal(each) for each in
                     (signal.SIGCHLD, signal.SIGPIPE, signal.SIGTERM)],
                    signal.set_wakeup_fd(-1),
                    signal.pthread_sigmask(signal.SIG_BLOCK, ())))
            def entry(context):
                context.set_result(describe().encode())
        """
        result, _ = self.run_entry(source)
        fresh = self.write(source)
        self.assertEqual(result, subprocess.check_output(
            [sys.executable, "-c",
             f"import {fresh}; print({fresh}.describe(), end='')"],
            cwd=self.folder))

    def test_a_sentinel_tells_the_end(self):
        zygote = self.zygote()
        name = self.write("import os\ndef entry(context): os.read(5, 1)")
        read_end, write_end = os.pipe()
        with zygote.fork(name + ":entry", fds={5: read_end}) as worker:
            os.close(read_end)
            self.assertEqual(select.select([worker.sentinel], [], [], 0)[0],
                             [])
            os.close(write_end)
            self.assertEqual(select.select([worker.sentinel], [], [], 30)[0],
                             [worker.sentinel])
            self.assertEqual(worker.wait(30).code, 0)
        ended = self.client.attach(worker.id)
        self.assertEqual(select.select([ended.sentinel], [], [], 30)[0],
                         [ended.sentinel])

    def test_workers_die_with_their_zygote(self):
        zygote = self.zygote()
        name = self.write("import signal\n"
                          "def entry(context): signal.pause()")
        worker = zygote.fork(name + ":entry")
        os.kill(zygote.info.pid, signal.SIGKILL)
        record = worker.wait(30)
        self.assertEqual(record.reason, "zygote_died")
        self.assertEqual(record.signal, signal.SIGKILL)

    def test_a_detached_worker_survives_its_zygote(self):
        zygote = self.zygote()
        name = self.write("import os\ndef entry(context):\n"
                          "    os.read(5, 1)\n    return 6")
        read_end, write_end = os.pipe()
        worker = zygote.fork(name + ":entry", fds={5: read_end}, detach=True)
        os.close(read_end)
        os.kill(zygote.info.pid, signal.SIGKILL)
        wait_for(lambda: not self.client.list().zygotes, "the zygote ends")
        self.assertTrue(alive(worker.pid))
        os.close(write_end)
        self.assertEqual(worker.wait(30).code, 6)

    def test_what_is_left_of_its_group_is_killed_with_it(self):
        result, record = self.run_entry("""
            import os, signal
            def entry(context):
                child = os.fork()
                if child == 0:
                    signal.pause()
                os.write(5, b"%d" % child)
        """, fds={5: self.pipe()})
        self.assertEqual((result, record.code), (b"", 0))
        child = int(os.read(self.read_end, 100))
        wait_for(lambda: not alive(child), "it is killed")

    def pipe(self):
        """The end to write to; the other one is self.read_end."""
        self.read_end, write_end = os.pipe()
        self.addCleanup(os.close, self.read_end)
        self.addCleanup(os.close, write_end)
        return write_end

    def test_a_killed_daemon_takes_zygote_and_workers_along(self):
        zygote = self.zygote()
        name = self.write("import signal\n"
                          "def entry(context): signal.pause()")
        worker = zygote.fork(name + ":entry")
        self.kill_daemon()
        wait_for(lambda: not alive(worker.pid) and not alive(zygote.info.pid),
                 "both end")
        with self.assertRaises(forkserver.ConnectionLost):
            worker.wait(30)

    def test_a_stop_reaches_the_whole_group(self):
        zygote = self.zygote()
        name = self.write("""
            import os, signal, time
            def entry(context):
                if os.fork():
                    os.write(5, b"x")
                signal.pause()
        """)
        read_end, write_end = os.pipe()
        worker = zygote.fork(name + ":entry", fds={5: write_end})
        os.close(write_end)
        self.assertEqual(os.read(read_end, 1), b"x")
        worker.signal(signal.SIGKILL, group=True)
        self.assertEqual(worker.wait(30).signal, signal.SIGKILL)
        self.assertEqual(os.read(read_end, 1), b"")
        os.close(read_end)

    def test_a_retired_zygote_waits_for_its_last_worker(self):
        zygote = self.zygote()
        name = self.write("import os\ndef entry(context): os.read(5, 1)")
        read_end, write_end = os.pipe()
        worker = zygote.fork(name + ":entry", fds={5: read_end})
        os.close(read_end)
        zygote.stop()
        with self.assertRaises(forkserver.Error):
            zygote.fork(name + ":entry")
        self.assertTrue(alive(zygote.info.pid))
        os.close(write_end)
        self.assertEqual(worker.wait(30).code, 0)
        wait_for(lambda: not alive(zygote.info.pid), "the zygote ends")

    def test_a_worker_that_closes_its_descriptors_still_has_a_record(self):
        _, record = self.run_entry(
            "import os\ndef entry(context): os.closerange(0, 65536)")
        self.assertIn(record.code, (1, 0))


class InterpreterTest(ZygoteTestCase):

    def test_it_is_the_callers_interpreter_with_its_flags_and_path(self):
        script = os.path.join(self.folder, "script.py")
        with open(script, "w", encoding="utf-8") as file:
            file.write(
                "import sys, forkserver, warnings\n"
                "from flags import flags\n"
                "if __name__ == '__main__':\n"
                "    zygote = forkserver.connect().zygote('flags')\n"
                "    mine, theirs = flags(), zygote.call(flags)\n"
                # A worker has it always: its record has the traceback.
                "    assert theirs.pop() is True\n"
                "    assert mine[:-1] == theirs, (mine, theirs)\n"
                "    print('same')\n")
        self.write("""
            import faulthandler, sys
            def flags():
                return [sys.executable, tuple(sys.flags), sys.warnoptions,
                        sys._xoptions, type(sys.stdout.buffer).__name__,
                        faulthandler.is_enabled()]
        """, "flags")
        for flags in ([], ["-O"], ["-OO", "-B"], ["-u"], ["-X", "dev"],
                      ["-W", "error::UserWarning", "-X", "faulthandler"],
                      ["-s", "-X", "utf8"]):
            out = subprocess.run([sys.executable, *flags, script],
                                 env=os.environ, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, check=False)
            self.assertEqual(out.stdout, b"same\n", (flags, out.stderr))

    def test_the_working_directory_may_hold_anything(self):
        self.write("raise SystemExit('shadowed')", "json")
        os.rename(self.file_of("json"), os.path.join(self.folder, "x"))
        cwd = os.path.join(self.folder, "cwd")
        os.mkdir(cwd)
        for name in ("json", "socket", "forkserver"):
            with open(os.path.join(cwd, name + ".py"), "w") as file:
                file.write("raise SystemExit('shadowed')")
        self.assertEqual(self.zygote(cwd=cwd).call(os.getcwd), os.getcwd())

    def test_an_interpreter_that_does_not_exist_is_an_error(self):
        error = self.refused("launch_failed", python="/no/such/python3")
        self.assertEqual(error.step, "execve")
        self.assertIn("/no/such/python3", error.message)

    def test_another_interpreter_has_its_own_path(self):
        other = os.path.join(self.folder, "python")
        os.symlink(sys.executable, other)
        zygote = self.zygote(python=other)
        self.assertNotIn(self.folder, zygote.call(eval, "__import__('sys')"
                                                  ".path"))

    def test_an_unknown_executable_is_an_error(self):
        with mock.patch.object(sys, "executable", ""):
            self.refused("bad_request")

    def test_relative_folders_of_the_path_are_the_callers(self):
        with mock.patch.object(sys, "path", ["", "sub"]):
            self.assertEqual(interpreter.absolute_path(),
                             [os.getcwd(), os.path.join(os.getcwd(), "sub")])


    def test_by_hand_it_says_who_starts_it(self):
        out = subprocess.run([sys.executable, "-m", "forkserver.zygote_host"],
                             env=os.environ, stderr=subprocess.PIPE,
                             text=True, check=False)
        self.assertEqual(out.returncode, 125)
        self.assertIn("forkserver zygote start", out.stderr)

    def test_the_command_line_can_start_and_use_it(self):
        self.write("def entry(context):\n"
                   "    context.set_result(context.args.upper())", "shout")
        environment = dict(self.sandbox.environment,
                           PYTHONPATH=self.folder + os.pathsep +
                           os.environ["PYTHONPATH"])
        self.sandbox.environment = environment
        started = self.cli("zygote", "start", "byhand", "--preload", "shout",
                           "--", sys.executable, "-m",
                           "forkserver.zygote_host")
        self.assertEqual(started.returncode, 0, started.stderr)
        called = self.cli("fork", "byhand", "--entry", "shout:entry",
                          "--args", "hello", "--result")
        self.assertEqual((called.returncode, called.stdout), (0, "HELLO"))


class NestedTest(ZygoteTestCase):

    def test_a_nested_zygote_has_what_its_parent_loaded(self):
        first = self.write("loaded = ['first']")
        second = self.write(f"import {first}; {first}.loaded.append('second')")
        hook = self.write(f"import {first}\n"
                          f"def f(): {first}.loaded.append('hook')")
        parent = self.zygote("parent", preload=[first],
                             after_fork=[hook + ":f"])
        nested = self.zygote("nested", preload=[second], parent=parent)
        self.assertEqual(nested.info.parent, "parent")
        self.assertEqual([each.name for each in nested.info.preloads],
                         [second])
        loaded = f"__import__('{first}').loaded"
        self.assertEqual(nested.call(eval, loaded),
                         ["first", "second", "hook"])
        self.assertEqual(parent.call(eval, loaded), ["first", "hook"])
        self.assertEqual([each["name"] for each in nested.preload_reports()],
                         [first, second])
        deeper = self.zygote("deeper", parent=nested, preload=["decimal"])
        self.assertEqual(deeper.call(os.getppid), deeper.info.pid)

    def test_its_own_hooks_and_settings_hold(self):
        log = self.write("lines = []\ndef f(): lines.append('f')\n"
                         "def g(): lines.append('g')")
        parent = self.zygote("parent", preload=[log])
        nested = self.zygote("nested", parent=parent,
                             before_freeze=[log + ":g"],
                             after_fork=[log + ":f"])
        lines = f"__import__('{log}').lines"
        self.assertEqual(nested.call(eval, lines), ["g", "f"])
        self.assertEqual(parent.call(eval, lines), [])

    def test_a_nested_preload_that_raises_leaves_the_parent_alone(self):
        parent = self.zygote("parent")
        bad = self.write("raise ValueError('nested')")
        error = self.refused("zygote_failed", name="nested", parent=parent,
                             preload=[bad])
        self.assertIn("ValueError: nested", error.message)
        self.assertEqual(parent.call(os.getppid), parent.info.pid)

    def test_it_ends_with_its_parent(self):
        parent = self.zygote("parent")
        nested = self.zygote("nested", parent=parent)
        os.kill(parent.info.pid, signal.SIGKILL)
        wait_for(lambda: not alive(nested.info.pid), "the nested one ends")


class LoadTest(ZygoteTestCase):

    def test_many_workers_at_once_have_one_record_each(self):
        zygote = self.zygote()
        name = self.write("import os\ndef entry(context): "
                          "return int(context.args)")
        begun = time.monotonic()
        workers = [zygote.fork(name + ":entry", args=b"%d" % (index % 100))
                   for index in range(100)]
        codes = [worker.wait(60).code for worker in workers]
        self.assertEqual(codes, [index % 100 for index in range(100)])
        self.assertLess(time.monotonic() - begun, 60)


if __name__ == "__main__":
    unittest.main()
