"""The context and the process class of the start method "forkserverd"."""

import sys
from multiprocessing import context, process
from typing import Any, Dict, List, Optional

METHOD = "forkserverd"
# A pool starts as many processes at once as there are processors, as a rule.
SPARES = (0, 4)


class ForkserverdProcess(process.BaseProcess):
    """multiprocessing.Process, as a worker of forkserverd."""

    _start_method = METHOD
    # Contexts with options have subclasses with a context of their own.
    _context: "ForkserverdContext"
    _stands_for: Optional[type] = None

    @classmethod
    def _Popen(cls, process_obj: Any) -> Any:  # also of other classes
        from forkserver.multiprocessing.popen import Popen
        return Popen(process_obj, cls._context)

    @property
    def sentinel(self) -> int:
        """A descriptor that becomes readable when it has ended. Blocks until
        a process of a Pool has started."""
        popen: Any = self._popen  # type: ignore[attr-defined]
        if popen is None:
            return super().sentinel  # which says what is wrong
        return popen.open_sentinel()  # type: ignore[no-any-return]

    def __reduce_ex__(self, protocol: Any) -> Any:
        reduced = super().__reduce_ex__(protocol)
        # The class of a context has no name that pickle could find.
        stands_for = type(self).__dict__.get("_stands_for")
        if stands_for is None:
            return reduced
        return (_make, (stands_for,), *reduced[2:])


def _make(cls: type) -> Any:
    return cls.__new__(cls)


class ForkserverdContext(context.BaseContext):
    """A context of multiprocessing; made by get_context()."""

    _name = METHOD
    Process = ForkserverdProcess

    def __init__(self, **options: Any) -> None:
        _check(options)
        self._options = {name: value for name, value in options.items()
                         if value}
        if options:
            self._make_process_class()

    def _make_process_class(self) -> None:
        self.Process = type("ForkserverdProcess", (ForkserverdProcess,), {
            "_context": self,
            "_stands_for": ForkserverdProcess,
            "__module__": __name__,
        })

    def set_forkserver_preload(self, module_names: List[str]) -> None:
        """Modules that processes start with: those that have not been
        started yet."""
        preload = _texts(module_names, "module_names")
        self._options = dict(self._options, preload=preload)

    def _check_available(self) -> None:
        from multiprocessing import reduction
        if not reduction.HAVE_SEND_HANDLE:
            raise ValueError(f"start method {METHOD!r} needs Unix sockets "
                             "that carry descriptors")

    def effective_options(self) -> Dict[str, Any]:
        """As given; preload may come from the module's
        set_forkserver_preload()."""
        stock: Any = sys.modules.get("multiprocessing.forkserver")
        if self is default_context and "preload" not in self._options and \
                stock is not None:
            names = [each for each in stock._forkserver._preload_modules
                     if each != "__main__"]  # its default
            if names:
                return dict(self._options, preload=names)
        return self._options

    def inherit(self, options: Dict[str, Any]) -> None:
        """In a process: what it starts is like itself."""
        self._options = options

    def __getstate__(self) -> Dict[str, Any]:
        from forkserver.multiprocessing.origin import portable
        return {"options": portable(self._options)}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self._options = state["options"]
        self._make_process_class()


def _check(options: Dict[str, Any]) -> None:
    steps = [each for each in ("preload", "before_freeze", "after_fork",
                               "known_threads", "freeze")
             if options.get(each)]
    for each in steps:
        options[each] = (list(options[each]) if each == "known_threads"
                         else _texts(options[each], each))
    if options.get("zygote") is not None and steps:
        raise ValueError(f"{steps[0]}= is for a new zygote; zygote= names one "
                         "that there is")
    if options.get("client") is not None and options.get("socket") is not None:
        raise ValueError("client= and socket= exclude each other")


def _texts(names: Any, what: str) -> List[str]:
    if isinstance(names, str) or not all(isinstance(each, str)
                                         for each in names):
        raise TypeError(f"{what} must be a list of strings, not {names!r}")
    return list(names)


default_context = ForkserverdContext()
ForkserverdProcess._context = default_context
