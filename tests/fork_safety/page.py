"""The table of docs/fork_safety.md, from what fork_safety_test saw.

    bazel test //tests/fork_safety:fork_safety_test
    python3 tests/fork_safety/page.py RESULTS.json

RESULTS.json is in the test's outputs (bazel-testlogs/.../outputs.zip), or by
hand in the folder TEST_UNDECLARED_OUTPUTS_DIR.
"""

import json
import os
import sys

from cases import CASES

BEGIN = "<!-- Written by tests/fork_safety/page.py: begin -->\n"
END = "<!-- Written by tests/fork_safety/page.py: end -->\n"
# The ways of fork_safety_test.py, and their columns' titles.
COLUMNS = {
    "stock_fork": "a forked child",
    "doctor": "`forkserver doctor` before",
    "guard": "`forkserver guard` at the fork",
    "clean_worker": "a worker instead",
}


def line_of(cells):
    return "| " + " | ".join(cells) + " |\n"


def table_of(page):
    """{what the parent used: {column: text}}, in the order of the page."""
    text = page.partition(BEGIN)[2].partition(END)[0]
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")]
            for line in text.splitlines()[2:]]
    return {row[0]: dict(zip(COLUMNS, row[1:])) for row in rows}


def written(page, results):
    """The page with the table of `results`: {case's name: {column: text}}."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit("the page has no place for the table")
    lines = [line_of(["the parent used", *COLUMNS.values()]),
             "|---" * (1 + len(COLUMNS)) + "|\n"]
    lines += [line_of([case.used] + [results[case.name][column]
                                     for column in COLUMNS])
              for case in CASES]
    return before + begin + "".join(lines) + end + after


def main():
    page = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                        "../../docs/fork_safety.md")
    with open(sys.argv[1], encoding="utf-8") as file:
        results = json.load(file)
    with open(page, encoding="utf-8") as file:
        text = written(file.read(), results)
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
