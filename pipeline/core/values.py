"""Values: frozen, with slots, compared by their fields. Data classes in all but what it takes to define one.

`dataclasses.dataclass` writes and compiles six functions for a class while its module is imported, half a millisecond
in all, and a small command imports dozens of classes. Here a class brings nothing but the names of its fields, and the
one function that has to be quick is compiled when the first value is made. `msgspec.Struct` would do, too; its
import adds some five milliseconds to `--help` and `status`, which do without.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar, cast, dataclass_transform

if TYPE_CHECKING:
    from dataclasses import Field

T = TypeVar("T")


class _Factory:
    """Makes the default of one field for each value anew."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def made(*, default_factory: Callable[[], T]) -> T:
    """The default of a field that is made for each value anew, as by `dataclasses.field(default_factory=…)`."""
    return cast("T", _Factory(default_factory))


@dataclass_transform(frozen_default=True, field_specifiers=(made,))
class _Kind(type):
    """Makes slots of what a class annotates."""

    _names: tuple[str, ...]
    """Of the fields, those of the class above first."""
    _defaults: dict[str, Any]
    _only_named: bool
    _contents: Callable[[Any], tuple[Any, ...]]
    """Those of a value, in the order of the names."""

    def __new__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, kw_only: bool = False
    ) -> "_Kind":
        own = _annotated(namespace)
        defaults = {field: namespace.pop(field) for field in own if field in namespace}
        above = next((base for base in bases if isinstance(base, _Kind)), None)
        names = (*above._names, *own) if above else own
        matched = () if kw_only else names
        asked = {"__slots__": own, "__match_args__": matched, **_UNTIL_THE_FIRST, **_KNOWN_BY}
        kind = super().__new__(cls, name, bases, namespace | asked)
        kind._names = names
        kind._defaults = {**above._defaults, **defaults} if above else defaults
        kind._only_named = kw_only
        kind._contents = _getter(names)
        return kind


def _annotated(namespace: dict[str, Any]) -> tuple[str, ...]:
    """The names that a class body annotates, in their order."""
    found = namespace.get("__annotations__")
    if found is None and "__annotate_func__" in namespace:  # from Python 3.14 on they are evaluated when asked for
        from importlib import import_module

        late = import_module("annotationlib")
        found = late.call_annotate_function(namespace["__annotate_func__"], late.Format.STRING)
    return tuple(name for name in found or () if not name.startswith("__"))


def _getter(fields: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(fields) > 1:
        return attrgetter(*fields)
    return lambda value: tuple(getattr(value, field) for field in fields)


def _first(self: Any, /, *given: Any, **named: Any) -> None:
    """The `__init__` of a class until its first value is made, which is then made once more."""
    kind: Any = type(self)
    kind.__new__ = staticmethod(_maker(kind))
    kind.__init__ = object.__init__
    self.__setstate__(kind(*given, **named).__getstate__())


_UNTIL_THE_FIRST = {"__new__": object.__new__, "__init__": _first}


def _maker(kind: _Kind) -> Callable[..., Any]:
    """The `__new__` of a class: it fills an open twin and closes it.

    A frozen class refuses plain assignments, and each way around them costs ten times as much.
    """
    scope: dict[str, Any] = {"_unset": _Factory, "_open": _open_twin(kind)}
    parameters, lines = ["_kind", "/"], ["    _value = _open()"]
    if kind._only_named:
        parameters.append("*")
    for name in kind._names:
        value, parameter = name, name
        if name in kind._defaults:
            default = kind._defaults[name]
            scope[f"_default_{name}"] = default.make if isinstance(default, _Factory) else default
            parameter = f"{name}=_default_{name}"
            if isinstance(default, _Factory):
                parameter, value = f"{name}=_unset", f"_default_{name}() if {name} is _unset else {name}"
        parameters.append(parameter)
        lines.append(f"    _value.{name} = {value}")
    lines += ["    _value.__class__ = _kind", "    return _value"]
    exec("\n".join([f"def __new__({', '.join(parameters)}):", *lines]), scope)  # noqa: S102 - of names in our classes
    scope["__new__"].__qualname__ = f"{kind.__qualname__}.__init__"  # as a data class would call it in its complaints
    return cast("Callable[..., Any]", scope["__new__"])


def _open_twin(kind: _Kind) -> type:
    """A class with the slots of the kind and nothing that refuses; its values can become values of the kind."""
    plain = {name: getattr(object, name) for name in ("__new__", "__init__", "__setattr__", "__delattr__")}
    return type.__new__(_Kind, kind.__name__, (kind,), {"__slots__": (), **plain})


def _blank(kind: type[T]) -> T:
    """A value whose fields are still to come, for those that copy it."""
    return object.__new__(kind)


class _Twin:
    """What a data class is known by, for `dataclasses` itself and for libraries: made when somebody asks."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, _value: Any, kind: _Kind) -> Any:
        twin = _data_class(kind)
        for name in _KNOWN_BY:
            type.__setattr__(kind, name, getattr(twin, name))  # in place of this
        return getattr(twin, self._name)


def _data_class(kind: _Kind) -> Any:
    """A data class with the fields of the kind, and none of its functions."""
    from dataclasses import dataclass, field
    from inspect import get_annotations

    hints: dict[str, Any] = {}
    for one in reversed(kind.__mro__):
        hints |= get_annotations(one) if isinstance(one, _Kind) else {}
    # Without a docstring the module that makes data classes would write one, which is slow.
    body: dict[str, Any] = {"__doc__": "…", "__annotations__": {name: hints[name] for name in kind._names}}
    for name, default in kind._defaults.items():
        body[name] = field(default_factory=default.make) if isinstance(default, _Factory) else default
    return dataclass(init=False, repr=False, eq=False, kw_only=kind._only_named)(type("", (), body))


_KNOWN_BY = {name: _Twin(name) for name in ("__dataclass_fields__", "__dataclass_params__")}


class Value(metaclass=_Kind):
    """A frozen value: `class Point(Value)` with annotated fields, and `kw_only=True` where they are only named.

    Equal to another of the very same class with equal fields; hashable where they are; `dataclasses.replace`, `asdict`
    and `fields` take it for a data class, and so does msgspec.
    """

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __repr__(self) -> str:
        kind = type(self)
        shown = (f"{name}={value!r}" for name, value in zip(kind._names, kind._contents(self), strict=True))
        return f"{kind.__qualname__}({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        kind = type(self)
        if type(other) is not kind:
            return NotImplemented
        return kind._contents(self) == kind._contents(other)

    def __hash__(self) -> int:
        return hash(type(self)._contents(self))

    def __setattr__(self, name: str, _value: object) -> NoReturn:
        _refuse(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        _refuse(f"cannot delete field {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _blank, (type(self),), self.__getstate__()

    def __getstate__(self) -> tuple[Any, ...]:
        return type(self)._contents(self)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for name, value in zip(type(self)._names, state, strict=True):
            object.__setattr__(self, name, value)


def _refuse(message: str) -> NoReturn:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(message)
