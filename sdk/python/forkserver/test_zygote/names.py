"""Names of tests, as the harness can have them."""

import os
from typing import Dict, Iterable, List


def unique(names: Iterable[str]) -> List[str]:
    """The second of a name is `NAME (2)`."""
    seen: Dict[str, int] = {}
    result = []
    for name in names:
        number = seen[name] = seen.get(name, 0) + 1
        chosen = name
        while number > 1:
            chosen = f"{name} ({number})"
            if chosen not in seen:
                seen[chosen] = 1
                break
            number += 1
        result.append(chosen)
    return result


def travelling(text: str) -> str:
    """Without what a message cannot carry: surrogates that stand for no
    byte."""
    try:
        text.encode("utf-8", "surrogateescape")
        return text
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()


def relative(path: str) -> str:
    """To the working directory, if it is below that."""
    path = os.path.abspath(path) if path else ""
    folder = os.path.join(os.getcwd(), "")
    return travelling(path[len(folder):] if path.startswith(folder) else path)
