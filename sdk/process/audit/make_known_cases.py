"""Writes known_cases.json as C++ data: make_known_cases.py TABLE > FILE

A row that names nothing to look for, or a key that nobody reads, is an error.
"""

import json
import sys

PATTERNS = ("thread", "thread_of", "library", "descriptor", "explains",
            "environment")
TEXTS = ("id", "title", "asks", "why", "advice", "source")
FLAGS = ("survives", "unanswerable")
OTHERS = ("debian",)  # for people and tests: which package brings it


def check(row):
    unknown = set(row) - set(PATTERNS + TEXTS + FLAGS + OTHERS)
    if unknown:
        sys.exit(f"row {row.get('id')}: unknown keys {sorted(unknown)}")
    if not any(row.get(key) for key in PATTERNS):
        sys.exit(f"row {row.get('id')}: names nothing to look for")
    for key in ("id", "title", "why", "source"):
        if not row.get(key):
            sys.exit(f"row {row.get('id')}: has no {key}")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = json.load(file)
    print('#include "sdk/process/audit/known_cases.h"\n')
    print("namespace forkserver::audit {\n")
    print("const std::vector<KnownCase>& KnownCases() {")
    print("  static const std::vector<KnownCase> cases = {")
    for row in rows:
        check(row)
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
