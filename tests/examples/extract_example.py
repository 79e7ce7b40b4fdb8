#!/usr/bin/python3
"""Prints the program in the comment that opens a header.

  extract_example.py NAME.h FILE...     the FILE of that name

The program is the lines indented as "//   ", from the first #include to the
"}" that ends main.
"""

import os
import re
import sys


def extract(header):
    lines = []
    for line in header.splitlines():
        match = re.fullmatch(r"//(?:   (.*))?", line)
        code = (match.group(1) or "") if match else None
        if not lines and not (code or "").startswith("#include"):
            if not line.startswith("//"):
                break
            continue
        if code is None:
            raise SystemExit(f"the example is cut off by: {line}")
        lines.append(code)
        if code == "}" and any("int main(" in line for line in lines):
            return "\n".join(lines) + "\n"
    raise SystemExit("no complete example at the top of the header")


def main():
    wanted, *paths = sys.argv[1:]
    [path] = [path for path in paths if os.path.basename(path) == wanted]
    with open(path, encoding="utf-8") as file:
        sys.stdout.write(extract(file.read()))


if __name__ == "__main__":
    main()
