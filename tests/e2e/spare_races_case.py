"""What may happen to a spare in which order, for the zygotes of all SDKs."""

import os
import signal
import time

from daemon_fixture import alive, wait_for

class SpareRaces:
    """A mix-in for TestCase. The daemon that hands requests over is a script:
    start() makes it, with a zygote of one SDK. `exit` exits with the code in
    its arguments; after the preload step `late_thread` SIGUSR1 starts a
    thread."""

    sleep = exit = late_thread = ""

    def start(self):
        raise NotImplementedError

    def zygote(self, least=1, most=1, **options):
        zygote = self.start()
        self.addCleanup(zygote.close)
        zygote.configure(spares_min=least, spares_max=most, **options)
        return zygote

    def withdrawn(self, zygote):
        kind, body = zygote.control.next()
        self.assertEqual(kind, "spare_withdrawn")
        return body["pid"]

    def silent(self, stream):
        """Nothing more is said, as far as a while tells."""
        self.assertIsNone(stream.next(timeout=0.05))

    def test_told_while_it_runs(self):
        zygote = self.zygote()
        spare = zygote.take_spare()
        spare.send_fork("w", zygote.setup(self.sleep))
        (started,) = zygote.report("started")
        self.assertEqual((started["worker"], started["pid"]),
                         ("w", spare.pid))
        zygote.settle(spare, "w")
        other = zygote.take_spare()  # in its place
        zygote.send("signal_worker",
                    {"worker": "w", "signal": 9, "group": True})
        (ended,) = zygote.report("exited")
        self.assertEqual((ended["worker"], ended["pid"], ended["signal"]),
                         ("w", spare.pid, 9))
        zygote.await_reaped(spare)
        self.assertTrue(alive(other.pid))
        self.silent(zygote.control)

    def test_told_when_it_has_ended(self):
        zygote = self.zygote(2, 2)
        spare, other = zygote.take_spare(), zygote.take_spare()
        spare.send_fork("w", zygote.setup(self.exit, b"7"))
        zygote.report("started")
        self.assertEqual(self.withdrawn(zygote), spare.pid)
        # Its number stays its own until it is known whose it is.
        self.silent(zygote.reports)
        self.assertTrue(zygote.has_child(spare.pid))
        zygote.settle(spare, "w")
        (ended,) = zygote.report("exited")
        self.assertEqual((ended["worker"], ended["pid"], ended["code"]),
                         ("w", spare.pid, 7))
        zygote.await_reaped(spare)
        self.silent(zygote.reports)
        self.assertTrue(alive(other.pid))

    def test_killed_before_it_starts(self):
        zygote = self.zygote()
        spare = zygote.take_spare()
        os.kill(spare.pid, signal.SIGSTOP)
        spare.send_fork("w", zygote.setup(self.sleep))
        os.kill(spare.pid, signal.SIGKILL)
        self.assertEqual(self.withdrawn(zygote), spare.pid)
        zygote.settle(spare, "w")
        (ended,) = zygote.report("exited")
        self.assertEqual((ended["worker"], ended["signal"]), ("w", 9))
        self.silent(zygote.reports)

    def test_stopped_before_it_starts(self):
        zygote = self.zygote()
        spare = zygote.take_spare()
        os.kill(spare.pid, signal.SIGSTOP)
        spare.send_fork("w", zygote.setup(self.sleep))
        zygote.settle(spare, "w")
        zygote.send("signal_worker",
                    {"worker": "w", "signal": 9, "group": True})
        (ended,) = zygote.report("exited")
        self.assertEqual((ended["worker"], ended["signal"]), ("w", 9))

    def test_killed_while_it_is_parked(self):
        zygote = self.zygote()
        spare = zygote.take_spare()
        os.kill(spare.pid, signal.SIGKILL)
        self.assertEqual(self.withdrawn(zygote), spare.pid)
        self.assertTrue(zygote.has_child(spare.pid))
        zygote.settle(spare)
        zygote.await_reaped(spare)
        self.silent(zygote.reports)
        zygote.take_spare()  # after a while

    def test_its_channel_is_closed(self):
        zygote = self.zygote()
        spare = zygote.take_spare()
        spare.channel.close()
        self.assertEqual(self.withdrawn(zygote), spare.pid)
        zygote.settle(spare)
        zygote.await_reaped(spare)

    def test_a_part_of_a_request_is_none(self):
        zygote = self.zygote()
        spare = zygote.take_spare()
        spare.channel.send(b"\0\0\1\0part")
        spare.channel.close()
        self.assertEqual(self.withdrawn(zygote), spare.pid)
        zygote.settle(spare)
        zygote.await_reaped(spare)
        self.silent(zygote.reports)

    def test_the_daemon_does_not_want_it(self):
        zygote = self.zygote()
        spare = zygote.take_spare()
        zygote.settle(spare)
        zygote.await_reaped(spare)
        self.silent(zygote.reports)
        self.silent(zygote.control)

    def test_one_that_is_not_reaped_hides_no_other_end(self):
        zygote = self.zygote(2, 2)
        spare, _ = zygote.take_spare(), zygote.take_spare()
        os.kill(spare.pid, signal.SIGKILL)
        self.assertEqual(self.withdrawn(zygote), spare.pid)
        for number in range(3):
            zygote.fork(f"w{number}", zygote.setup(self.exit, b"3"))
            zygote.report("started")
            (ended,) = zygote.report("exited")
            self.assertEqual((ended["worker"], ended["code"]),
                             (f"w{number}", 3))
        self.assertTrue(zygote.has_child(spare.pid))

    def test_a_zygote_that_has_changed_withdraws_them(self):
        zygote = self.zygote(0, 3, preload=[self.late_thread])
        first, second, third = [zygote.take_spare() for _ in range(3)]
        os.kill(zygote.pid, signal.SIGUSR1)
        wait_for(lambda: len(os.listdir(f"/proc/{zygote.pid}/task")) == 2,
                 "the thread runs")
        # What it was when it forked them was safe.
        first.send_fork("w", zygote.setup(self.sleep))
        zygote.report("started")
        zygote.settle(first, "w")
        self.assertEqual({self.withdrawn(zygote), self.withdrawn(zygote)},
                         {second.pid, third.pid})
        # One was handed over meanwhile: it is a worker.
        second.send_fork("v", zygote.setup(self.sleep))
        zygote.report("started")
        zygote.settle(second, "v")
        zygote.settle(third)
        zygote.await_reaped(third)
        zygote.fork("u", zygote.setup(self.sleep))
        (failed,) = zygote.report("failed")
        self.assertEqual((failed["worker"], failed["error"]["code"]),
                         ("u", "zygote_unsafe"))
        for spare, worker in ((first, "w"), (second, "v")):
            self.assertTrue(alive(spare.pid))
            zygote.send("signal_worker",
                        {"worker": worker, "signal": 9, "group": True})
            (ended,) = zygote.report("exited")
            self.assertEqual(ended["worker"], worker)
        self.silent(zygote.control)

    def test_retired_with_some_in_every_state(self):
        zygote = self.zygote(4, 4)
        parked, dead, busy, stopped = [zygote.take_spare() for _ in range(4)]
        os.kill(dead.pid, signal.SIGKILL)
        self.assertEqual(self.withdrawn(zygote), dead.pid)
        os.kill(stopped.pid, signal.SIGSTOP)
        busy.send_fork("w", zygote.setup(self.sleep))
        zygote.report("started")
        zygote.settle(busy, "w")
        zygote.send("retire", {})
        for spare in (parked, dead, stopped):
            zygote.await_reaped(spare)
        self.assertIsNone(zygote.process.poll())
        zygote.send("signal_worker",
                    {"worker": "w", "signal": 9, "group": True})
        zygote.report("exited")
        self.assertEqual(zygote.process.wait(30), 0)
        self.silent(zygote.reports)

    def test_the_daemon_is_gone_with_some_in_every_state(self):
        zygote = self.zygote(3, 3)
        parked, dead, busy = [zygote.take_spare() for _ in range(3)]
        os.kill(dead.pid, signal.SIGKILL)
        self.assertEqual(self.withdrawn(zygote), dead.pid)
        busy.send_fork("w", zygote.setup(self.sleep))
        zygote.report("started")
        self.assertEqual(zygote.hang_up(), 0)
        for spare in (parked, busy):
            wait_for(lambda spare=spare: not alive(spare.pid), "it ends")

    def test_what_is_settled_twice_or_unknown_means_nothing(self):
        zygote = self.zygote()
        spare = zygote.take_spare()
        spare.send_fork("w", zygote.setup(self.sleep))
        zygote.report("started")
        zygote.settle(spare, "w")
        zygote.settle(spare)
        zygote.settle(spare, "v")
        zygote.send("spare_settled", {"pid": 1, "worker": "u"})
        zygote.send("spare_settled", {"pid": os.getpid()})
        zygote.send("signal_worker",
                    {"worker": "v", "signal": 9, "group": True})
        self.assertTrue(alive(spare.pid))
        zygote.send("signal_worker",
                    {"worker": "w", "signal": 9, "group": True})
        (ended,) = zygote.report("exited")
        self.assertEqual(ended["worker"], "w")

    def test_a_daemon_that_does_not_take_them_gets_none(self):
        zygote = self.zygote(2, 2, takes_spares=False)
        self.silent(zygote.control)
        zygote.fork("w", zygote.setup(self.exit, b"3"))
        zygote.report("started", "exited")

    def test_a_storm(self):
        """Each worker has one end, whatever the order."""
        zygote = self.zygote(1, 4)
        ends, starts, unsettled = [], [], []
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            said = zygote.control.next(timeout=0.001)
            if said and said[0] == "spare_parked":
                spare = zygote.spare_of(said[1])
                spare.send_fork(f"w{len(starts)}",
                                zygote.setup(self.exit, b"0"))
                starts.append(f"w{len(starts)}")
                unsettled.append((spare, starts[-1]))
            if len(unsettled) > 2 or not said:
                for spare, worker in unsettled:
                    zygote.settle(spare, worker)
                unsettled.clear()
            while True:
                report = zygote.reports.next(timeout=0)
                if report is None:
                    break
                if report[0] == "exited":
                    ends.append(report[1]["worker"])
        for spare, worker in unsettled:
            zygote.settle(spare, worker)
        while len(ends) < len(starts):
            kind, body = zygote.reports.next()
            if kind == "exited":
                ends.append(body["worker"])
        self.assertGreater(len(starts), 5)
        self.assertEqual(sorted(ends), sorted(starts))
        self.silent(zygote.reports)
