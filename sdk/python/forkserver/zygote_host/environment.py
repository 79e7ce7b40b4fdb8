"""The environment of a worker: compared with the zygote's, then its own."""

from typing import Dict, Iterable, List, Mapping, NamedTuple

from forkserver.errors import StaleEnvironment
from forkserver.originals import os, time
from forkserver.zygote_host import system


class FrozenEnvironment:
    """The variables that the zygote's libraries read when they were loaded.

    `environment`: as the zygote was started. `patterns`: a name, or a start
    of names with `*` after it.
    """

    def __init__(self, environment: Mapping[str, str],
                 patterns: Iterable[str]) -> None:
        self._names = set()
        prefixes = []
        for pattern in patterns:
            if pattern.endswith("*"):
                prefixes.append(pattern[:-1])
            else:
                self._names.add(pattern)
        self._prefixes = tuple(prefixes)
        self.environment = dict(environment)
        self._frozen = self._select(environment)

    def check(self, wanted: Mapping[str, str]) -> None:
        """Raises StaleEnvironment, which names the variables."""
        if wanted == self.environment:
            return
        theirs = self._select(wanted)
        ours = self._frozen
        if theirs == ours:
            return
        differences = []
        for name in sorted(set(ours) | set(theirs)):
            if name not in theirs:
                differences.append(f"{name} (removed)")
            elif name not in ours:
                differences.append(f"{name} (added)")
            elif ours[name] != theirs[name]:
                differences.append(f"{name} (changed)")
        raise StaleEnvironment(
            "frozen variables are not the zygote's: " + ", ".join(differences),
            hint="restart the zygote with this environment, or send its own")

    def _select(self, environment: Mapping[str, str]) -> Dict[str, str]:
        names, prefixes = self._names, self._prefixes
        return {
            name: value for name, value in environment.items()
            if name.startswith(prefixes) or name in names
        }


def parse_environment(variables: List[str]) -> Dict[str, str]:
    """From NAME=value. Of a name that is there twice the first counts."""
    parsed: Dict[str, str] = {}
    for variable in variables:
        name, equals, value = variable.partition("=")
        if equals and name and name not in parsed:
            parsed[name] = value
    return parsed


class EnvironmentPlan(NamedTuple):
    """What is to be done to os.environ. `clear`: all of libc's goes first."""
    clear: bool
    removed: List[str]
    changed: Dict[str, str]


class EnvironmentReplacer:
    """Replaces the process's variables. Made in the zygote, when it has
    loaded everything, and in a spare, when it has those of its zygote."""

    def __init__(self) -> None:
        self._base = dict(os.environ)
        # A library may have called setenv(3), which os.environ does not see.
        self._hidden = system.c_environment() != dict(os.environb)

    def plan(self, wanted: Mapping[str, str]) -> EnvironmentPlan:
        base = self._base
        if self._hidden:
            return EnvironmentPlan(True, list(base), dict(wanted))
        if base == wanted:
            return EnvironmentPlan(False, [], {})
        return EnvironmentPlan(
            False, [name for name in base if name not in wanted],
            {name: value for name, value in wanted.items()
             if base.get(name) != value})


def replace_environment(plan: EnvironmentPlan) -> None:
    """In the child. Never merged: a variable that was not sent is gone."""
    if plan.clear:
        system.clear_c_environment()
    for name in plan.removed:
        del os.environ[name]
    for name, value in plan.changed.items():
        os.environ[name] = value
    # libc has read it, once.
    if plan.clear or "TZ" in plan.changed or "TZ" in plan.removed:
        time.tzset()
