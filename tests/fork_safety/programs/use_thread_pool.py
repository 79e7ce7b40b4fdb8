"""A pool that counts on the thread that it started in the parent."""

from concurrent.futures import ThreadPoolExecutor

_pool = ThreadPoolExecutor(1, thread_name_prefix="crew")


def work(number):
    return _pool.submit(abs, -number).result()


def right_answer(number):
    return number
