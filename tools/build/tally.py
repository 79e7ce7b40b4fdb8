#!/usr/bin/python3
"""Counts test cases: those in Bazel's test logs, and the steps of tools/test.

  tally.py --events FILE --bazel-status N --steps FILE

FILE of --events is what `bazel --build_event_json_file` wrote; FILE of --steps
has one line per step: status, name, reason, with tabs between. Prints what
failed, what was skipped and why, and as its last line

  N passed, N failed, N skipped

Exit status 1 if anything failed. With CI=true, a skip whose reason does not
start with "kernel:" or "os:" is a failure.

A target that did not build, crashed or timed out has no summary to count: it
is one failed test case, never none.
"""

import argparse
import ast
import dataclasses
import json
import os
import re
import sys
import urllib.parse

ANSI = re.compile(r"\x1b\[[0-9;]*m")
DOCTEST = re.compile(r"^\[doctest\] test cases:\s*\d+\s*\|\s*(\d+) passed"
                     r"\s*\|\s*(\d+) failed\s*(?:\|\s*(\d+) skipped)?",
                     re.MULTILINE)
DOCTEST_FAILED = re.compile(r"^TEST CASE:  (.*)$", re.MULTILINE)
# A name may hold ": " too; the usual starts of a reason tell where it ends.
DOCTEST_SKIPPED = (re.compile(r"^SKIPPED: (.+?): ((?:kernel|os): .*)$"),
                   re.compile(r"^SKIPPED: (.+?): (.*)$"))
# Bazel reports no event for a BUILD file that it cannot read.
BAD_PACKAGE = re.compile(
    r"(?:package contains errors: |error loading package ')([^\s']+)")
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n+"
                      r"^(?:OK|FAILED|NO TESTS RAN)(?: \((.*)\))?$",
                      re.MULTILINE)
UNITTEST_FAILED = re.compile(r"^(?:FAIL|ERROR|UNEXPECTED SUCCESS): (.*)$",
                             re.MULTILINE)
UNITTEST_SKIPPED = re.compile(r"^(.*?)\.\.\. skipped (['\"].*['\"])$",
                              re.MULTILINE)
# The last line of `forkserver test`.
HARNESS = re.compile(r"^(?:PASSED|FAILED|INTERRUPTED|NO TESTS)  "
                     r"([\d,]+) passed(.*)  of ([\d,]+) tests? in .*$",
                     re.MULTILINE)
HARNESS_SKIPPED = re.compile(r", ([\d,]+) skipped")
# unittest does not count these among the tests that it ran.
UNITTEST_FIXTURE = re.compile(r"^(?:setUp|tearDown)(?:Class|Module) ")


@dataclasses.dataclass
class Count:
    passed: int = 0
    failures: list = dataclasses.field(default_factory=list)
    skips: list = dataclasses.field(default_factory=list)  # (name, reason)

    def add(self, other):
        self.passed += other.passed
        self.failures += other.failures
        self.skips += other.skips


def pad(names, count, unnamed):
    """Exactly `count` names, for a log that names more or fewer."""
    names = list(dict.fromkeys(names))[:count]
    return names + [unnamed] * (count - len(names))


def count_doctest(log, summary):
    passed, failed, filtered = (int(n or 0) for n in summary.groups())
    skips = {}
    for line in log.splitlines():
        found = next(filter(None, (p.match(line) for p in DOCTEST_SKIPPED)),
                     None)
        if found:
            skips[found.group(1)] = found.group(2)
    failures = pad((n.strip() for n in DOCTEST_FAILED.findall(log)), failed,
                   "a test case")
    skips = [(n, r) for n, r in skips.items() if n not in failures]
    passed = max(0, passed - len(skips))
    skips += [("a test case", "switched off in its source")] * filtered
    return Count(passed, failures, skips)


def count_unittest(log, summary):
    ran = int(summary.group(1))
    outcomes = dict.fromkeys(
        ("failures", "errors", "unexpected successes", "skipped"), 0)
    for outcome in (summary.group(2) or "").split(", "):
        name, _, number = outcome.partition("=")
        if name in outcomes:
            outcomes[name] = int(number)
    skipped = outcomes.pop("skipped")
    failed = sum(outcomes.values())
    failures = pad(UNITTEST_FAILED.findall(log), failed, "a test case")
    skips = [(name.strip(), ast.literal_eval(reason))
             for name, reason in UNITTEST_SKIPPED.findall(log)][:skipped]
    skips += [("a test case", "no reason in the log")] * (skipped - len(skips))
    outside = sum(
        bool(UNITTEST_FIXTURE.match(name))
        for name in failures + [n for n, _ in skips])
    passed = max(0, ran - failed - skipped + outside)
    return Count(passed, failures, skips)


def count_harness(_, summary):
    passed, planned = (int(summary.group(group).replace(",", ""))
                       for group in (1, 3))
    skipped = HARNESS_SKIPPED.search(summary.group(2))
    skipped = int(skipped.group(1).replace(",", "")) if skipped else 0
    return Count(passed, ["a test case"] * (planned - passed - skipped),
                 [("a test case", "switched off in its source")] * skipped)


def count_log(log, status):
    """The test cases of one run of one test target."""
    log = ANSI.sub("", log)
    summaries = [(m.start(), count_doctest, m) for m in DOCTEST.finditer(log)]
    summaries += [(m.start(), count_unittest, m)
                  for m in UNITTEST.finditer(log)]
    summaries += [(m.start(), count_harness, m) for m in HARNESS.finditer(log)]
    good = status in ("PASSED", "FLAKY")
    if not summaries:
        return Count(1) if good else Count(failures=[f"({status})"])
    # Programs that the test ran may have printed summaries before its own.
    _, count_summary, summary = max(summaries, key=lambda s: s[0])
    count = count_summary(log, summary)
    if not good and not count.failures:
        count.failures.append(f"({status}, though no test case failed)")
    if good and count.failures:
        count.failures.append("(failed test cases in a target that passed)")
    if not (count.passed or count.failures or count.skips):
        count.failures.append("(ran no test case)")
    return count


def read_log(files):
    for file in files:
        url = urllib.parse.urlparse(file.get("uri", ""))
        if file.get("name") == "test.log" and url.scheme == "file":
            try:
                with open(urllib.parse.unquote(url.path),
                          encoding="utf-8",
                          errors="replace") as log:
                    return log.read()
            except OSError:
                pass
    return ""


def label_of(event_id):
    """The label an event is about, or None."""
    for value in event_id.values():
        if isinstance(value, dict) and "label" in value:
            return value["label"]
    return None


def reason_of(aborted):
    text = aborted.get("description") or aborted.get("reason", "aborted")
    return text.splitlines()[0]


def count_events(events):
    count = Count()
    runs = {}
    not_built = {}
    messages = ""
    for event in events:
        event_id = event.get("id", {})
        label = label_of(event_id)
        if "testResult" in event:
            key = event_id["testResult"]
            runs[label, key.get("run", 1),
                 key.get("shard", 1)] = event["testResult"]
        elif "progress" in event:
            messages += event["progress"].get("stderr", "")
        elif "aborted" in event and "pattern" in event_id:
            patterns = " ".join(event_id["pattern"].get("pattern", []))
            not_built[patterns] = "(" + reason_of(event["aborted"]) + ")"
        elif "aborted" in event and "targetCompleted" in event_id:
            # SKIPPED: the target is not meant for this platform.
            if event["aborted"].get("reason") != "SKIPPED":
                not_built[label] = "(" + reason_of(event["aborted"]) + ")"
        elif "targetCompleted" in event_id:
            if not event.get("completed", {}).get("success"):
                not_built[label] = "(did not build)"
    for (label, _, _), result in sorted(runs.items()):
        status = result.get("status", "NO_STATUS")
        if status == "FAILED_TO_BUILD" or label in not_built:
            continue
        found = count_log(read_log(result.get("testActionOutput", [])), status)
        count.add(
            Count(found.passed, [f"{label} {f}" for f in found.failures],
                  [(f"{label} {n}", r) for n, r in found.skips]))
    for package in BAD_PACKAGE.findall(messages):
        not_built[f"//{package}"] = "(its BUILD file cannot be read)"
    count.failures += [f"{n} {r}" for n, r in not_built.items()]
    return count


def count_steps(lines):
    count = Count()
    for line in lines:
        status, name, reason = line.rstrip("\n").split("\t")
        if status == "passed":
            count.passed += 1
        elif status == "skipped":
            count.skips.append((name, reason))
        else:
            count.failures.append(f"{name} ({reason})")
    return count


def refuse_avoidable_skips(count):
    """What CI lacks by its own fault is a failure there."""
    unavoidable = []
    for name, reason in count.skips:
        if reason.startswith(("kernel:", "os:")):
            unavoidable.append((name, reason))
        else:
            count.failures.append(f"{name} (skipped in CI: {reason})")
    count.skips = unavoidable


def parse_events(path):
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                try:
                    yield json.loads(line)
                except ValueError:  # Cut off: bazel was killed.
                    pass
    except OSError:
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", required=True)
    parser.add_argument("--bazel-status", type=int, required=True)
    parser.add_argument("--steps", required=True)
    options = parser.parse_args()

    count = count_events(parse_events(options.events))
    if options.bazel_status != 0 and not count.failures:
        count.failures.append(f"bazel (exit status {options.bazel_status})")
    with open(options.steps, encoding="utf-8") as file:
        count.add(count_steps(file))
    if os.environ.get("CI") == "true":
        refuse_avoidable_skips(count)

    for failure in count.failures:
        print(f"FAILED   {failure}")
    for name, reason in count.skips:
        print(f"SKIPPED  {name}: {reason}")
    print(f"{count.passed} passed, {len(count.failures)} failed,"
          f" {len(count.skips)} skipped")
    return 1 if count.failures else 0


if __name__ == "__main__":
    sys.exit(main())
