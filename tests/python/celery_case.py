"""Tests of Celery's pool: a daemon, a Redis, a project, and its worker.

  class MyTest(CeleryTestCase):
      def test_a_task_runs(self):
          self.start_worker()
          self.assertEqual(self.outcome("add", 1, 2), 3)
"""

import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import daemon_fixture
import forkserver
from daemon_fixture import DaemonTestCase, alive, read_file

MISSING = [each for each in ("celery", "redis")
           if importlib.util.find_spec(each) is None]
if shutil.which("redis-server") is None:
    MISSING.append("redis-server")

# In seconds. Celery and Django take long to start on a busy machine.
TIMEOUT = 90
wait_for = functools.partial(daemon_fixture.wait_for, timeout=TIMEOUT)

PROJECT = """
import os
import signal
from celery import Celery, signals

import proxies

app = Celery("shop")
app.conf.update(
    broker_url=os.environ["SHOP_BROKER"],
    result_backend=os.environ["SHOP_BACKEND"],
    worker_pool=os.environ.get("SHOP_POOL", "forkserver.celery:TaskPool"),
    worker_proc_alive_timeout=90,
)

if "SHOP_RESTARTS" in os.environ:
    app.conf.worker_pool_restarts = True

if "SHOP_POISON" in os.environ:
    @signals.worker_init.connect
    def poison(**_):
        proxies.lookup()


@app.task
def add(a, b):
    return a + b


@app.task
def whoami():
    return os.getpid(), os.getppid()


@app.task
def fetch():
    return proxies.lookup()


@app.task
def meet(folder, count):
    # Returns when `count` of them run at once.
    open(os.path.join(folder, str(os.getpid())), "w").close()
    while len(os.listdir(folder)) < count:
        signal.sigtimedwait([], 0.01)
    return os.getpid()


@app.task
def kill_itself(number):
    os.kill(os.getpid(), number)


@app.task
def wait_for_ever(path):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    while True:
        signal.pause()
"""

# As a framework on macOS: who uses it in a child of a process that used it
# before its fork, crashes.
PROXIES = """
import os
import signal

_first_used_in = None


def lookup():
    global _first_used_in
    if _first_used_in not in (None, os.getpid()):
        os.kill(os.getpid(), signal.SIGSEGV)
    _first_used_in = os.getpid()
    return {}
"""


class CeleryTestCase(DaemonTestCase):

    def setUp(self):
        super().setUp()
        self.write("proxies", PROXIES)
        self.write("shop", PROJECT)
        path = os.path.join(self.folder, "r.sock")
        self.url = f"redis+socket://{path}"
        # Not Redis: without subscriptions of the client it is simple to end.
        self.backend = "file://" + self.folder_of("results")
        self.environment = dict(
            self.sandbox.environment, SHOP_BROKER=self.url,
            SHOP_BACKEND=self.backend, PYTHONPATH=os.path.dirname(
                os.path.dirname(os.path.abspath(forkserver.__file__))))
        self.redis = self.start(
            ["redis-server", "--port", "0", "--unixsocket", path, "--save", "",
             "--appendonly", "no", "--dir", self.folder], "redis.log")
        wait_for(lambda: os.path.exists(path),
                 lambda: "Redis: " + self.text("redis.log"))
        self.client = self.make_client(self.url)
        self.workers = []

    def make_client(self, broker, **options):
        from celery import Celery
        client = Celery("client", broker=broker, backend=self.backend,
                        set_as_current=False)
        client.conf.broker_transport_options = options
        return client

    def tearDown(self):
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.client.close()
        self.client.pool.force_close_all()
        self.redis.terminate()
        self.redis.wait(TIMEOUT)
        super().tearDown()

    def write(self, name, source):
        path = os.path.join(self.folder, name + ".py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(source))
        return path

    def text(self, name):
        return read_file(os.path.join(self.folder, name)).decode(
            errors="replace")

    def folder_of(self, name):
        """A new one."""
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        return path

    def start(self, argv, log, **variables):
        with open(os.path.join(self.folder, log), "ab") as file:
            process = subprocess.Popen(
                argv, cwd=self.folder, env=dict(self.environment, **variables),
                stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    # --- Celery's worker, the main process ---

    def start_worker(self, *options, ready=True, command=None, **variables):
        """`celery worker`, ready unless it is not to be."""
        command = command or ["-m", "celery", "-A", "shop"]
        worker = self.start(
            [sys.executable, *command, "worker", "-l", "info", "-c", "2",
             "--without-mingle", "--without-gossip", "--without-heartbeat",
             *options], "worker.log", **variables)
        self.workers.append(worker)
        if ready:
            wait_for(lambda: self._is_ready(worker),
                     lambda: self._log_with_stacks(worker))
        return worker

    def _is_ready(self, worker):
        if worker.poll() is not None:
            self.fail(f"it ended: {self.worker_log()}")
        return " ready." in self.worker_log()

    def _log_with_stacks(self, worker):
        # Celery's answer to this signal.
        worker.send_signal(signal.SIGUSR1)
        wait_for(lambda: "LOCAL VARIABLES" in self.worker_log() or
                 worker.poll() is not None, self.worker_log)
        return self.worker_log()

    def worker_log(self):
        return "celery: " + self.text("worker.log")

    def stop_worker(self, worker):
        """A warm shutdown."""
        # A process waits 30 s for the main process to take notice of its last
        # task, and a main process that is stopping does not.
        self.wait_until_idle()
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.fail(f"it does not stop: {self._log_with_stacks(worker)}")
        self.assertEqual(worker.returncode, 0, self.worker_log())

    def wait_until_idle(self):
        """A result is there a moment before the main process knows."""
        wait_for(self._is_idle, self.worker_log)

    def _is_idle(self):
        reply, = self.client.control.broadcast("active", reply=True, limit=1,
                                               timeout=TIMEOUT)
        return list(reply.values()) == [[]]

    def pool_pids(self):
        return sorted(each["pid"] for each in self.cli_json("ps"))

    # --- tasks ---

    def send(self, name, *args, **options):
        return self.client.send_task(f"shop.{name}", args, **options)

    def outcomes(self, results):
        """The value, or the exception, of each."""
        return [each.get(timeout=TIMEOUT, interval=0.02, propagate=False)
                for each in results]

    def outcome(self, name, *args, **options):
        outcome, = self.outcomes([self.send(name, *args, **options)])
        return outcome

    def wait_until_it_runs(self, path):
        """The pid of the process that runs wait_for_ever(path)."""
        return int(wait_for(lambda: read_file(path), self.worker_log))

    def wait_until_dead(self, pids):
        wait_for(lambda: not any(map(alive, pids)),
                 lambda: f"the end of {[each for each in pids if alive(each)]}"
                 f"; {self.worker_log()}")

    def assert_a_pool_of(self, count, without=None):
        wait_for(lambda: len(self.pool_pids()) == count and
                 without not in self.pool_pids(),
                 lambda: f"{count} workers: {self.pool_pids()}; "
                 + self.worker_log())
