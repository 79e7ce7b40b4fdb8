"""Which threads survive a fork of their process, and which libraries do not.

known_threads.json is the table: a list of rules, the first that matches a
thread decides. A rule has shell patterns for one or more of

    thread    the name of the thread (Python's, or the kernel's: 15 bytes)
    library   the file name of the library that started a native thread
    module    the module that started a Python thread

and `safe`, `why`. A thread that no rule matches is not safe. With
`multithreaded_symbol` a rule is about the library itself: the function of that
name says whether it was used in a way that no child survives, even if it has
no thread any more.

`known_threads=` of Client.zygote puts rules before those of the table. A text
stands for {"thread": text, "safe": true}.
"""

import ctypes
import fnmatch
import json
import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple, Union

from forkserver.errors import BadRequest

Rule = Dict[str, Any]
_PATTERNS = ("thread", "library", "module")
_KEYS = {"name", "safe", "why", "multithreaded_symbol", *_PATTERNS}
_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                     "known_threads.json")


class Thread(NamedTuple):
    """`module`: that started a Python thread. `library`: that started a
    native one. `step`: after which it was there first."""
    id: int
    name: str
    module: str = ""
    library: str = ""
    step: str = ""

    def describe(self) -> str:
        text = f"'{self.name}'"
        if self.module:
            text += f", a Python thread started by module {self.module}"
        elif self.library:
            text += f", started by {self.library}"
        if self.step:
            text += f", in {self.step}"
        return text


def check_rules(rules: Iterable[Union[str, Rule]]) -> List[Rule]:
    """Whole rules. Raises BadRequest."""
    checked: List[Rule] = []
    for rule in rules:
        if isinstance(rule, str):
            rule = {"thread": rule}
        if not isinstance(rule, dict) or not set(rule) <= _KEYS:
            raise BadRequest(f"known_threads: {rule!r} is neither a name nor a "
                             "rule of " + ", ".join(sorted(_KEYS)))
        if not any(rule.get(key) for key in _PATTERNS):
            raise BadRequest(f"known_threads: {rule!r} has none of " +
                             ", ".join(_PATTERNS))
        checked.append({"safe": True, "why": "known_threads", **rule})
    return checked


class ThreadTable:
    """The rules that hold for one zygote."""

    def __init__(self, rules: Iterable[Union[str, Rule]] = ()) -> None:
        with open(_FILE, encoding="utf-8") as file:
            self._rules = check_rules(rules) + check_rules(json.load(file))

    def rule_for(self, thread: Thread) -> Optional[Rule]:
        for rule in self._rules:
            if "multithreaded_symbol" not in rule and _matches(rule, thread):
                return rule
        return None

    def is_safe(self, thread: Thread) -> bool:
        rule = self.rule_for(thread)
        return bool(rule and rule["safe"])

    def used_libraries(self, paths: Iterable[str]) -> List[Tuple[str, str]]:
        """(library, why) of the mapped ones that no child survives."""
        found = []
        for path in sorted(set(paths)):
            for rule in self._rules:
                symbol = rule.get("multithreaded_symbol")
                if (symbol and fnmatch.fnmatchcase(os.path.basename(path),
                                                   rule.get("library", "")
                                                   ) and
                        _ask_library(path, symbol)):
                    found.append((path, rule["why"]))
        return found


def _matches(rule: Rule, thread: Thread) -> bool:
    for key, value in (("thread", thread.name), ("module", thread.module),
                       ("library", os.path.basename(thread.library))):
        pattern = rule.get(key)
        if pattern and not fnmatch.fnmatchcase(value, pattern):
            return False
    return True


def _ask_library(path: str, symbol: str) -> bool:
    noload = getattr(os, "RTLD_NOLOAD", 0)
    try:
        function = getattr(ctypes.CDLL(path, noload | os.RTLD_LAZY), symbol)
    except (OSError, AttributeError):
        return False
    function.restype = ctypes.c_bool
    return bool(function())
