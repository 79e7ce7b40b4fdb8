"""What the processes of multiprocessing_test.py run."""

import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time

import forkserver.multiprocessing

SUBCLASSED = forkserver.multiprocessing.get_context()


def nothing():
    pass


def square(number):
    return number * number


def exit_with(code):
    sys.exit(code)


def die_of(number):
    os.kill(os.getpid(), number)
    time.sleep(60)


def sleep_long():
    time.sleep(60)


def say_ready_and_sleep(ready):
    ready.set()
    time.sleep(60)


def ignore_and_sleep(ready):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready.set()
    time.sleep(60)


def report_interrupt(ready, results):
    try:
        ready.set()
        time.sleep(60)
    except KeyboardInterrupt:
        results.put("interrupted")


def describe(results):
    current = multiprocessing.current_process()
    results.put({
        "pid": os.getpid(),
        "name": current.name,
        "daemon": current.daemon,
        "method": multiprocessing.get_start_method(allow_none=True),
        "parent": multiprocessing.parent_process().pid,
        "parent_alive": multiprocessing.parent_process().is_alive(),
        "cwd": os.getcwd(),
        "argv": sys.argv,
        "path": sys.path,
        "variable": os.environ.get("SHOP"),
        "time_zone": time.localtime(0).tm_zone,
        "stdin": sys.stdin.read(),
        "threads": threading.active_count(),
        "modules": sorted(sys.modules),
    })


def import_late(results):
    results.put(importlib.import_module("late_shop").WARES)


def put_many(queue, count):
    for number in range(count):
        queue.put(number)


def join_queue(queue):
    while True:
        queue.get()
        queue.task_done()


def echo(connection):
    connection.send(connection.recv())
    connection.close()


def count_up(value, array, lock):
    for _ in range(100):
        with lock:
            value.value += 1
    array[0] += 1.5


def enter(semaphore, inside):
    with semaphore:
        inside.put(os.getpid())


def wait_and_put(condition, results):
    with condition:
        results.put("waits")
        condition.wait(60)
    results.put("woken")


def pass_barrier(barrier, results):
    results.put(barrier.wait(60))


def fill_shared_memory(name, text):
    from multiprocessing import shared_memory
    memory = shared_memory.SharedMemory(name=name)
    memory.buf[:len(text)] = text
    memory.close()


def fill_managed(mapping, key):
    mapping[key] = os.getpid()


def start_nested(results, options):
    context = (forkserver.multiprocessing.get_context(**options) if options
               else multiprocessing.get_context("forkserverd"))
    process = context.Process(target=describe, args=(results,))
    process.start()
    process.join()
    results.put(process.exitcode)


def start_and_leave(results, ready):
    """A process that outlives this one, which is killed."""
    context = multiprocessing.get_context("forkserverd")
    process = context.Process(target=say_ready_and_sleep, args=(ready,))
    process.start()
    ready.wait()
    results.put(process.pid)
    time.sleep(60)


def write_to(path, size, data):
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{size} {len(data)}")


class Shouter(SUBCLASSED.Process):

    def __init__(self, connection):
        super().__init__()
        self._connection = connection

    def run(self):
        self._connection.send(self._connection.recv().upper())
