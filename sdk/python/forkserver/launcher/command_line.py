"""python's command line, as far as a forked worker can do what it says."""

import os
from typing import List, NamedTuple, Optional

# Of the interpreter: they are its zygote's. What is in neither text (-i, -v,
# -h, -V, -x, long options) is left to python itself.
_FLAGS = "bBEIOPqsSu"
_FLAGS_WITH_VALUE = "WX"


class Command(NamedTuple):
    """`kind` is "-c", "-m" or "script"; `argv` what follows."""
    flags: List[str]
    kind: str
    target: str
    argv: List[str]


def parse(words: List[str]) -> Optional[Command]:
    """None: only python itself can do it."""
    flags: List[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "-" or word.startswith("--"):
            return None
        if not word.startswith("-"):
            return _script(flags, word, rest)
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in _FLAGS:
                flags.append("-" + letter)
                continue
            if letter not in _FLAGS_WITH_VALUE + "cm":
                return None
            if not letters and not rest:
                return None  # python says what is missing
            value = letters or rest.pop(0)
            letters = ""
            if letter in "cm":
                return Command(flags, "-" + letter, value, rest)
            flags += ["-" + letter, value]
    return None  # the program is on standard input


def _script(flags: List[str], path: str,
            rest: List[str]) -> Optional[Command]:
    # What cannot be read is for python to complain about.
    if not os.access(path, os.R_OK):
        return None
    return Command(flags, "script", path, rest)
