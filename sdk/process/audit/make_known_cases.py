"""Writes known_cases.json as C++ data, or as a part of docs/fork_safety.md.

    make_known_cases.py TABLE > FILE
    make_known_cases.py TABLE --page docs/fork_safety.md

A row that names nothing to look for, or a key that nobody reads, is an error.
"""

import json
import sys

PATTERNS = ("thread", "thread_of", "library", "descriptor", "explains",
            "environment")
TEXTS = ("id", "title", "asks", "why", "advice", "source")
FLAGS = ("survives",)
OTHERS = ("debian",)  # for people and tests: which package brings it
BEGIN = "<!-- Written by make_known_cases.py: begin -->\n"
END = "<!-- Written by make_known_cases.py: end -->\n"


def check(row):
    unknown = set(row) - set(PATTERNS + TEXTS + FLAGS + OTHERS)
    if unknown:
        sys.exit(f"row {row.get('id')}: unknown keys {sorted(unknown)}")
    if not any(row.get(key) for key in PATTERNS):
        sys.exit(f"row {row.get('id')}: names nothing to look for")
    for key in ("id", "title", "why", "source"):
        if not row.get(key):
            sys.exit(f"row {row.get('id')}: has no {key}")


def section(row):
    what = "survives a fork" if row.get("survives") else "in a forked child"
    if row.get("environment"):
        what = "a work-around"
    title = row["title"][0].upper() + row["title"][1:]
    text = f"### {row['id']}\n\n**{title}**, {what}: {row['why']}.\n"
    if row.get("advice"):
        text += f"What to do: {row['advice']}.\n"
    return text + f"Source: {row['source']}.\n\n"


def write_page(rows, path):
    with open(path, encoding="utf-8") as file:
        before, begin, rest = file.read().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{path} has no place for the table")
    sections = "".join(section(row) for row in rows)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{begin}\n{sections}{end}{after}")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = json.load(file)
    for row in rows:
        check(row)
    if sys.argv[2:3] == ["--page"]:
        write_page(rows, sys.argv[3])
        return
    print('#include "sdk/process/audit/known_cases.h"\n')
    print("namespace forkserver::audit {\n")
    print("const std::vector<KnownCase>& KnownCases() {")
    print("  static const std::vector<KnownCase> cases = {")
    for row in rows:
        fields = [f".{key} = {json.dumps(row.get(key, ''))}" for key in TEXTS]
        fields += [f".{key} = {{{', '.join(map(json.dumps, row.get(key, [])))}}}"
                   for key in PATTERNS]
        fields += [f".{key} = {json.dumps(row.get(key, False))}"
                   for key in FLAGS]
        print("      {" + ",\n       ".join(fields) + "},")
    print("  };\n  return cases;\n}\n")
    print("}  // namespace forkserver::audit")


if __name__ == "__main__":
    main()
