"""Thousands of services at once."""

import asyncio
import os
import random
import resource
import signal
import unittest

import forkserver

from daemon_fixture import DaemonTestCase, is_sanitized, FORKSERVERD, wait_for

# Each has two descriptors in the daemon and three in the log writer.
WANTED = 5000
PER_SERVICE = 3


class ManyServicesTest(DaemonTestCase):

    def setUp(self):
        super().setUp()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.count = WANTED
        if is_sanitized(FORKSERVERD):
            self.count //= 10
        if self.count * PER_SERVICE + 500 > hard:
            self.skipTest(f"os: {hard} descriptors are not enough for "
                          f"{self.count} services")

    def test_they_are_started_kept_and_removed(self):
        asyncio.run(self.start_keep_and_remove())
        self.assertEqual(self.cli_json("services"), [])

    async def start_keep_and_remove(self):
        client = await forkserver.connect_async(self.sandbox.socket)
        async with client:
            names = [f"job{i:04}" for i in range(self.count)]
            await self.in_batches(names, lambda name: client.start_service(
                name, ["sleep", "1000"], backoff_initial=0.001, grace=5,
                env=self.sandbox.environment))
            pids = {each.name: each.pid for each in await client.services()}
            self.assertEqual(sorted(pids), names)
            # All of them go over to another program.
            await client.upgrade()
            self.assertEqual(pids, {each.name: each.pid
                                    for each in await client.services()})
            # Others are served meanwhile.
            self.assertEqual(self.cli("run", "--", "true").returncode, 0)
            killed = random.Random(1).sample(names, self.count // 50)
            for name in killed:
                os.kill(pids[name], signal.SIGKILL)
            again = {}

            def run_again():
                again.update((each["name"], each)
                             for each in self.cli_json("services"))
                return all(again[name]["state"] == "running"
                           and again[name]["pid"] != pids[name]
                           for name in killed)
            wait_for(run_again, "other runs", timeout=60)
            self.assertEqual(sum(each["runs"] for each in again.values()),
                             self.count + len(killed))
            await self.in_batches(names, lambda name: client.stop_service(
                name, remove=True))

    async def in_batches(self, names, request, size=200):
        """As many at a time as a client may have under way."""
        for i in range(0, len(names), size):
            await asyncio.gather(*map(request, names[i:i + size]))


if __name__ == "__main__":
    unittest.main()
