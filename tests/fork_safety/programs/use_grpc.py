"""Calls of gRPC. The parent's channel is open; each child opens its own."""

import os

import grpc

_channels = []


def work(number):
    _channels.append(grpc.insecure_channel(os.environ["CASE_ADDRESS"]))
    echo = _channels[-1].unary_unary("/case.Echo/Say")
    return echo(str(number).encode(), timeout=20).decode()


def right_answer(number):
    return str(number)
