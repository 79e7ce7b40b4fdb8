"""A thread of Python that holds a lock when the parent forks."""

import threading

_lock = threading.Lock()


def use():
    held = threading.Event()

    def long_work():
        with _lock:
            held.set()
            threading.Event().wait()

    threading.Thread(target=long_work, name="long-work", daemon=True).start()
    held.wait()


def work(number):
    with _lock:
        return number


def right_answer(number):
    return number
