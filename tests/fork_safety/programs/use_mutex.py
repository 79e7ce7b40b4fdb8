"""A library of C++ whose thread holds its mutex when the parent forks."""

import ctypes
import os

_library = ctypes.CDLL(os.path.join(os.environ["CASE_LIBRARIES"],
                                    "libheld_mutex.so"))


def use():
    _library.StartLongWork()


def work(_number):
    return _library.CountWork()


def right_answer(_number):
    return 1
