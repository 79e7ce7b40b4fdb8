"""Celery over forkserverd: every feature of the prefork pool, and no fork of
its main process."""

import os
import signal
import unittest

from celery_case import MISSING, TIMEOUT, CeleryTestCase
from daemon_fixture import state_and_parent


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
class CeleryTest(CeleryTestCase):

    def test_every_worker_is_used_again_and_again(self):
        main = self.start_worker("-c", "3")
        rounds = []
        for number in range(3):
            folder = self.folder_of(f"round{number}")
            rounds.append(sorted(self.outcomes(
                [self.send("meet", folder, 3) for _ in range(3)])))
        self.assertEqual(rounds, [self.pool_pids()] * 3, self.worker_log())
        zygote, = self.cli_json("zygote", "ls")
        self.assertEqual({state_and_parent(pid)[1] for pid in rounds[0]},
                         {zygote["pid"]})
        self.stop_worker(main)
        self.wait_until_dead(rounds[0] + [zygote["pid"]])
        self.assertEqual(self.worker_log().count("ERROR"), 0,
                         self.worker_log())

    def test_a_poisoned_main_process_loses_no_task(self):
        self.start_worker(SHOP_POISON="1")
        results = [self.send("fetch") for _ in range(10)]
        self.assertEqual(self.outcomes(results), [{}] * 10,
                         self.worker_log())

    def test_prefork_loses_every_task_of_a_poisoned_main_process(self):
        self.start_worker(SHOP_POISON="1", SHOP_POOL="prefork")
        results = [self.send("fetch") for _ in range(10)]
        for each in self.outcomes(results):
            self.assertIn("signal 11 (SIGSEGV)", str(each))

    def test_soft_and_hard_time_limits(self):
        self.start_worker()
        pids = self.pool_pids()
        path = os.path.join(self.folder, "soft")
        soft = self.outcome("wait_for_ever", path, soft_time_limit=0.3)
        self.assertEqual(type(soft).__name__, "SoftTimeLimitExceeded")
        self.assertEqual(self.pool_pids(), pids)

        path = os.path.join(self.folder, "hard")
        hard = self.outcome("wait_for_ever", path, time_limit=0.3)
        self.assertEqual(type(hard).__name__, "TimeLimitExceeded")
        pid = self.wait_until_it_runs(path)
        self.wait_until_dead([pid])
        self.assert_a_pool_of(2, without=pid)

    def test_revoke_ends_a_running_task(self):
        self.start_worker()
        path = os.path.join(self.folder, "pid")
        result = self.send("wait_for_ever", path)
        pid = self.wait_until_it_runs(path)
        result.revoke(terminate=True, signal="SIGKILL")
        self.outcomes([result])
        self.assertEqual(result.state, "REVOKED")
        self.assert_a_pool_of(2, without=pid)

    def test_the_signal_that_killed_a_worker(self):
        self.start_worker()
        for number in (signal.SIGKILL, signal.SIGABRT):
            with self.subTest(number):
                error = self.outcome("kill_itself", number)
                self.assertEqual(type(error).__name__, "WorkerLostError")
                self.assertIn(f"signal {number.value} ({number.name})",
                              str(error))
        self.assertEqual(self.outcome("add", 1, 2), 3)

    def test_max_tasks_and_max_memory_per_child(self):
        for option, tasks in (("--max-tasks-per-child=2", 2),
                              ("--max-memory-per-child=1", 1)):
            with self.subTest(option):
                main = self.start_worker("-c", "1", option)
                pids = [self.outcome("whoami")[0]
                        for _ in range(4)]
                self.assertEqual(len(set(pids)), 4 // tasks,
                                 self.worker_log())
                self.assertNotIn("WorkerLost", self.worker_log())
                main.kill()
                main.wait()
                os.remove(os.path.join(self.folder, "worker.log"))

    def test_autoscale(self):
        self.start_worker("--autoscale", "3,1")
        self.assertEqual(len(self.pool_pids()), 1)
        folder = self.folder_of("meeting")
        pids = self.outcomes([self.send("meet", folder, 3) for _ in range(3)])
        self.assertEqual(sorted(pids), self.pool_pids())
        self.wait_until_idle()
        self.client.control.autoscale(2, 1)
        self.assert_a_pool_of(2)

    def test_a_cold_shutdown(self):
        main = self.start_worker()
        self.send("wait_for_ever", os.path.join(self.folder, "pid"))
        self.wait_until_it_runs(os.path.join(self.folder, "pid"))
        pids = self.pool_pids()
        main.send_signal(signal.SIGQUIT)
        main.wait(TIMEOUT)
        self.wait_until_dead(pids)

    def test_no_worker_is_left_of_a_killed_main_process(self):
        main = self.start_worker()
        path = os.path.join(self.folder, "pid")
        self.send("wait_for_ever", path)
        busy = self.wait_until_it_runs(path)
        pids = self.pool_pids()
        self.assertIn(busy, pids)
        zygote, = self.cli_json("zygote", "ls")
        main.kill()
        self.wait_until_dead(pids + [zygote["pid"]])


if __name__ == "__main__":
    unittest.main()
