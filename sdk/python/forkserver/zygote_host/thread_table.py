"""What the user of a zygote says of its threads: `known_threads=` of
Client.zygote. Of all others the audit of the daemon judges.

A list of rules, the first that matches a thread decides. A rule has shell
patterns for one or more of

    thread    the name of the thread (Python's, or the kernel's: 15 bytes)
    library   the file name of the library that started a native thread
    module    the module that started a Python thread

and `safe` (true where it is left out) and `why`. A text stands for
{"thread": text, "safe": true}.
"""

import fnmatch
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Union

from forkserver.errors import BadRequest
from forkserver.originals import os

Rule = Dict[str, Any]
_PATTERNS = ("thread", "library", "module")
_KEYS = {"name", "safe", "why", *_PATTERNS}


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


def find_rule(rules: Iterable[Rule], thread: Thread) -> Optional[Rule]:
    for rule in rules:
        if _matches(rule, thread):
            return rule
    return None


def _matches(rule: Rule, thread: Thread) -> bool:
    for key, value in (("thread", thread.name), ("module", thread.module),
                       ("library", os.path.basename(thread.library))):
        pattern = rule.get(key)
        if pattern and not fnmatch.fnmatchcase(value, pattern):
            return False
    return True

