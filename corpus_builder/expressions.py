"""Keep-expressions: a whitelist over Python's `ast`, typed before use, evaluated by Arrow kernels.

Invariant: an expression is and/or/not, comparisons (chains too), + - * /, `in` a list, names,
numbers, strings and booleans; everything else is refused when it is read. Logic is Kleene's:
what is unknown stays null. Division by zero is null, and so is NaN.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

Kind: TypeAlias = Literal["number", "bool", "string", "list", "unknown"]
Param: TypeAlias = bool | int | float | str | tuple[bool | int | float | str, ...]

MAX_LENGTH = 500
MAX_DEPTH = 40

_ORDER: dict[type[ast.cmpop], str] = {
    ast.Lt: "less", ast.LtE: "less_equal", ast.Gt: "greater", ast.GtE: "greater_equal",
}  # fmt: skip
_EQUAL: dict[type[ast.cmpop], str] = {ast.Eq: "equal", ast.NotEq: "not_equal"}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide",
}  # fmt: skip
_ALLOWED = "allowed: and, or, not, < <= > >= == !=, + - * /, in [...], names, numbers, strings"


class ExpressionError(ValueError):
    """The text is not an expression accepted here; the message says why."""


def kind_of(value: Param) -> Kind:
    """The kind of a parameter's value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    return "list" if isinstance(value, tuple) else "number"


@functools.cache
def parse(text: str) -> ast.expr:
    """The syntax tree of an expression, every node of it whitelisted.

    Raises:
        ExpressionError: it is not Python, or uses what is not allowed.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"longer than {MAX_LENGTH} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ExpressionError(f"{text!r} is not an expression ({reason})") from None
    _check(tree, 0)
    return tree


def names_in(text: str) -> tuple[str, ...]:
    """Names an expression reads, in the order they are written, each once."""
    found = [node for node in ast.walk(parse(text)) if isinstance(node, ast.Name)]
    found.sort(key=lambda name: (name.lineno, name.col_offset))
    return tuple(dict.fromkeys(name.id for name in found))


def _check(node: ast.expr, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels")
    match node:
        case ast.BoolOp(values=parts):
            below = parts
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=part):
            below = [part]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            below = [left, right]
        case ast.Compare(left=left, ops=ops, comparators=rights):
            _check_comparison(ops, rights)
            below = [left, *rights]
        case ast.List(elts=parts) if parts and all(isinstance(p, ast.Constant) for p in parts):
            below = parts
        case ast.Constant(value=value) if _is_literal(value):
            below = []
        case ast.Name():
            below = []
        case _:
            raise ExpressionError(f"{ast.unparse(node)!r} is not allowed; {_ALLOWED}")
    for part in below:
        _check(part, depth + 1)


def _check_comparison(ops: list[ast.cmpop], rights: list[ast.expr]) -> None:
    for op, right in zip(ops, rights, strict=True):
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Name):
                raise ExpressionError(f"'in {ast.unparse(right)}': only a list can follow 'in'")
        elif type(op) not in _ORDER and type(op) not in _EQUAL:
            raise ExpressionError(f"'is' is not allowed; {_ALLOWED}")


def _is_literal(value: object) -> bool:
    if isinstance(value, bool | str):
        return True
    return isinstance(value, int | float) and math.isfinite(value) and abs(value) < 2**63


def check_kinds(text: str, kinds: Mapping[str, Kind]) -> None:
    """Refuse an expression whose parts do not fit together or that is not a yes-or-no.

    Args:
        kinds: kind of every known name; other names fit anywhere.

    Raises:
        ExpressionError: naming the part that does not fit.
    """
    if _kind(parse(text), kinds) not in ("bool", "unknown"):
        raise ExpressionError(f"{text!r} is not a yes-or-no; compare it with something")


def _kind(node: ast.expr, kinds: Mapping[str, Kind]) -> Kind:
    match node:
        case ast.BoolOp(values=parts):
            return _expect("bool", parts, kinds)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return _expect("bool", [part], kinds)
        case ast.UnaryOp(operand=part):
            return _expect("number", [part], kinds)
        case ast.BinOp(left=left, right=right):
            return _expect("number", [left, right], kinds)
        case ast.Compare(left=left, ops=ops, comparators=rights):
            for op, right in zip(ops, rights, strict=True):
                _check_pair(left, op, right, kinds)
                left = right
            return "bool"
        case ast.List(elts=parts):
            _same(parts, kinds)
            return "list"
        case ast.Name(id=name):
            return kinds.get(name, "unknown")
        case ast.Constant(value=value):
            return kind_of(value)  # type: ignore[arg-type]
    raise ExpressionError(f"{ast.unparse(node)!r} is not allowed; {_ALLOWED}")


def _expect(kind: Kind, parts: list[ast.expr], kinds: Mapping[str, Kind]) -> Kind:
    for part in parts:
        got = _kind(part, kinds)
        if got not in (kind, "unknown"):
            raise ExpressionError(f"{ast.unparse(part)!r} is a {got} where a {kind} is needed")
    return kind


def _same(parts: list[ast.expr], kinds: Mapping[str, Kind]) -> None:
    got = {part: _kind(part, kinds) for part in parts}
    known = {kind for kind in got.values() if kind != "unknown"}
    if len(known) > 1:
        shown = " and ".join(f"{ast.unparse(part)!r} ({kind})" for part, kind in got.items())
        raise ExpressionError(f"cannot compare {shown}")


def _check_pair(left: ast.expr, op: ast.cmpop, right: ast.expr, kinds: Mapping[str, Kind]) -> None:
    if isinstance(op, ast.In | ast.NotIn):
        if _kind(left, kinds) == "list":
            raise ExpressionError(
                f"{ast.unparse(left)!r} is a list; a single value goes before 'in'"
            )
        if _kind(right, kinds) not in ("list", "unknown"):
            raise ExpressionError(f"{ast.unparse(right)!r} after 'in' is not a list")
        if isinstance(right, ast.List):
            _same([left, *right.elts], kinds)
    elif type(op) in _ORDER:
        _expect("number", [left, right], kinds)
    else:
        _same([left, right], kinds)
        if _kind(left, kinds) == "list":
            raise ExpressionError(f"{ast.unparse(left)!r} is a list; use 'in'")


def evaluate(text: str, columns: Mapping[str, pa.Array], params: Mapping[str, Param]) -> pa.Array:
    """Evaluate over columns of one length; at least one of them must be read.

    Returns:
        a boolean array; null where the truth depends on what is null.
    """
    import pyarrow as pa

    names: dict[str, Any] = {
        name: value if isinstance(value, tuple) else pa.scalar(value)
        for name, value in params.items()
    }
    return _value(parse(text), names | {name: _known(col) for name, col in columns.items()})


def _known(column: pa.Array) -> pa.Array:
    """The column with NaN as null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return column
    nan = pc.is_nan(column)
    return pc.if_else(nan, pa.scalar(None, column.type), column) if pc.any(nan).as_py() else column


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    match node:
        case ast.BoolOp(op=op, values=parts):
            combine = pc.and_kleene if isinstance(op, ast.And) else pc.or_kleene
            return functools.reduce(combine, (_value(part, names) for part in parts))
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return pc.invert(_value(part, names))
        case ast.UnaryOp(op=op, operand=part):
            number = _float(_value(part, names))
            return pc.negate(number) if isinstance(op, ast.USub) else number
        case ast.BinOp(left=left, op=op, right=right):
            return _arithmetic(op, _float(_value(left, names)), _float(_value(right, names)))
        case ast.Compare(left=left, ops=ops, comparators=rights):
            values = [_value(part, names) for part in (left, *rights)]
            pairs = zip(values, ops, values[1:], strict=False)
            return functools.reduce(pc.and_kleene, (_compare(*pair) for pair in pairs))
        case ast.List(elts=parts):
            return tuple(part.value for part in parts if isinstance(part, ast.Constant))
        case ast.Name(id=name):
            return names[name]
        case ast.Constant(value=value):
            return pa.scalar(value)
    raise ExpressionError(f"{ast.unparse(node)!r} is not allowed; {_ALLOWED}")


def _float(value: Any) -> Any:
    import pyarrow as pa

    return value.cast(pa.float64())


def _arithmetic(op: ast.operator, left: Any, right: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(op, ast.Div):
        nothing = pa.scalar(None, pa.float64())
        right = pc.if_else(pc.equal(right, 0.0), nothing, right)
    kernel: Callable[[Any, Any], Any] = getattr(pc, _ARITHMETIC[type(op)])
    return kernel(left, right)


def _compare(left: Any, op: ast.cmpop, right: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(op, ast.In | ast.NotIn):
        kind = pa.float64() if not isinstance(right[0], str | bool) else left.type
        found = pc.is_in(left.cast(kind), value_set=pa.array(right).cast(kind))
        found = pc.invert(found) if isinstance(op, ast.NotIn) else found
        return pc.if_else(pc.is_null(left), pa.scalar(None, pa.bool_()), found)
    kernel: Callable[[Any, Any], Any] = getattr(pc, {**_ORDER, **_EQUAL}[type(op)])
    return kernel(left, right)
