"""Tests of zygotes: tests/child_programs/zygote_program.cc, on the wire."""

import os

from wire import (WireTestCase, ZYGOTE_PROGRAM, children_of, make_setup,
                  state_and_parent, wait_for)


class ZygoteTestCase(WireTestCase):

    def start_body(self, client, name, preload=(), env=(), argv=None,
                   **options):
        """A zygote_start; with `parent` in the options a nested one."""
        if argv is None:
            argv = [] if "parent" in options else [ZYGOTE_PROGRAM]
        return {"name": name, "preload": list(preload), **options,
                "setup": make_setup(argv, env=client.env + list(env))}

    def start(self, client, name="z", *arguments, **options):
        body = self.start_body(client, name, *arguments, **options)
        return client.request("zygote_start", body)["zygote"]

    def send_fork(self, client, entry, args=b"", passed=(), policy=None,
                  zygote="z", **setup):
        setup.setdefault("env", client.env)
        body = {"zygote": zygote, **(policy or {}),
                "setup": make_setup(setup.pop("argv", []), entry=entry,
                                    args=args, **setup)}
        return client.send("fork", body, passed)

    def fork(self, client, *arguments, **options):
        return client.answer(
            self.send_fork(client, *arguments, **options))["worker"]

    def call(self, client, entry, args=b"", **options):
        """The result bytes and the record."""
        read_end, write_end = os.pipe()
        with open(read_end, "rb") as result:
            try:
                worker = self.fork(client, entry, args, [write_end], result=0,
                                   **options)
            finally:
                os.close(write_end)
            return result.read(), client.wait(worker)

    def await_spares(self, zygote, count):
        """Their pids."""
        wait_for(lambda: len(self.parked(zygote)) == count,
                 lambda: f"{count} spares, not {self.parked(zygote)}")
        return self.parked(zygote)

    def parked(self, zygote):
        """The spares of a zygote that has no workers. Its canary may not have
        been reaped yet."""
        return [pid for pid in children_of(zygote["pid"])
                if (state_and_parent(pid) or "Z")[0] != "Z"]

    def zygotes(self, client):
        return {one["name"]: one for one in client.request("list")["zygotes"]}
