"""Services, by the blocking client and by the asyncio one."""

import asyncio
import os
import signal
import sys
import unittest
from unittest import mock

import forkserver
from client_fixture import Call, ClientTestCase, in_child
from daemon_fixture import alive, read_file, wait_for

# Sends its argument to where it is to say that it is ready.
NOTIFY = """
import os, socket, sys, time
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.sendto(sys.argv[1].encode(), os.environ["NOTIFY_SOCKET"])
time.sleep(60)
"""


class ServiceTestCase(ClientTestCase):

    def tearDown(self):
        if self.daemon.returncode is None:
            for service in self.client.services():
                self.client.stop_service(service.name, grace=0, remove=True)
        super().tearDown()

    def start(self, script="sleep 60", name="web", **options):
        return self.client.start_service(
            name, ["sh", "-c", script], **options)

    def service(self, name="web"):
        (found,) = [each for each in self.client.services()
                    if each.name == name]
        return found

    def await_state(self, state, name="web"):
        wait_for(lambda: self.service(name).state == state,
                 lambda: f"{state}, not {self.service(name)}")
        return self.service(name)

    def path(self, name):
        return os.path.join(self.folder, name)


class StartTest(ServiceTestCase):

    def test_one_that_runs_is_seen_and_belongs_to_nobody(self):
        with self.connect() as other:
            info = other.start_service("web", ["sleep", "60"])
        self.assertEqual((info.name, info.state, info.argv, info.zygote,
                          info.runs, info.restarts, info.exit),
                         ("web", "running", ["sleep", "60"], "", 1, 0, None))
        self.assertGreater(info.since_ns, 0)
        self.assertEqual(info.policy, forkserver.ServicePolicy())
        self.assertTrue(alive(info.pid))
        self.assertEqual(self.client.services(), [info])
        snapshot = self.client.list()
        self.assertEqual(snapshot.services, [info])
        (worker,) = snapshot.workers
        self.assertEqual((worker.id, worker.name, worker.pid),
                         (info.worker, "web", info.pid))

    def test_its_process_is_what_was_asked_for(self):
        env = {**os.environ, "SHOP": "open", "FORKSERVER_WORKER": "another"}
        info = self.start('pwd >out; umask >>out; ulimit -n >>out; nice >>out;'
                          'echo >&3; sleep 60', env=env, cwd=self.folder,
                          umask=0o027, limits={"nofile": (50, 60)}, nice=5,
                          oom_score_adj=900,
                          group="session", ready="fd")
        self.assertEqual(read_file(self.path("out")).split(),
                         [self.folder.encode(), b"0027", b"50", b"5"])
        found = dict(each.split(b"=", 1) for each in read_file(
            f"/proc/{info.pid}/environ").split(b"\0") if each)
        self.assertEqual(found, {
            **{name.encode(): value.encode() for name, value in env.items()},
            b"FORKSERVER_WORKER": info.worker.encode(),
            b"FORKSERVER_SERVICE": b"web"})
        self.assertEqual(read_file(f"/proc/{info.pid}/oom_score_adj"),
                         b"900\n")
        self.assertEqual(os.getsid(info.pid), info.pid)
        self.assertEqual(os.readlink(f"/proc/{info.pid}/fd/0"), "/dev/null")

    def test_it_is_waited_for_until_it_is_ready(self):
        ready = {
            "fd": ("echo >&3", {}),
            "fd 9": ("echo >&9", {"ready_fd": 9}),
            "line": ("echo well; echo up >&2", {"ready_line": "^u.$"}),
            "exec": (":", {"ready_command": ["test", "-e", "began"]}),
        }
        for name, (script, options) in ready.items():
            with self.subTest(name):
                service = name.replace(" ", "-")
                info = self.start(f"sleep 0.1; touch began; {script};"
                                  "sleep 60", service, cwd=self.folder,
                                  ready=name.split()[0], **options)
                self.assertEqual(info.state, "running")
                self.assertTrue(os.path.exists(self.path("began")))
                self.assertTrue(os.path.exists(info.log))
                self.client.stop_service(service, grace=0)
                os.unlink(self.path("began"))

    def test_it_says_that_it_is_ready_and_what_it_does(self):
        info = self.client.start_service(
            "web", [sys.executable, "-S", "-c", NOTIFY,
                    "STATUS=3 of 4\nREADY=1"], ready="notify")
        self.assertEqual((info.state, info.status), ("running", "3 of 4"))

    def test_without_waiting(self):
        info = self.start(ready="fd", wait=False)
        self.assertEqual((info.state, info.runs), ("starting", 1))
        self.assertIn(self.client.restart_service("web", wait=False).state,
                      ("restarting", "starting"))

    def test_one_that_has_finished_is_an_answer(self):
        info = self.start("exit 3", ready="fd", success_exit_codes=[3])
        self.assertEqual((info.state, info.exit.code, info.pid, info.worker),
                         ("finished", 3, 0, ""))
        self.assertEqual(self.start("exit 3", ready="fd",
                                    success_exit_codes={3}).runs, 2)

    def test_of_a_zygote(self):
        self.start_zygote()
        info = self.client.start_service("web", zygote="z",
                                         entry="sleep_forever")
        self.assertEqual((info.zygote, info.argv), ("z", []))
        (worker,) = self.client.list().workers
        self.assertEqual((worker.kind, worker.zygote, worker.pid),
                         ("forked", "z", info.pid))
        self.client.stop_service("web", remove=True)
        info = self.client.start_service(
            "web", ["word"], zygote="z", entry="run_shell", ready="fd",
            args=b'test "$FORKSERVER_SERVICE" = web')
        self.assertEqual((info.state, info.argv, info.exit.code),
                         ("finished", ["word"], 0))

    def test_after_others(self):
        first = self.start(name="first", ready="fd", wait=False)
        second = self.start(name="second", after=["first"], wait=False)
        self.assertEqual((second.state, second.policy.after),
                         ("waiting", ["first"]))
        self.client.stop_service("second")
        self.client.stop_service("first")
        self.start("echo >&3; sleep 60", name="first", ready="fd")
        self.client.stop_service("first")
        self.assertEqual(self.client.start_service("second").state, "running")
        self.assertEqual(self.service("first").state, "running")
        self.assertGreater(self.service("first").runs, first.runs)


class SecondStartTest(ServiceTestCase):

    def test_the_same_is_left_alone(self):
        first = self.start(grace=3)
        for again in (self.start(grace=3),
                      self.client.start_service("web"),
                      self.start(policy=forkserver.ServicePolicy(
                          grace_ms=3000))):
            self.assertEqual(again, first)

    def test_something_else_is_a_conflict_that_is_named(self):
        first = self.start()
        for says, options in (
                ("its command", {"script": "sleep 61"}),
                ("its environment (SHOP)", {"env": {**os.environ,
                                                    "SHOP": "open"}}),
                ("its working directory", {"cwd": "/"}),
                ("its set-up", {"umask": 0o111}),
                ("how it is kept", {"grace": 1})):
            with self.subTest(says):
                self.assert_error(forkserver.ServiceConflict, says,
                                  self.start, **options)
        self.assertEqual(self.service(), first)

    def test_replace_makes_it_anew(self):
        first = self.start()
        second = self.start("exec sleep 61", replace=True)
        self.assertEqual((second.state, second.argv[2], second.runs),
                         ("running", "exec sleep 61", 2))
        self.assertNotEqual(second.worker, first.worker)
        self.assertFalse(alive(first.pid))

    def test_one_that_does_not_run_is_made_anew(self):
        self.start()
        self.client.stop_service("web")
        self.assertEqual(self.start("exec sleep 61", grace=1).policy.grace_ms,
                         1000)


class StopTest(ServiceTestCase):

    def test_it_is_known_until_it_is_removed(self):
        info = self.start()
        stopped = self.client.stop_service("web")
        self.assertEqual((stopped.state, stopped.pid, stopped.worker),
                         ("stopped", 0, ""))
        self.assertEqual((stopped.exit.id, stopped.exit.signal,
                          stopped.exit.reason),
                         (info.worker, signal.SIGTERM, "stopped"))
        self.assertFalse(alive(info.pid))
        self.assertEqual(self.client.stop_service("web"), stopped)
        again = self.client.start_service("web")
        self.assertEqual((again.state, again.argv, again.runs, again.restarts),
                         ("running", info.argv, 2, 0))
        removed = self.client.stop_service("web", remove=True)
        self.assertEqual(removed.state, "stopped")
        self.assertEqual(self.client.services(), [])
        for call in (self.client.start_service, self.client.stop_service,
                     self.client.restart_service):
            self.assert_error(forkserver.UnknownService, "'web'", call, "web")

    def test_its_signal_and_its_grace(self):
        self.start("trap 'exit 7' INT; trap '' TERM; echo >&3;"
                   "while :; do sleep 0.01; done", ready="fd",
                   stop_signal=signal.SIGINT, grace=60)
        self.assertEqual(self.client.stop_service("web").exit.code, 7)
        self.client.start_service("web")
        self.assertEqual(self.client.stop_service("web", grace=0).exit.signal,
                         signal.SIGKILL)

    def test_all_that_it_started_ends_with_it(self):
        self.start("setsid sleep 60 & echo $! >pid; echo >&3; wait",
                   cwd=self.folder, ready="fd")
        pid = int(read_file(self.path("pid")))
        self.assertTrue(alive(pid))
        self.client.stop_service("web")
        self.assertFalse(alive(pid))

    def test_restart_is_another_run(self):
        first = self.start()
        second = self.client.restart_service("web")
        self.assertEqual((second.state, second.runs, second.restarts),
                         ("running", 2, 0))
        self.assertNotEqual(second.worker, first.worker)
        self.assertFalse(alive(first.pid))
        self.assertEqual(second.exit.id, first.worker)

    def test_whoever_waits_for_it_hears_that_it_was_stopped(self):
        with self.connect() as other:
            call = Call(lambda: other.start_service(
                "web", ["sleep", "60"], ready="fd"))
            wait_for(lambda: [each.state for each in self.client.services()]
                     == ["starting"], "it is starting")
            self.client.stop_service("web")
            with self.assertRaises(forkserver.ServiceStopped):
                call.result()


class FailureTest(ServiceTestCase):

    def test_what_has_failed_says_why(self):
        for script, says in (("exit 3", "exit code 3"),
                             ("kill -9 $$", "signal 9")):
            with self.subTest(says):
                error = self.assert_error(forkserver.ServiceFailed, says,
                                          self.start, script, ready="fd",
                                          restart="no")
                self.assertEqual(error.code, "service_failed")
                info = self.service()
                self.assertEqual((info.state, info.why), ("failed", says))
        self.assert_error(forkserver.ServiceFailed, "no-such-program",
                          self.client.start_service, "odd",
                          ["no-such-program"])

    def test_not_ready_in_time(self):
        self.assert_error(forkserver.ServiceFailed, "not ready within 50 ms",
                          self.start, ready="fd", ready_timeout=0.05,
                          restart="no")

    def test_it_runs_again_until_it_is_given_up(self):
        self.start("exit 3", restart="always", backoff_initial=0.001,
                   backoff_jitter_percent=0, start_limit=3)
        info = self.await_state("failed")
        self.assertEqual((info.runs, info.restarts, info.exit.code),
                         (3, 2, 3))
        self.assertIn("crash loop", info.why)

    def test_in_backoff_it_says_when(self):
        self.start("exit 3", backoff_initial=60, backoff_max=60)
        info = self.await_state("backoff")
        self.assertGreater(info.next_ns, info.since_ns)
        self.assertEqual(info.why, "exit code 3")
        self.assertEqual(self.client.stop_service("web").state, "stopped")


class EventsTest(ServiceTestCase):

    def test_a_subscriber_is_told_of_every_change(self):
        first = self.start(name="first")
        with self.client.subscribe() as events:
            self.assertEqual(events.snapshot.services, [first])
            self.start("echo >&3; sleep 60", ready="fd")
            self.client.stop_service("web", remove=True)
            seen = []
            while not seen or seen[-1] != "removed":
                event = events.next(20)
                if event.event == "service_changed":
                    self.assertEqual(event.service.name, "web")
                    if seen[-1:] != [event.service.state]:
                        seen.append(event.service.state)
                elif event.event == "service_removed":
                    self.assertEqual(event.service.state, "stopped")
                    seen.append("removed")
        self.assertEqual(seen, ["waiting", "starting", "running", "stopping",
                                "stopped", "removed"])


class PolicyTest(ServiceTestCase):

    def test_every_keyword_is_a_part_of_the_policy(self):
        keywords = {
            "restart": "always", "backoff_initial": 0.1, "backoff_factor": 3,
            "backoff_max": 60, "backoff_jitter_percent": 0, "reset_after": 1,
            "start_limit": 0, "success_exit_codes": (143, 3), "after": (),
            "ready": "exec", "ready_fd": 7, "ready_line": "^Ready",
            "ready_command": ("true",), "ready_timeout": None,
            "watchdog": None, "stop_signal": signal.SIGINT, "grace": 0,
            "timeout": 86400, "log_max_bytes": 4096, "log_files": 1,
            "log_drop": True, "pty": True,
            "detach": True,
            "memory_max_bytes": 0, "tasks_max": 0,
            "cpu_max_percent": 0}
        wanted = forkserver.ServicePolicy(
            restart="always", backoff_initial_ms=100, backoff_factor=3,
            backoff_max_ms=60_000, backoff_jitter_percent=0,
            reset_after_ms=1000, start_limit=0, success_exit_codes=[3, 143],
            after=[], ready="exec", ready_fd=7, ready_line="^Ready",
            ready_command=["true"], ready_timeout_ms=0, watchdog_ms=0,
            stop_signal=2, grace_ms=0, timeout_ms=86_400_000,
            log_max_bytes=4096, log_files=1, log_drop=True,
            pty=True, detach=True)
        self.assertEqual(self.start(**keywords).policy, wanted)
        self.assertEqual(self.start(policy=wanted).policy, wanted)
        changed = self.start(policy=wanted, watchdog=60, replace=True)
        self.assertEqual((changed.policy.watchdog_ms, wanted.watchdog_ms),
                         (60_000, 0))

    def test_what_is_wrong_is_named(self):
        for says, options in (
                ("restart", {"restart": "maybe"}),
                ("ready", {"ready": "soon"}),
                ("ready_line", {"ready": "line"}),
                ("log_max_bytes", {"ready": "line", "ready_line": "up",
                                   "log_max_bytes": 0}),
                ("ready_command", {"ready": "exec"}),
                ("backoff_initial", {"backoff_initial": "1"}),
                ("grace", {"grace": -1}),
                ("timeout", {"timeout": 0}),
                ("watchdog", {"watchdog": 0}),
                ("ready_timeout", {"ready_timeout": True}),
                ("start_limit", {"start_limit": 1.5}),
                ("start_limit", {"start_limit": -1}),
                ("success_exit_codes", {"success_exit_codes": 3}),
                ("success_exit_codes", {"success_exit_codes": ["3"]}),
                ("success_exit_codes", {"success_exit_codes": [256]}),
                ("after", {"after": "first"}),
                ("stop_signal", {"stop_signal": 0}),
                ("stop_signal", {"stop_signal": "TERM"}),
                ("ready_fd", {"ready_fd": 2}),
                ("log_files", {"log_files": 0}),
                ("log_drop", {"log_drop": 1}),
                ("policy", {"policy": {"restart": "no"}}),
                ("wait", {"wait": None}),
                ("replace", {"replace": 1}),
                ("after itself", {"after": ["web"]}),
                ("entry", {"entry": "echo"}),
                ("args", {"args": b"x"}),
                ("'a/b'", {"name": "a/b"}),
                ("''", {"name": ""})):
            with self.subTest(options):
                self.assert_error(forkserver.BadRequest, says, self.start,
                                  **options)
        self.assert_error(forkserver.BadRequest, "needs an entry",
                          self.client.start_service, "web", zygote="z")
        self.assert_error(forkserver.BadRequest, "argv is empty",
                          self.client.start_service, "web", [])
        self.assert_error(forkserver.BadRequest, "takes no grace, replace",
                          self.client.start_service, "web", grace=1,
                          replace=True)
        self.assert_error(forkserver.BadRequest, "grace",
                          self.client.stop_service, "web", grace="1")
        self.assert_error(forkserver.UnknownService, "'first'", self.start,
                          after=["first"])
        with self.assertRaisesRegex(TypeError, "'stdin'.*ready_timeout"):
            self.start(stdin=0)
        self.assertEqual(self.client.services(), [])

    def test_without_a_daemon_there_are_none(self):
        with mock.patch.dict(os.environ, FORKSERVER_DISABLE="1"):
            with forkserver.connect() as client:
                for call in (lambda: client.start_service("web", ["true"]),
                             lambda: client.stop_service("web"),
                             lambda: client.restart_service("web"),
                             client.services):
                    with self.assertRaises(forkserver.Disabled):
                        call()

    def test_a_forked_child_cannot_ask(self):

        def ask():
            try:
                return str(self.client.services())
            except forkserver.UseAfterFork as error:
                return error.code

        self.assertEqual(in_child(ask), "use_after_fork")


class AsyncServicesTest(ServiceTestCase):

    def test_the_same_calls_with_await(self):

        async def body():
            async with await forkserver.connect_async(
                    autostart=False) as client:
                await use(client)

        async def use(client):
            events = await client.subscribe()
            info = await client.start_service(
                "web", ["sh", "-c", "echo >&3; sleep 60"], ready="fd",
                grace=1.5)
            self.assertEqual((info.state, info.policy.grace_ms),
                             ("running", 1500))
            self.assertEqual(await client.services(), [info])
            self.assertEqual(await client.start_service("web"), info)
            second = await client.restart_service("web")
            self.assertEqual((second.state, second.runs), ("running", 2))
            with self.assertRaisesRegex(forkserver.ServiceConflict, "command"):
                await client.start_service("web", ["true"])
            stopped = await client.stop_service("web", grace=0, remove=True)
            self.assertEqual((stopped.state, stopped.exit.signal),
                             ("stopped", signal.SIGKILL))
            with self.assertRaises(forkserver.UnknownService):
                await client.restart_service("web")
            with self.assertRaisesRegex(forkserver.ServiceFailed, "code 3"):
                await client.start_service("odd", ["sh", "-c", "exit 3"],
                                           ready="fd", restart="no")
            async for event in events:
                if event.event == "service_removed":
                    break

        asyncio.run(asyncio.wait_for(body(), 60))

    def test_starts_at_once_are_answered_each(self):

        async def body():
            async with await forkserver.connect_async(
                    autostart=False) as client:
                infos = await asyncio.gather(*(
                    client.start_service(f"web{number}", [
                        "sh", "-c", "echo >&3; sleep 60"], ready="fd")
                    for number in range(10)))
                self.assertEqual({each.state for each in infos}, {"running"})
                self.assertEqual(len({each.pid for each in infos}), 10)
                self.assertEqual(await client.services(), infos)

        asyncio.run(asyncio.wait_for(body(), 60))


if __name__ == "__main__":
    unittest.main()
