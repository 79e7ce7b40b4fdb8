"""Celery over forkserverd: which app its processes have, and what happens when
something else ends."""

import importlib.util
import os
import signal
import unittest

from celery_case import MISSING, TIMEOUT, CeleryTestCase, wait_for


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
class CeleryAppTest(CeleryTestCase):

    def test_a_daemon_that_is_killed(self):
        """Its workers end; the next ones come from the next daemon."""
        self.start_worker()
        path = os.path.join(self.folder, "pid")
        lost = self.send("wait_for_ever", path)
        self.wait_until_it_runs(path)
        pids = self.pool_pids()
        self.kill_daemon()
        error, = self.outcomes([lost])
        self.assertEqual(type(error).__name__, "WorkerLostError")
        self.assertEqual(self.outcome("add", 1, 2), 3)
        self.assert_a_pool_of(2)
        self.assertFalse(set(pids) & set(self.pool_pids()))
        self.stop_worker(self.workers[0])
        self.cli("daemon", "stop")

    def test_a_daemon_that_cannot_be_started_again(self):
        main = self.start_worker(FORKSERVER_BIN=self.folder,
                                 PATH="/usr/bin:/bin")
        path = os.path.join(self.folder, "pid")
        lost = self.send("wait_for_ever", path)
        self.wait_until_it_runs(path)
        self.kill_daemon()
        main.wait(TIMEOUT)
        self.assertIn("no forkserverd was found", self.worker_log())
        error, = self.outcomes([lost])
        self.assertEqual(type(error).__name__, "WorkerLostError")

    def test_a_killed_zygote(self):
        self.start_worker()
        zygote, = self.cli_json("zygote", "ls")
        pids = self.pool_pids()
        os.kill(zygote["pid"], signal.SIGKILL)
        self.wait_until_dead(pids)
        self.assertEqual(self.outcome("add", 1, 2), 3)

    def test_a_restart_of_the_pool_loads_the_project_anew(self):
        self.write("price", "PRICE = 1\n")
        self.write("more", """
            from shop import app
            import price
            @app.task(name="shop.price")
            def get_price():
                return price.PRICE
        """)
        self.start_worker("-c", "1", "-I", "more", SHOP_RESTARTS="1")
        self.assertEqual(self.outcome("price"), 1)
        self.write("price", "PRICE = 22\n")
        self.client.control.pool_restart()
        wait_for(lambda: self.outcome("price") == 22,
                 self.worker_log)

    def test_an_app_in_the_main_module(self):
        path = self.write("script", """
            import os, sys
            from celery import Celery
            app = Celery("shop", broker=os.environ["SHOP_BROKER"],
                         backend=os.environ["SHOP_BACKEND"])
            app.conf.worker_pool = "forkserver.celery:TaskPool"
            @app.task
            def twice(number):
                return 2 * number
            if __name__ == "__main__":
                app.start(sys.argv[1:])
        """)
        self.start_worker(command=[path])
        self.assertEqual(self.outcome("twice", 4), 8)

    def test_an_app_that_no_module_has(self):
        path = self.write("script", """
            import shop, sys
            def make():
                app = shop.Celery("copy", broker=shop.os.environ["SHOP_BROKER"],
                                  backend=shop.os.environ["SHOP_BACKEND"])
                app.conf.worker_pool = "forkserver.celery:TaskPool"
                return app
            if __name__ == "__main__":
                make().start(sys.argv[1:])
        """)
        self.start_worker(command=[path])
        self.assertEqual(self.outcome("add", 1, 2), 3)

    def test_configuration_that_the_main_process_changes(self):
        self.write("later", """
            from celery import signals
            from shop import app
            @signals.celeryd_init.connect
            def change(conf, **_):
                conf.shop_currency = "EUR"
            @app.task(name="shop.currency")
            def currency():
                return app.conf.get("shop_currency")
        """)
        self.start_worker(command=["-m", "celery", "-A", "later"])
        self.assertEqual(self.outcome("currency"), "EUR")

    def test_an_app_that_starts_a_thread_is_refused_by_name(self):
        self.write("threads", """
            import threading
            from shop import app
            threading.Thread(target=threading.Event().wait, daemon=True,
                             name="poller").start()
            @app.task(name="shop.count")
            def count():
                return threading.active_count()
        """)
        # Celery 5.2 exits with 0 whatever went wrong.
        self.start_worker("-I", "threads", ready=False).wait(TIMEOUT)
        for text in ("poller", "threads", "forkserver_preload_app"):
            self.assertIn(text, self.worker_log())

        with open(os.path.join(self.folder, "threads.py"), "a",
                  encoding="utf-8") as file:
            file.write("\napp.conf.forkserver_preload_app = False\n")
        self.start_worker("-I", "threads")
        self.assertEqual(self.outcome("count"), 2)

    def test_a_broker_without_an_event_loop(self):
        """There the pool has threads, and queues that its workers share."""
        folder = self.folder_of("queue")
        options = {"data_folder_in": folder, "data_folder_out": folder}
        self.write("files", f"""
            from shop import app
            app.conf.broker_transport_options = {options!r}
            app.conf.worker_enable_remote_control = False
        """)
        self.start_worker("-I", "files", SHOP_BROKER="filesystem://")
        self.client = self.make_client("filesystem://", **options)
        results = [self.send("add", each, 1) for each in range(6)]
        self.assertEqual(self.outcomes(results), [1, 2, 3, 4, 5, 6],
                         self.worker_log())

    def test_a_log_file_for_each_process(self):
        self.start_worker("--logfile", os.path.join(self.folder, "log%i"),
                          ready=False)
        self.assertEqual(self.outcome("add", 1, 2), 3)
        wait_for(lambda: "succeeded" in self.text("log1") + self.text("log2"),
                 self.worker_log)

    @unittest.skipUnless(importlib.util.find_spec("django"), "no Django")
    def test_a_django_project(self):
        self.write("project_settings", """
            SECRET_KEY = "secret"
            INSTALLED_APPS = ["django.contrib.contenttypes",
                              "django.contrib.auth", "polls"]
            DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3",
                                     "NAME": "database"}}
            USE_TZ = True
        """)
        self.write("project", """
            import os
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project_settings")
            from celery import Celery
            app = Celery("project")
            app.conf.update(broker_url=os.environ["SHOP_BROKER"],
                            result_backend=os.environ["SHOP_BACKEND"],
                            worker_pool="forkserver.celery:TaskPool")
            app.autodiscover_tasks()
        """)
        self.folder_of("polls")
        self.write("polls/__init__", "")
        self.write("polls/tasks", """
            from celery import shared_task, signals
            from django.contrib.auth import get_user_model
            from django.db import connection
            User = get_user_model()
            @shared_task(name="shop.look")
            def look():
                cursor = connection.cursor()
                cursor.execute("SELECT 1")
                receivers = [reference().__self__ for _, reference
                             in signals.task_postrun.receivers]
                return [User.__name__, cursor.fetchone()[0],
                        [type(each).__name__ for each in receivers]]
        """)
        self.start_worker(command=["-m", "celery", "-A", "project"])
        self.assertEqual(self.outcome("look"),
                         ["User", 1, ["DjangoWorkerFixup"]],
                         self.worker_log())


if __name__ == "__main__":
    unittest.main()
