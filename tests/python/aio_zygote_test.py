"""Python zygotes and calls, with await."""

import asyncio
import os
import signal
import time
import unittest

import forkserver
from zygote_case import ZygoteTestCase, alive, wait_for


async def running_worker(client):
    """The one worker, once its entry has begun."""
    while True:
        for worker in (await client.list()).workers:
            if worker.state == "running":
                return worker


class AsyncZygoteTest(ZygoteTestCase):

    def run_async(self, method, **options):
        """Runs method(client, zygote)."""

        async def body():
            async with await forkserver.connect_async(
                    self.sandbox.socket, autostart=False) as client:
                async with await client.zygote("a", **options) as zygote:
                    return await method(client, zygote)

        return asyncio.run(asyncio.wait_for(body(), 120))

    def test_calls(self):

        async def method(_, zygote):
            self.assertEqual(await zygote.call(int, "ff", base=16), 255)
            data = os.urandom(3_000_000)
            self.assertEqual(await zygote.call(bytes.__add__, data, data),
                             data + data)
            values = await asyncio.gather(
                *(zygote.call(divmod, n, 3) for n in range(8)))
            self.assertEqual(values, [divmod(n, 3) for n in range(8)])
            with self.assertRaises(ZeroDivisionError) as caught:
                await zygote.call(divmod, 1, 0)
            self.assertIsInstance(caught.exception.__cause__,
                                  forkserver.RemoteTraceback)
            with self.assertRaises(forkserver.WorkerDied) as caught:
                await zygote.call(os._exit, 3)
            self.assertEqual(caught.exception.exit.code, 3)
            with self.assertRaises(forkserver.NotPicklable):
                await zygote.call(lambda: None)
            reports = await zygote.preload_reports()
            self.assertEqual(reports[0]["name"], "json")

        self.run_async(method, preload=["json"])

    def test_a_call_that_takes_too_long_or_is_cancelled(self):

        async def method(client, zygote):
            with self.assertRaises(TimeoutError):
                await zygote.run_call(time.sleep, (60,), timeout=0.1)
            task = asyncio.ensure_future(zygote.call(time.sleep, 60))
            worker = await running_worker(client)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertEqual((await client.wait(worker.id)).reason,
                             "stopped")

        self.run_async(method)

    def test_a_worker_that_is_killed(self):

        async def method(client, zygote):
            task = asyncio.ensure_future(zygote.call(time.sleep, 60))
            worker = await running_worker(client)
            await client.signal(worker.id, signal.SIGKILL)
            with self.assertRaisesRegex(forkserver.WorkerDied, "SIGKILL"):
                await task
            wait_for(lambda: not alive(worker.pid), "it is dead")

        self.run_async(method)

    def test_it_is_rebuilt_when_its_source_changes(self):
        name = self.write("""
            def value():
                return 1
        """)
        path = os.path.join(self.folder, name + ".py")

        async def method(_, zygote):
            old = zygote.info.id
            self.assertEqual(await zygote.stale(), [])
            with open(path, "a", encoding="ascii") as file:
                file.write("changed = True\n")
            self.assertEqual(await zygote.stale(), [path])
            await zygote.call(int)
            self.assertNotEqual(zygote.info.id, old)
            self.assertEqual(await zygote.stale(), [])

        self.run_async(method, preload=[name], auto_reload=True)

    def test_bad_input(self):

        async def method(client, zygote):
            with self.assertRaises(forkserver.BadRequest):
                await client.zygote("b", preload="json")
            with self.assertRaises(forkserver.ZygoteFailed):
                await client.zygote("b", preload=["no_such_module"])
            with self.assertRaises(forkserver.UnknownEntry):
                await zygote.fork("no_such_module:entry")

        self.run_async(method)


if __name__ == "__main__":
    unittest.main()
