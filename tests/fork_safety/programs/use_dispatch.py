"""Queues of a library that follows the rule of Darwin's libdispatch."""

import ctypes
import os
import queue
import time

_library = ctypes.CDLL(os.path.join(os.environ["CASE_LIBRARIES"],
                                    "libdispatch_stand_in.so"))
_answers = queue.SimpleQueue()


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _answer(context):
    _answers.put(context)


def use():
    """To the end of the thread that did it: what is left cannot be seen."""
    work(1)
    while len(os.listdir("/proc/self/task")) > 1:
        time.sleep(0.01)


def use_synchronously():
    _library.dispatch_sync_f(None, ctypes.c_void_p(1), _answer)
    _answers.get()


def work(number):
    _library.dispatch_async_f(None, ctypes.c_void_p(number), _answer)
    return _answers.get()


def right_answer(number):
    return number
