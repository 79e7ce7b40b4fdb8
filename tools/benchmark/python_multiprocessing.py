#!/usr/bin/python3
"""The start method forkserverd against fork, forkserver and spawn.

    tools/benchmark/python_multiprocessing.py [--rounds N] [--json FILE]

The four are measured in turn, sample by sample, each by a script of its own
with one warm server: Process start() to join(), with a script that imports
what programs do and with a bare one, and the creation of a Pool of 4. The
daemon is one of its own: forkserverd is looked for as the package
does (FORKSERVER_BIN, PATH). See docs/performance.md.
"""

import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile

FOLDER = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(FOLDER, "../../sdk/python")
METHODS = ("forkserverd", "fork", "forkserver", "spawn")
# Name, arguments and question of the contender, share of the rounds, {method:
# how many times slower it shall be}.
CASES = (
    ("process", [], b"p", 1.0, {"forkserver": 2.5, "spawn": 6.0}),
    ("process/bare", ["bare"], b"p", 1.0, {}),
    ("pool(4)", [], b"o", 0.3, {"forkserver": 3.0}),
)


class Contender:

    def __init__(self, method, arguments, environment):
        self._process = subprocess.Popen(
            [sys.executable, os.path.join(FOLDER,
                                          "multiprocessing_contender.py"),
             method, *arguments], env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)

    def measure_ms(self, question):
        self._process.stdin.write(question)
        self._process.stdin.flush()
        answer = self._process.stdout.read(8)
        if len(answer) < 8:
            sys.exit("a contender ended")
        return struct.unpack("=q", answer)[0] / 1e6

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def measure(contenders, question, rounds):
    """{method: [milliseconds]}; the first round is not counted."""
    samples = {method: [] for method in METHODS}
    for number in range(rounds + 1):
        for method in METHODS:
            elapsed_ms = contenders[method].measure_ms(question)
            if number:
                samples[method].append(elapsed_ms)
    return samples


def report(name, samples, aims):
    """Prints a table; returns its rows."""
    medians = {method: statistics.median(values)
               for method, values in samples.items()}
    rows = []
    for method in METHODS:
        aim = aims.get(method)
        ratio = medians[method] / medians["forkserverd"]
        rows.append({"name": f"{name}/{method}", "unit": "ms",
                     "samples": len(samples[method]),
                     "median": medians[method], "least": min(samples[method]),
                     "times_forkserverd": ratio, "aim": aim,
                     "met": None if aim is None else ratio >= aim})
        print(f"{name + '/' + method:24} {medians[method]:9.2f} ms"
              f" {ratio:7.2f} x forkserverd" +
              ("" if aim is None else
               f"   aim >= {aim} {'met' if ratio >= aim else 'MISSED'}"))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="fs", dir="/tmp")
    environment = dict(
        os.environ, FORKSERVER_SOCKET=os.path.join(folder, "d.sock"),
        PYTHONPATH=os.pathsep.join(
            [PACKAGE] + os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    rows = []
    try:
        for name, arguments, question, share, aims in CASES:
            contenders = {method: Contender(method, arguments, environment)
                          for method in METHODS}
            try:
                rounds = max(3, int(options.rounds * share))
                samples = measure(contenders, question, rounds)
            finally:
                for each in contenders.values():
                    each.close()
            rows += report(name, samples, aims)
    finally:
        stop_daemon(environment["FORKSERVER_SOCKET"])
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=2)


def stop_daemon(socket):
    sys.path.insert(0, PACKAGE)
    import forkserver
    try:
        with forkserver.connect(socket, autostart=False) as client:
            client.shutdown()
    except forkserver.Error:
        pass


if __name__ == "__main__":
    main()
