"""What the harness wants of a zygote with tests."""

from dataclasses import dataclass, field, fields
from typing import Any, Dict, List, Optional

UNITTEST = "unittest"
PYTEST = "pytest"


@dataclass
class Request:
    """`tests` of the zygote's settings.

    target     a file, a folder, a dotted name, FILE::NAME; relative to the
               zygote's working directory
    framework  "unittest", "pytest"; empty: it is found out
    arguments  further ones for the framework
    """
    target: str = ""
    framework: str = ""
    arguments: List[str] = field(default_factory=list)

    @classmethod
    def of(cls, settings: Optional[Dict[str, Any]]) -> "Request":
        """Ignores what it does not know: the harness may be newer."""
        known = {each.name for each in fields(cls)}
        return cls(**{key: value for key, value in (settings or {}).items()
                      if key in known})


class TestsNotFound(Exception):
    """The tests cannot be loaded, for a reason that a person can do something
    about; the message is for the list's `errors`."""
