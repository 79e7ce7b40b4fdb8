"""A session of requests, which keeps its connection open."""

import os

import requests

_session = requests.Session()
_session.trust_env = False


def work(number):
    for step in range(20):
        asked = f"/{number}/{step}"
        answer = _session.get(
            "http://" + os.environ["CASE_ADDRESS"] + asked).text
        if answer != asked:
            return f"{answer} for {asked}"
    return "as asked"


def right_answer(_number):
    return "as asked"
