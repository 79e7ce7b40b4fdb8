#!/usr/bin/python3
"""Makes a page out of its files, as a function of C++ that returns its text.

  embed_page.py OUTPUT HEADER NAMESPACE FUNCTION PAGE.html FILE.css... FILE.js...

In the page a line `@css@` stands for the style sheets, `@js@` for the scripts,
in the order in which they are given.
"""

import os
import sys


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def together(paths, end):
    """The files as one text, with comments that say which is which."""
    text = ""
    for path in paths:
        content = read(path)
        if end in content or "<!--" in content:
            sys.exit(f"{path}: {end} and <!-- cannot be in it")
        text += f"/* {os.path.basename(path)} */\n{content}"
    return text


def literal(text):
    """A C++ string, in pieces that every compiler takes."""
    size = 1000
    pieces = (text[i:i + size] for i in range(0, len(text), size))
    return "\n".join(
        '    "' + piece.encode("unicode_escape").decode().replace('"', '\\"') +
        '"' for piece in pieces)


def main():
    output, header, namespace, function, *paths = sys.argv[1:]
    page = next(p for p in paths if p.endswith(".html"))
    text = read(page)
    for mark, extension, end in (("@css@\n", ".css", "</style"),
                                 ("@js@\n", ".js", "</script")):
        if text.count(mark) != 1:
            sys.exit(f"{page}: {mark.strip()} must be in it once")
        files = [p for p in paths if p.endswith(extension)]
        text = text.replace(mark, together(files, end))
    if not text.isascii():
        odd = next(c for c in text if not c.isascii())
        sys.exit(f"the page has {odd!r}: write it as an escape")
    with open(output, "w", encoding="utf-8") as file:
        file.write(f'#include "{header}"\n\n'
                   f"namespace forkserver::{namespace} {{\n\n"
                   f"std::string_view {function}() {{\n  return\n" +
                   literal(text) + ";\n}\n\n"
                   f"}}  // namespace forkserver::{namespace}\n")


if __name__ == "__main__":
    main()
