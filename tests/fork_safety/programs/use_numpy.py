"""A product of matrices, big enough for all threads of OpenBLAS."""

import numpy


def work(number):
    ones = numpy.ones((300, 300))
    return int((number * ones).dot(ones).sum())


def right_answer(number):
    return number * 300 ** 3
