"""A handle of libcurl, which keeps its connection open."""

import os

import pycurl

_handle = pycurl.Curl()
_handle.setopt(pycurl.PROXY, "")


def work(number):
    for step in range(20):
        asked = f"/{number}/{step}"
        _handle.setopt(pycurl.URL, os.environ["CASE_ADDRESS"] + asked)
        answer = _handle.perform_rs()
        if answer != asked:
            return f"{answer} for {asked}"
    return "as asked"


def right_answer(_number):
    return "as asked"
