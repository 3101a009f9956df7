"""Small faults for one file: every place where a rule applies, as a change of the source text of one node.

`faults(source)` gives all of them. Text in docstrings, annotations, imports, assertions and messages is left alone: a
message that is raised, a name and a docstring decide no number. `mutation.py` draws from them and runs the tests.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Change = tuple[ast.AST, str]
"""A node, and the source text that takes its place."""


@dataclass(frozen=True)
class Fault:
    """One change: its kind, line, function, the text before and after, and where it lies in the source, in bytes."""

    kind: str
    line: int
    scope: str
    old: str
    new: str
    start: int
    end: int

    def applied(self, source: str) -> str:
        """The source with the fault."""
        raw = source.encode()
        return (raw[: self.start] + self.new.encode() + raw[self.end :]).decode()


ENDS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
AROUND = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
AROUND |= {ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
OTHER = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}
OTHER |= {ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}
PAIRS = "min max, any all, floor ceil, minimum maximum, argmin argmax, sum mean, amin amax, sorted list, abs float".split(
    ", "
)
TWINS = dict(pair.split() for pair in PAIRS) | dict(reversed(pair.split()) for pair in PAIRS[:-2])
EMPTY = {"float": "0.0", "int": "0", "bool": "False", "str": "''", "list": "[]", "dict": "{}", "tuple": "()"}
WORDS = {"help", "metavar", "description", "encoding", "strict", "dtype", "exist_ok", "compare", "repr", None}
"""Named arguments that decide no number, or whose default says the same."""
QUIET = {
    "suppress",
    "isinstance",
    "getattr",
    "setattr",
    "hasattr",
    "min",
    "max",
    "zip",
    "field",
    "dict",
    "Column",
    "TypeVar",
    "replace",
}


def compares(node: ast.AST, table: dict[type, type]) -> Iterator[Change]:
    """The operators of a comparison, each replaced as the table says."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            if type(operator) in table:
                new = copy.deepcopy(node)
                new.ops[place] = table[type(operator)]()
                yield node, f"({ast.unparse(new)})"


def boundary(node: ast.AST) -> Iterator[Change]:
    """`<` for `<=`, and so on."""
    yield from compares(node, ENDS)


def comparison(node: ast.AST) -> Iterator[Change]:
    """`<` for `>`, `==` for `!=`, `in` for `not in`."""
    yield from compares(node, AROUND)


def arithmetic(node: ast.AST) -> Iterator[Change]:
    """`+` for `-`, `*` for `/`; the sign of a number."""
    if isinstance(node, ast.BinOp) and type(node.op) in OTHER and not any(map(_is_text, (node.left, node.right))):
        yield node, f"({ast.unparse(ast.BinOp(node.left, OTHER[type(node.op)](), node.right))})"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node, f"({ast.unparse(node.operand)})"


def constant(node: ast.AST) -> Iterator[Change]:
    """A number that is larger, a truth value turned round."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        value = node.value
        yield (
            node,
            repr(not value) if isinstance(value, bool) else repr(value + 1 if isinstance(value, int) else value * 1.2),
        )


def logic(node: ast.AST) -> Iterator[Change]:
    """`and` for `or`, a condition less, `not` removed."""
    if isinstance(node, ast.BoolOp):
        yield node, f"({ast.unparse(ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values))})"
        for out in range(len(node.values)):
            rest = [value for place, value in enumerate(node.values) if place != out]
            yield node, f"({ast.unparse(rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest))})"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node, f"({ast.unparse(node.operand)})"


def branch(node: ast.AST) -> Iterator[Change]:
    """A condition that is always true, or never; a filter of a comprehension that keeps all."""
    if isinstance(node, ast.If | ast.IfExp):
        yield from ((node.test, "True"), (node.test, "False"))
    if isinstance(node, ast.comprehension):
        yield from ((test, "True") for test in node.ifs)


def bounds(node: ast.AST) -> Iterator[Change]:
    """An end of a slice or of a range that is off by one."""
    if isinstance(node, ast.Slice):
        yield from ((edge, f"({ast.unparse(edge)} + 1)") for edge in (node.lower, node.upper) if edge is not None)
    if isinstance(node, ast.Call) and _name(node) == "range":
        yield node.args[-1], f"({ast.unparse(node.args[-1])} - 1)"


def arguments(node: ast.AST) -> Iterator[Change]:
    """The first two arguments exchanged; a named argument left out."""
    if not isinstance(node, ast.Call) or any(isinstance(one, ast.Starred) for one in node.args):
        return
    if len(node.args) >= 2 and _name(node) not in QUIET and not all(map(_is_text, node.args[:2])):
        new = copy.deepcopy(node)
        new.args[:2] = reversed(new.args[:2])
        yield node, ast.unparse(new)
    for place, keyword in enumerate(node.keywords):
        if keyword.arg not in WORDS:
            new = copy.deepcopy(node)
            del new.keywords[place]
            yield node, ast.unparse(new)


def twin(node: ast.AST) -> Iterator[Change]:
    """`max` for `min`, `all` for `any`, `mean` for `sum`."""
    if isinstance(node, ast.Call) and (name := _name(node)) in TWINS:
        new = copy.deepcopy(node)
        if isinstance(new.func, ast.Name):
            if TWINS[name] != "mean":
                new.func.id = TWINS[name]
                new.keywords = [] if TWINS[name] == "list" else new.keywords
                yield node, ast.unparse(new)
        elif isinstance(new.func, ast.Attribute):
            new.func.attr = TWINS[name]
            yield node, ast.unparse(new)


def dropped(node: ast.AST) -> Iterator[Change]:
    """A statement without effect: a call, an addition, an entry of a table, an error that is not raised."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await):
        yield node, "pass"
    if isinstance(node, ast.AugAssign | ast.Raise | ast.Continue | ast.Break | ast.Delete):
        yield node, "pass"
    if isinstance(node, ast.Assign) and all(isinstance(target, ast.Subscript) for target in node.targets):
        yield node, "pass"


def returned(node: ast.AST) -> Iterator[Change]:
    """A function that gives nothing, or back what it was given."""
    if not isinstance(node, ast.FunctionDef):
        return
    kind = ast.unparse(node.returns).partition("[")[0] if node.returns else "None"
    given = [one.arg for one in node.args.args if one.arg != "self" and one.annotation is not None]
    same = [one.arg for one in node.args.args if one.annotation and node.returns and _same(one.annotation, node.returns)]
    for one in _own(node):
        if isinstance(one, ast.Return) and one.value is not None and not isinstance(one.value, ast.Constant):
            new = same[0] if same and given else EMPTY.get(kind, "None")
            if ast.unparse(one.value) != new:
                yield one, f"return {new}"


def swapped(node: ast.AST) -> Iterator[Change]:
    """Two values of a record, or of a tuple, exchanged."""
    if isinstance(node, ast.Dict) and len(node.keys) > 1 and all(isinstance(key, ast.Constant) for key in node.keys):
        for place in range(len(node.values) - 1):
            new = copy.deepcopy(node)
            new.values[place], new.values[place + 1] = new.values[place + 1], new.values[place]
            yield node, ast.unparse(new)
    if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.ctx, ast.Load) and not hasattr(node, "a_set"):
        yield node, f"({ast.unparse(node.elts[1])}, {ast.unparse(node.elts[0])})"


RULES: dict[str, Callable[[ast.AST], Iterator[Change]]] = {
    rule.__name__: rule
    for rule in (
        boundary,
        comparison,
        arithmetic,
        constant,
        logic,
        branch,
        bounds,
        arguments,
        twin,
        dropped,
        returned,
        swapped,
    )
}
"""The kinds of faults; all weigh alike in a draw."""


def faults(source: str) -> list[Fault]:
    """All faults of a source, each text of a place once; some may give no valid code (see `is_change`)."""
    tree = ast.parse(source)
    starts = [0]
    for line in source.split("\n"):
        starts.append(starts[-1] + len(line.encode()) + 1)
    raw, found = source.encode(), {}
    for node, scope in _nodes(tree, ()):
        for kind, rule in RULES.items():
            for place, new in rule(node):
                start, end = (starts[line - 1] + column for line, column in _span(place))
                fault = Fault(kind, place.lineno, ".".join(scope), raw[start:end].decode(), new, start, end)
                found.setdefault((start, end, new), fault)
    return list(found.values())


def is_change(source: str, fault: Fault) -> bool:
    """Whether the fault gives valid code that says something else."""
    try:
        return ast.dump(ast.parse(fault.applied(source))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def _span(node: ast.AST) -> tuple[tuple[int, int], tuple[int, int]]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _nodes(node: ast.AST, scope: tuple[str, ...]) -> Iterator[tuple[ast.AST, tuple[str, ...]]]:
    """Every node that may be changed, with the names of the classes and functions round it."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Assert | ast.JoinedStr | ast.arguments):
        if isinstance(node, ast.arguments):
            for default in [*node.defaults, *node.kw_defaults]:
                yield from _nodes(default, scope) if default is not None else ()
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
        return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        scope = (*scope, node.name)
    for one in _sets(node):
        one.a_set = True  # type: ignore[attr-defined]  # read by `swapped`
    yield node, scope
    if isinstance(node, ast.Raise):  # its message
        return
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _nodes(child, scope)


def _sets(node: ast.AST) -> list[ast.AST]:
    """Tuples below a node whose order says nothing: what something is looked for in, kinds of errors and of objects."""
    if isinstance(node, ast.Compare):
        return [one for one, how in zip(node.comparators, node.ops) if isinstance(how, ast.In | ast.NotIn)]
    if isinstance(node, ast.ExceptHandler) and node.type is not None:
        return [node.type]
    return node.args[1:2] if isinstance(node, ast.Call) and _name(node) in ("isinstance", "issubclass") else []


def _own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _same(one: ast.AST, other: ast.AST) -> bool:
    return ast.dump(one) == ast.dump(other)
