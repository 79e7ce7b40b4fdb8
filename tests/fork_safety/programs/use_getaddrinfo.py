"""Threads that look names up, with a lock of glibc held nearly all the time.

It is the one of __check_pf(), which asks the kernel for its addresses:
AI_ADDRCONFIG needs them, without any network or name server.
"""

import socket
import threading


def look_up():
    return socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM,
                              flags=socket.AI_ADDRCONFIG)[0][4]


def look_up_for_ever():
    while True:
        look_up()


def use():
    for _ in range(8):
        threading.Thread(target=look_up_for_ever, daemon=True).start()


def work(_number):
    for _ in range(20):
        address = look_up()
    return list(address)


def right_answer(_number):
    return ["127.0.0.1", 80]
