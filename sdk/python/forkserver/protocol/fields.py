"""Message classes: dataclasses whose fields say how they travel.

    @message("hello")
    @dataclass
    class Hello(Message):
        min_protocol: int = required(INTEGER, MIN_PROTOCOL)
        client: str = optional(TEXT, "")

Keys are encoded in the order of the fields. Required keys are always sent and
their absence is an error; optional ones are left out when they have their
default. A text is a `str`; bytes that are no UTF-8 are in it as surrogates, as
Python's own file names have them. A key that is a word of Python's grammar is
an attribute with an underscore after it: `from_`.
"""

import dataclasses
from typing import (Any, Callable, ClassVar, Dict, List, Sequence, Tuple, Type,
                    TypeVar)

import msgpack

from forkserver.errors import BadRequest, Malformed, MissingKey
from forkserver.protocol import MAX_ARRAY, MAX_MAP, MAX_NESTING

M = TypeVar("M", bound="Message")

_INT64 = 1 << 63


class Kind:
    """How the values of a field travel."""

    expected = ""

    def encode(self, value: Any, where: str) -> Any:
        raise NotImplementedError

    def decode(self, value: Any, where: str) -> Any:
        """From what msgpack made: arrays are tuples."""
        raise NotImplementedError

    def refuse(self, value: Any, where: str) -> BadRequest:
        return BadRequest(
            f"'{where}' must be {self.expected}, not {_describe(value)}")


def _describe(value: Any) -> str:
    if value is None:
        return "nil"
    for types, words in ((bool, "a boolean"), (float, "a float"),
                         (str, "a string"), (bytes, "bytes"),
                         ((list, tuple), "an array"), (dict, "a map")):
        if isinstance(value, types):  # type: ignore[arg-type]
            return words
    if isinstance(value, int):
        return f"the integer {value}"
    return type(value).__name__


class _Integer(Kind):
    expected = "an integer in -2^63..2^63-1"

    def encode(self, value: Any, where: str) -> Any:
        if (isinstance(value, int) and value.__class__ is not bool and
                -_INT64 <= value < _INT64):
            return int(value)
        raise self.refuse(value, where)

    decode = encode


class _Boolean(Kind):
    expected = "a boolean"

    def encode(self, value: Any, where: str) -> Any:
        if value is True or value is False:
            return value
        raise self.refuse(value, where)

    decode = encode


class _Text(Kind):
    expected = "a string"

    def encode(self, value: Any, where: str) -> Any:
        if isinstance(value, str):
            return value
        if isinstance(value, bytes):
            return value.decode("utf-8", "surrogateescape")
        raise self.refuse(value, where)

    decode = encode


class _Binary(Kind):
    expected = "bytes"

    def encode(self, value: Any, where: str) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        raise self.refuse(value, where)

    def decode(self, value: Any, where: str) -> Any:
        if isinstance(value, bytes):
            return value
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        raise self.refuse(value, where)


class _Choice(Kind):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def encode(self, value: Any, where: str) -> Any:
        text = TEXT.encode(value, where)
        if text in self._words:
            return text
        raise BadRequest(f"'{where}' is '{text}', known are: " +
                         ", ".join(self._words))

    decode = encode


class _Nullable(Kind):

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def encode(self, value: Any, where: str) -> Any:
        return None if value is None else self._kind.encode(value, where)

    def decode(self, value: Any, where: str) -> Any:
        return None if value is None else self._kind.decode(value, where)


class _List(Kind):
    expected = "an array"

    def __init__(self, kind: Kind, most: int = MAX_ARRAY) -> None:
        self._kind = kind
        self._most = most

    def encode(self, value: Any, where: str) -> Any:
        if not isinstance(value, (list, tuple)):
            raise self.refuse(value, where)
        if len(value) > self._most:
            raise BadRequest(f"'{where}' has {len(value)} elements, the limit "
                             f"is {self._most}")
        encode = self._kind.encode
        return [encode(each, where) for each in value]

    def decode(self, value: Any, where: str) -> Any:
        if not isinstance(value, (list, tuple)):
            raise self.refuse(value, where)
        decode = self._kind.decode
        return [decode(each, where) for each in value]


class _Pair(Kind):
    """Two integers."""

    def __init__(self, expected: str) -> None:
        self.expected = expected

    def encode(self, value: Any, where: str) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise self.refuse(value, where)
        return tuple(INTEGER.encode(each, where) for each in value)

    decode = encode


class _Limits(Kind):
    """{"nofile": (soft, hard)}, sorted by name."""

    expected = "a map"
    _pair = _Pair("a map of pairs [soft, hard]")

    def encode(self, value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise self.refuse(value, where)
        limits = {
            TEXT.encode(name, where): self._pair.encode(limit, where)
            for name, limit in value.items()
        }
        return {name: limits[name] for name in sorted(limits)}

    decode = encode


class _Nested(Kind):
    expected = "a map"

    def __init__(self, cls: Type["Message"]) -> None:
        self._cls = cls

    def encode(self, value: Any, where: str) -> Any:
        if not isinstance(value, self._cls):
            raise BadRequest(f"'{where}' must be a {self._cls.__name__}, not "
                             f"{_describe(value)}")
        return value.to_wire(where)

    def decode(self, value: Any, where: str) -> Any:
        return self._cls.from_wire(value, where)


INTEGER = _Integer()
BOOLEAN = _Boolean()
TEXT = _Text()
BINARY = _Binary()
TEXTS = _List(TEXT)
INTEGERS = _List(INTEGER)
LIMITS = _Limits()
NULLABLE_INTEGER = _Nullable(INTEGER)
FD_PLACEMENTS = _List(_Pair("pairs [child_fd, index]"))


def choice(*words: str) -> Kind:
    return _Choice(*words)


def nested(cls: Type["Message"]) -> Kind:
    return _Nested(cls)


def nested_list(cls: Type["Message"], most: int = MAX_ARRAY) -> Kind:
    """`most`: the limit of elements. It is the message's MAX_ARRAY as well."""
    return _List(_Nested(cls), most)


def required(kind: Kind, default: Any) -> Any:
    """A key that is always sent. `default` is for Python callers only."""
    return _field(kind, default, True)


def optional(kind: Kind, default: Any) -> Any:
    """A key that is left out when its value is `default`."""
    return _field(kind, default, False)


def _field(kind: Kind, default: Any, is_required: bool) -> Any:
    metadata = {"kind": kind, "required": is_required}
    if isinstance(default, (list, dict)) or callable(default):
        factory = default if callable(default) else type(default)
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass
class Message:
    """The body of a frame, or a part of one."""

    TYPE: ClassVar[str] = ""
    # Elements that an array in it may have.
    MAX_ARRAY: ClassVar[int] = MAX_ARRAY
    # (attribute, key, kind, required, default) in the order of encoding.
    _KEYS: ClassVar[Sequence[Tuple[str, str, Kind, bool, Any]]] = ()

    def to_wire(self, where: str = "") -> Dict[str, Any]:
        """What is packed, and what JSON shows. Raises BadRequest."""
        where = where or self.TYPE
        body = {}
        for attribute, key, kind, is_required, default in self._KEYS:
            value = getattr(self, attribute)
            if is_required or value != default:
                body[key] = kind.encode(value, f"{where}.{key}")
        return body

    @classmethod
    def from_wire(cls: Type[M], body: Any, where: str = "") -> M:
        """Raises MissingKey and BadRequest, which name the key."""
        where = where or cls.TYPE
        if not isinstance(body, dict):
            raise BadRequest(f"'{where}' must be a map, not {_describe(body)}")
        values = {}
        for attribute, key, kind, is_required, _ in cls._KEYS:
            if key in body:
                value = body[key]
                if is_required or value is not None:
                    values[attribute] = kind.decode(value, f"{where}.{key}")
            elif is_required:
                raise MissingKey(f"the key '{key}' is missing in '{where}'")
        return cls(**values)

    def encode(self) -> bytes:
        """This alone, without frame: what a `setup` inside a bin is."""
        return pack(self.to_wire())

    @classmethod
    def decode(cls: Type[M], data: bytes) -> M:
        """Raises Malformed, MissingKey and BadRequest."""
        return cls.from_wire(unpack(data, cls.MAX_ARRAY))


def message(name: str) -> Callable[[Type[M]], Type[M]]:
    """For a dataclass of required() and optional() fields: its type."""

    def decorate(cls: Type[M]) -> Type[M]:
        cls.TYPE = name
        keys: List[Tuple[str, str, Kind, bool, Any]] = []
        for each in dataclasses.fields(cls):
            default = each.default
            if default is dataclasses.MISSING:
                default = each.default_factory()  # type: ignore[misc]
            keys.append((each.name, each.name.rstrip("_"),
                         each.metadata["kind"], each.metadata["required"],
                         default))
        cls._KEYS = keys
        return cls

    return decorate


def pack(value: Any) -> bytes:
    """Raises BadRequest for a text with surrogates that stand for no byte."""
    try:
        data: bytes = msgpack.packb(value, use_bin_type=True,
                                    unicode_errors="surrogateescape")
        return data
    except UnicodeEncodeError as error:
        raise BadRequest("a text cannot be sent as bytes: "
                         f"{error.object!r}") from None


def unpack(data: bytes, max_array: int = MAX_ARRAY) -> Any:
    """One msgpack object within the limits. Raises Malformed."""
    size = len(data)
    try:
        value = msgpack.unpackb(data, raw=False, use_list=False,
                                strict_map_key=False,
                                unicode_errors="surrogateescape",
                                max_str_len=size, max_bin_len=size,
                                max_array_len=max_array, max_map_len=MAX_MAP,
                                max_ext_len=0, ext_hook=_refuse_extension)
    except msgpack.ExtraData as error:
        raise Malformed(f"the payload has {len(error.extra)} byte(s) after "
                        "its msgpack object") from None
    except RecursionError:
        raise _too_deep() from None
    except Malformed:
        raise
    # TypeError: a map as a key of a map.
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Malformed(
            "the payload is not msgpack within the limits (arrays of "
            f"{max_array}, maps of {MAX_MAP} elements, no extensions): "
            f"{error or type(error).__name__}") from None
    _check_nesting(value)
    return value


def _refuse_extension(code: int, _data: bytes) -> Any:
    raise Malformed(f"the payload has a msgpack extension ({code})")


def _too_deep() -> Malformed:
    return Malformed(
        f"the payload is nested deeper than {MAX_NESTING} levels")


def _check_nesting(value: Any) -> None:
    level = [value]
    for _ in range(MAX_NESTING):
        inner: List[Any] = []
        for each in level:
            if each.__class__ is dict:
                inner.extend(each)
                inner.extend(each.values())
            elif each.__class__ is tuple:
                inner.extend(each)
        level = [
            each for each in inner
            if each.__class__ is dict or each.__class__ is tuple
        ]
        if not level:
            return
    raise _too_deep()
