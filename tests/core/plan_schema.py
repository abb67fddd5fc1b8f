"""The plan file's schema as tests see it: every key, read from the types themselves."""

from collections.abc import Iterator

from msgspec import inspect

from reactor.core.plan import Plan


def schema_keys(kind: inspect.Type | None = None, path: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every key of a plan file with the kinds of value that it takes.

    Yields:
        the dotted key (arrays without their places) and names such as `decimal`, `int`, `str`.
    """
    kind = inspect.type_info(Plan) if kind is None else kind
    for part in _parts(kind):
        if isinstance(part, inspect.StructType):
            for field in part.fields:
                here = f"{path}.{field.encode_name}" if path else field.encode_name
                inner = _parts(field.type)
                if any(isinstance(item, inspect.StructType) for item in inner):
                    yield from schema_keys(field.type, here)
                else:
                    names = {type(item).__name__.removesuffix("Type").lower() for item in inner}
                    yield here, names - {"none"}


def _parts(kind: inspect.Type) -> list[inspect.Type]:
    """The alternatives of a union and the items of an array, as one list."""
    if isinstance(kind, inspect.UnionType):
        return [part for alternative in kind.types for part in _parts(alternative)]
    if isinstance(kind, inspect.VarTupleType):
        return _parts(kind.item_type)
    if isinstance(kind, inspect.TupleType):
        return [part for item in kind.item_types for part in _parts(item)]
    return [kind]
