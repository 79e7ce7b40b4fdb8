"""A connection with TLS: two ends that count what they send."""

import functools
import os
import socket
import ssl


@functools.lru_cache(None)
def connection():
    host, port = os.environ["CASE_ADDRESS"].split(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection((host, int(port))))


def work(number):
    connection().sendall(b"%d\n" % number)
    return connection().recv(100).decode()


def right_answer(number):
    return f"{number}\n"
