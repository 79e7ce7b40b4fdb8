"""What a caller wants of a Python zygote, beyond what the wire has words for.

It travels as one argument of the zygote's command line, in JSON, and so is a
part of the zygote's identity; that of a nested zygote in the `args` of its
setup.
"""

import dataclasses
import json
from typing import Any, Dict, List, Optional


@dataclasses.dataclass
class Settings:
    """`main`: of main_module.describe_main(). Hooks are
    "module:function". `tests`: of forkserver.test_zygote.request."""
    main: Optional[Dict[str, str]] = None
    before_freeze: List[str] = dataclasses.field(default_factory=list)
    after_fork: List[str] = dataclasses.field(default_factory=list)
    known_threads: List[Any] = dataclasses.field(default_factory=list)
    faulthandler: bool = False
    tests: Optional[Dict[str, Any]] = None

    def to_json(self) -> str:
        """Without what has its default."""
        return json.dumps({
            each.name: getattr(self, each.name)
            for each in dataclasses.fields(self)
            if getattr(self, each.name) not in (None, [], False)
        }, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        """Ignores what it does not know: the caller may be newer."""
        known = {each.name for each in dataclasses.fields(cls)}
        values = json.loads(text) if text else {}
        return cls(**{key: value for key, value in values.items()
                      if key in known})
