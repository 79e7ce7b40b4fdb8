#!/usr/bin/python3
"""Makes the page forkserverd(1) of its template and of what --help prints.

  make_manual.py TEMPLATE HELP >PAGE
"""

import re
import sys
import textwrap

OPTION = re.compile(r"^  (--[a-z-]+)(?: ([A-Z]+))?(?: +(\S.*))?$")
FURTHER_OPTION = re.compile(r"^  (--[a-z-]+), (--[a-z-]+)$")
EXIT_CODES = "exit codes: "


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def filled(text):
    """Its lines: mdoc wants each sentence to begin one."""
    return [
        escape(line) for sentence in re.split(r"(?<=\.) ", text)
        for line in textwrap.wrap(sentence, 76, break_on_hyphens=False,
                                  break_long_words=False)
    ]


def options_of(help_text):
    """[(names, value or None, description)]"""
    options = []
    for line in help_text.split("\n\nexit codes:")[0].splitlines():
        both = FURTHER_OPTION.match(line)
        option = OPTION.match(line)
        if both:
            options.append((both.groups(), None, "print that, and end"))
        elif option:
            options.append(((option[1],), option[2], option[3] or ""))
        elif line.startswith("   ") and options:
            names, value, text = options[-1]
            options[-1] = (names, value, f"{text} {line.strip()}".strip())
    return options


def exit_codes_of(help_text):
    """[(code, meaning)]"""
    text = " ".join(help_text.partition(EXIT_CODES)[2].split())
    return [tuple(part.split(" ", 1)) for part in text.split("; ")]


def make_page(template, help_text):
    options, codes = [], []
    for names, value, description in options_of(help_text):
        item = ".It " + " , ".join("Fl " + escape(name[1:]) for name in names)
        options += [item + (f" Ar {value}" if value else ""),
                    *filled(description)]
    for code, meaning in exit_codes_of(help_text):
        codes += [f".It {code}", *filled(meaning)]
    if not options or not codes:
        raise SystemExit("make_manual.py: nothing is known of the options")
    return (template.replace("@OPTIONS@", "\n".join(options)).replace(
        "@EXIT_CODES@", "\n".join(codes)))


def main():
    with open(sys.argv[1], encoding="utf-8") as template:
        with open(sys.argv[2], encoding="utf-8") as help_text:
            sys.stdout.write(make_page(template.read(), help_text.read()))


if __name__ == "__main__":
    main()
