"""The asyncio client against a daemon."""

import asyncio
import os
import signal
import unittest

import forkserver
from client_fixture import (ZYGOTE_PROGRAM, ClientTestCase, in_child, open_fds)


def in_loop(method):
    """An async test, with self.aio connected; it must leave no descriptor."""

    def run(self):

        async def body():
            async with await forkserver.connect_async(
                    self.sandbox.socket, autostart=False) as self.aio:
                await method(self)

        before = open_fds()
        asyncio.run(asyncio.wait_for(body(), 60))
        self.assertEqual(open_fds(), before)

    run.__name__ = method.__name__
    return run


class AsyncClientTest(ClientTestCase):

    async def raises(self, cls, says, awaitable):
        with self.assertRaisesRegex(cls, says) as caught:
            await awaitable
        return caught.exception

    @in_loop
    async def test_the_record_says_how_it_ended(self):
        worker = await self.aio.spawn(["sh", "-c", "exit 3"])
        record = await worker.wait()
        self.assertEqual((record.code, record.id, record.pid),
                         (3, worker.id, worker.pid))
        self.assertIs(await worker.wait(), record)
        self.assertEqual(await self.aio.wait(worker), record)
        self.assertEqual(await self.aio.wait(worker.id), record)
        self.assertEqual((await self.aio.run(["false"])).code, 1)

    @in_loop
    async def test_many_at_once(self):
        records = await asyncio.gather(
            *(self.aio.run(["sh", "-c", f"exit {n}"]) for n in range(30)))
        self.assertEqual([each.code for each in records], list(range(30)))

    @in_loop
    async def test_waiting(self):
        async with await self.aio.spawn(["sleep", "60"]) as worker:
            for timeout in (0, 0.01):
                await self.raises(TimeoutError, worker.id,
                                  worker.wait(timeout))
            tasks = [asyncio.ensure_future(worker.wait()) for _ in range(3)]
            cancelled = asyncio.ensure_future(worker.wait())
            await asyncio.sleep(0)
            cancelled.cancel()
            await self.raises(asyncio.CancelledError, "", cancelled)
            await worker.signal(signal.SIGKILL)
            for task in tasks:
                self.assertEqual((await task).signal, signal.SIGKILL)

    @in_loop
    async def test_a_worker_whose_spawn_is_cancelled_is_stopped(self):
        events = await self.aio.subscribe()
        task = asyncio.ensure_future(self.aio.spawn(["sleep", "60"]))
        await asyncio.sleep(0)
        task.cancel()
        await self.raises(asyncio.CancelledError, "", task)
        launched, ended = await events.next(), await events.next()
        self.assertEqual((launched.event, ended.event),
                         ("worker_launched", "worker_ended"))
        self.assertEqual(ended.worker.exit.reason, "stopped")
        await self.raises(forkserver.LaunchFailed, "",
                          self.aio.spawn(["/nowhere"]))

    @in_loop
    async def test_stopping(self):
        worker = await self.aio.spawn(["sleep", "60"])
        await self.aio.signal(worker.id, signal.SIGCONT, group=True)
        self.assertEqual((await worker.stop(grace=0)).reason, "stopped")
        other = await self.aio.spawn(["sleep", "60"], detach=True)
        attached = await self.aio.attach(other.id)
        self.assertEqual(attached.pid, other.pid)
        self.assertEqual((await self.aio.stop(attached.id)).reason, "stopped")
        self.assertEqual((await other.wait()).reason, "stopped")
        ended = await self.aio.attach(other.id)
        self.assertEqual((await ended.wait()).reason, "stopped")

    @in_loop
    async def test_events(self):
        events = await self.aio.subscribe()
        self.assertEqual(events.snapshot.workers, [])
        await self.raises(TimeoutError, "no event", events.next(0.01))
        record = await self.aio.run(["true"])
        seen = []
        async for event in events:
            seen.append((event.event, event.worker.id))
            if len(seen) == 2:
                events.close()
        self.assertEqual(seen, [("worker_launched", record.id),
                                ("worker_ended", record.id)])
        async with await self.aio.subscribe() as others:
            async with await self.aio.spawn(["sleep", "60"]) as worker:
                self.assertEqual((await others.next()).worker.id, worker.id)
                self.assertIsNone(await worker.poll())
            self.assertEqual((await worker.poll()).reason, "stopped")
        with self.assertRaises(StopAsyncIteration):
            await others.__anext__()

    @in_loop
    async def test_zygotes(self):
        async with await self.aio.start_zygote("z", [ZYGOTE_PROGRAM]) as z:
            read_end, write_end = os.pipe()
            worker = await z.fork("echo", args=b"x", result=write_end)
            os.close(write_end)
            with open(read_end, "rb") as pipe:
                self.assertEqual(pipe.read(), b"x")
            self.assertEqual((await worker.wait()).code, 0)
            self.assertEqual((await z.run("exit_code", args=b"4")).code, 4)
            self.assertEqual((await self.aio.list()).zygotes[0].name, "z")
        await self.raises(forkserver.Error, "z", z.fork("echo"))

    @in_loop
    async def test_bad_input(self):
        for cls, says, awaitable in (
            (forkserver.BadRequest, "argv is empty", self.aio.spawn([])),
            (forkserver.BadDescriptor, "9999",
             self.aio.run(["true"], fds={3: 9999})),
            (forkserver.LaunchFailed, "execve", self.aio.spawn(["/nowhere"])),
            (forkserver.UnknownWorker, "x-1", self.aio.wait("x-1")),
            (forkserver.UnknownZygote, "no", self.aio.fork("no", "echo")),
            (forkserver.BadRequest, "timeout", self.aio.wait("x-1", -1)),
        ):
            with self.subTest(says):
                await self.raises(cls, says, awaitable)
        self.assertEqual((await self.aio.status()).threads, 1)

    @in_loop
    async def test_requests_that_fill_the_socket(self):
        self.daemon.send_signal(signal.SIGSTOP)
        tasks = [asyncio.ensure_future(
            self.aio.run(["true", "x" * 3_000_000])) for _ in range(2)]
        tasks.append(asyncio.ensure_future(self.aio.status()))
        await asyncio.sleep(0)
        self.daemon.send_signal(signal.SIGCONT)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        self.assertEqual([type(each).__name__ for each in results],
                         ["LaunchFailed", "LaunchFailed", "DaemonStatus"])

    @in_loop
    async def test_a_daemon_that_is_killed(self):
        worker = await self.aio.spawn(["sleep", "60"])
        events = await self.aio.subscribe()
        tasks = [asyncio.ensure_future(each) for each in (
            worker.wait(), events.next(), self.aio.wait(worker.id))]
        await asyncio.sleep(0)
        self.kill_daemon()
        for task in tasks:
            await self.raises(forkserver.ConnectionLost, "lost", task)
        for call in (self.aio.status, worker.wait, worker.stop, events.next):
            await self.raises(forkserver.ConnectionLost, "lost", call())

    @in_loop
    async def test_close_ends_what_is_waited_for(self):
        worker = await self.aio.spawn(["sleep", "60"])
        task = asyncio.ensure_future(worker.wait())
        await asyncio.sleep(0)
        await self.aio.close()
        await self.raises(forkserver.ConnectionLost, "closed", task)
        self.assertEqual(self.client.wait(worker.id).reason, "client_gone")

    @in_loop
    async def test_a_child_cannot_use_it(self):
        number = self.aio._channel.fileno()

        def use():
            # A coroutine runs up to its first await without a loop.
            try:
                self.aio.status().send(None)
            except forkserver.UseAfterFork as error:
                try:
                    os.fstat(number)
                except OSError:
                    return error.code
            return "it worked"

        self.assertEqual(in_child(use), "use_after_fork")
        self.assertEqual((await self.aio.status()).threads, 1)


if __name__ == "__main__":
    unittest.main()
