"""Two hundred upgrades of a daemon that is never idle, and a count of all that
went through it: no worker, exit record, reply, event or log line is lost."""

import asyncio
import collections
import json
import os
import unittest

import forkserver

from daemon_fixture import (FORKSERVERD, ZYGOTE_PROGRAM, DaemonTestCase,
                            is_sanitized, wait_for)

# What a service writes until it is told to end, and how many lines it says
# that were.
COUNT_LINES = """
import signal, sys, time
going = [True]
signal.signal(signal.SIGTERM, lambda *_: going.clear())
count = 0
while going:
    print("line", count, flush=True)
    count += 1
    time.sleep(0.001)
print("lines", count, flush=True)
"""


class LoadTest(DaemonTestCase):

    def setUp(self):
        super().setUp()
        self.upgrades = 200
        if is_sanitized(FORKSERVERD):
            self.upgrades //= 10
        self.done = collections.Counter()
        null = open(os.devnull, "wb")
        self.addCleanup(null.close)
        self.null = null.fileno()
        self.over = False

    def connect(self):
        return forkserver.connect_async(self.sandbox.socket, autostart=False)

    async def spawn(self, client, number):
        """A worker with its own exit code; its record is waited for by a
        request of its own, which may come when it has ended long ago."""
        code = number % 200
        worker = await client.spawn(["sh", "-c", f"exit {code}"])
        if number % 3 == 0:
            await asyncio.sleep(0.02)
        record = await client.wait(worker.id)
        self.assertEqual((record.id, record.code, record.reason),
                         (worker.id, code, "exited"))
        self.done["spawned"] += 1

    async def run_one(self, client, number):
        code = number % 200
        record = await client.run(["sh", "-c", f"exit {code}"])
        self.assertEqual((record.code, record.reason), (code, "exited"))
        self.done["run"] += 1

    async def fork(self, client, number):
        code = number % 200
        worker = await client.fork("z", "exit_code", args=str(code).encode())
        record = await worker.wait()
        self.assertEqual((record.code, record.reason), (code, "exited"))
        self.done["forked"] += 1

    async def signal(self, client, number):
        worker = await client.spawn(["sleep", "1000"])
        if number % 2:
            await client.signal(worker, 9)
            record = await worker.wait()
            self.assertEqual(record.signal, 9)
        else:
            record = await worker.stop(5)
            self.assertEqual(record.reason, "stopped")
        self.done["signalled"] += 1

    async def fail(self, client, _):
        with self.assertRaises(forkserver.Error) as caught:
            await client.spawn(["/there/is/no/such/program"])
        self.assertEqual(caught.exception.code, "launch_failed")
        self.done["failed"] += 1

    async def crash(self, client, _):
        record = await client.run(["sh", "-c", "echo ouch >&2; kill -SEGV $$"],
                                  stderr=self.null, crash_report=True)
        self.assertEqual((record.signal, record.crash.signal_name),
                         (11, "SIGSEGV"))
        self.assertIn("ouch", record.crash.stderr_tail)
        self.done["crashed"] += 1

    async def start_zygote(self, client, number):
        # It is audited and tried before it is ready.
        zygote = await client.start_zygote(f"z{number}", [ZYGOTE_PROGRAM])
        record = await (await zygote.fork("exit_code", args=b"7")).wait()
        self.assertEqual(record.code, 7)
        nested = await client.start_zygote(f"n{number}", parent=zygote.name)
        record = await (await nested.fork("exit_code", args=b"8")).wait()
        self.assertEqual(record.code, 8)
        await nested.stop()
        await zygote.stop()
        self.done["zygotes"] += 1

    async def start_service(self, client, number):
        ready = ({"ready": "line", "ready_line": "up"},
                 {"ready": "exec", "ready_command": ["true"]},
                 {"ready": "fd"}, {})[number % 4]
        name = f"s{number}"
        info = await client.start_service(
            name, ["sh", "-c", "echo up; echo up >&3; exec sleep 1000"],
            **ready)
        self.assertEqual((info.state, info.runs), ("running", 1))
        os.kill(info.pid, 9)
        info = await client.restart_service(name)
        self.assertEqual(info.state, "running")
        info = await client.stop_service(name, grace=5, remove=True)
        self.assertEqual((info.state, info.pid), ("stopped", 0))
        self.done["services"] += 1

    async def keep_busy(self, what, in_flight):
        async with await self.connect() as client:
            number = 0

            async def one_after_another():
                nonlocal number
                while not self.over:
                    number += 1
                    await what(client, number)
            await asyncio.gather(*(one_after_another()
                                   for _ in range(in_flight)))

    async def follow(self, following):
        """The workers, but for those of services, that events say were
        launched, and have ended; and how many services' were."""
        async with await self.connect() as client:
            subscription = await client.subscribe()
            following.set()
            launched, ended, of_services = [], [], 0
            while True:
                event = await subscription.next(60)
                self.assertNotEqual(event.event, "overrun")
                if event.worker and event.worker.name == "the last one":
                    return launched, ended, of_services
                if event.worker and event.worker.name:
                    of_services += event.event == "worker_launched"
                elif event.event == "worker_launched":
                    launched.append(event.worker.id)
                elif event.event == "worker_ended":
                    ended.append(event.worker.id)

    async def upgrade(self):
        async with await self.connect() as client:
            for number in range(self.upgrades):
                # Not always in the same moment of what is under way.
                await asyncio.sleep(number % 20 * 0.0005)
                await client.upgrade()
            self.over = True

    async def work(self):
        following = asyncio.Event()
        follower = asyncio.create_task(self.follow(following))
        await following.wait()
        async with await self.connect() as client:
            long = [await client.spawn(["sh", "-c", f"read line; exit {code}"],
                                       stdin=self.gate) for code in range(20)]
            await asyncio.gather(
                self.keep_busy(self.spawn, 4), self.keep_busy(self.run_one, 4),
                self.keep_busy(self.fork, 4), self.keep_busy(self.signal, 2),
                self.keep_busy(self.fail, 1), self.keep_busy(self.crash, 1),
                self.keep_busy(self.start_zygote, 2),
                self.keep_busy(self.start_service, 2), self.upgrade())
            os.close(self.hold)
            for code, worker in enumerate(long):
                self.assertEqual((await worker.wait()).code, code)
            status = await client.status()
            self.assertEqual((status.upgrades, status.pid, status.workers),
                             (self.upgrades, self.daemon.pid, 1))
            await client.run(["true"], name="the last one")
            return *await asyncio.wait_for(follower, 60), status.launched

    def test_nothing_is_lost(self):
        self.cli("zygote", "start", "z", "--spares", "1:3", "--",
                 ZYGOTE_PROGRAM)
        result = self.cli("start", "writer", "--", "/usr/bin/python3", "-c",
                          COUNT_LINES)
        self.assertEqual(result.returncode, 0, result.stderr)
        pid = self.cli_json("status", "writer")["pid"]
        before = self.status()["launched"]
        self.gate, self.hold = os.pipe()
        try:
            launched, ended, of_services, total = asyncio.run(self.work())
        finally:
            os.close(self.gate)
        kinds = ("spawned", "run", "forked", "signalled", "crashed")
        for kind in (*kinds, "failed", "zygotes", "services"):
            self.assertGreater(self.done[kind], 0, kind)
        workers = (20 + sum(self.done[kind] for kind in kinds) +
                   2 * self.done["zygotes"])
        # The last one tells that all others were told of.
        self.assertEqual(len(launched), workers)
        self.assertEqual(len(set(launched)), workers)
        self.assertEqual(sorted(ended), sorted(launched))
        self.assertGreaterEqual(of_services, 2 * self.done["services"])
        self.assertEqual(total - before,
                         workers + of_services + self.done["failed"])

        after = self.cli_json("status", "writer")
        self.assertEqual((after["pid"], after["runs"], after["state"]),
                         (pid, 1, "running"))
        self.cli("stop", "writer")
        lines = [line["text"] for line in self.logged("writer")]
        said = next(line for line in lines if line.startswith("lines "))
        self.assertEqual([line for line in lines if line.startswith("line ")],
                         [f"line {i}" for i in range(int(said.split()[1]))])
        self.assertEqual(self.status()["workers"], 0)
        print(f"{self.upgrades} upgrades, {dict(self.done)}, {said}")

    def logged(self, name):
        wait_for(lambda: any("it has ended" in line["text"] for line in
                             self.lines(name)), "its log is written")
        return self.lines(name)

    def lines(self, name):
        result = self.cli("logs", name, "--json")
        return [json.loads(line) for line in result.stdout.splitlines()]


if __name__ == "__main__":
    unittest.main()
