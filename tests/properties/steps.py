"""A meter for the core that counts steps instead of seconds, so that it says the same on every machine.

The core's sources are imported a second time, rewritten: every function, loop and comprehension says that it has taken a step,
and so does everything that C does in one call, as many as it takes:

- what reads or makes a string, bytes, a list or a dictionary takes a step for each element (``in``, ``+``, slices, ``==``,
  ``*`` and ``**`` in a display, ``join``, ``split``, ``getvalue`` …);
- what only looks one up, or adds one at the end, takes one step;
- a regular expression takes the steps of a backtracking matcher, which is what Python's is. They are counted by one that is
  written in Python here, since nothing says how many Python's own has taken.

So a loop over a text in each round of another loop is seen, whether it is written in Python, hidden in a string's method or in
a regular expression. What is not counted is what grows with neither: attribute access, arithmetic, memory.
"""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import json
import re
import sys
from contextlib import contextmanager
from functools import cache
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from types import BuiltinFunctionType, MethodDescriptorType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PACKAGES: Final = ("vllm_sse_proxy.sse", "vllm_sse_proxy.stream", "vllm_sse_proxy.families")
"""What is rewritten: the core, and nothing else."""


class TooManyStepsError(BaseException):
    """More steps were taken than anything that is linear needs. No ``Exception``, so that nobody catches it on its way."""


class Meter:
    """Counts steps.

    :ivar steps: how many were taken so far.
    :ivar limit: how many may be taken at all.
    :ivar where: steps by what took them, but for those of Python itself, for those who look for the reason of a failure.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.limit: float = float("inf")
        self.where: dict[str, int] = {}

    def take(self, number: int, what: str) -> None:
        """Count so many steps.

        :raises TooManyStepsError: when they are more than the limit.
        """
        self.steps += number
        self.where[what] = self.where.get(what, 0) + number
        if self.steps > self.limit:
            raise TooManyStepsError(
                f"more than {self.limit} steps; the most of them: {sorted(self.where, key=self.where.__getitem__)[-5:]}"
            )


METER: Final = Meter()


def metered() -> SimpleNamespace:
    """Import the core rewritten, and return what a stream takes of it; the real one stays in place."""
    with _aside():
        finder = _Finder()
        sys.meta_path.insert(0, finder)
        try:
            return SimpleNamespace(
                **{
                    name: getattr(importlib.import_module(f"vllm_sse_proxy.{module}"), name)
                    for module, name in (
                        ("families", "CHAT"),
                        ("families", "COMPLETIONS"),
                        ("families", "MESSAGES"),
                        ("families", "TRANSCRIPTIONS"),
                        ("families.responses.family", "build_plan"),
                        ("stream.ending", "BodyEnd"),
                        ("stream.normalizer", "StreamNormalizer"),
                        ("stream.plan", "Plan"),
                        ("stream.context", "RequestContext"),
                    )
                }
            )
        finally:
            sys.meta_path.remove(finder)


@contextmanager
def _aside() -> Iterator[None]:
    """Put the real modules aside while others are imported under their names."""
    parent = importlib.import_module("vllm_sse_proxy")
    names = [name for name in sys.modules if name.startswith(PACKAGES)]
    modules = {name: sys.modules.pop(name) for name in names}
    attributes = {name: value for name, value in vars(parent).items() if isinstance(value, ModuleType)}
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.startswith(PACKAGES)]:
            del sys.modules[name]
        sys.modules.update(modules)
        vars(parent).update(attributes)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the core's modules where they are, and has them rewritten."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(PACKAGES):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


def rewritten(source: str, name: str = "source") -> Any:
    """Return the code of a module, rewritten; under a file name of its own, so that no coverage is counted."""
    tree = _Rewriter().visit(ast.parse(source))
    return compile(ast.fix_missing_locations(tree), f"<metered {name}>", "exec")


class _Loader(importlib.machinery.SourceFileLoader):
    """Runs a module's rewritten source."""

    def get_code(self, fullname: str) -> Any:
        return rewritten(self.get_source(fullname) or "", fullname)

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(HOOKS)
        super().exec_module(module)


class _Rewriter(ast.NodeTransformer):
    """Puts hooks into functions; what runs once, when a module is imported, stays as it is."""

    def __init__(self) -> None:
        self._is_inside = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        was, self._is_inside = self._is_inside, True
        node.body = [_step(), *(self.visit(statement) for statement in node.body)]
        self._is_inside = was
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        was, self._is_inside = self._is_inside, True
        node.body = _hook("_one", self.visit(node.body))
        self._is_inside = was
        return node

    def _loop(self, node: Any) -> ast.AST:
        self.generic_visit(node)
        if self._is_inside:
            node.body = [_step(), *node.body]
        return node  # type: ignore[no-any-return]

    visit_For = visit_While = _loop  # noqa: N815 - as above

    def _comprehension(self, node: Any) -> ast.AST:
        self.generic_visit(node)
        for generator in node.generators:
            generator.iter = _hook("_counted", generator.iter)
        return node  # type: ignore[no-any-return]

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension  # noqa: N815 - as above

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not self._is_inside or (isinstance(node.func, ast.Name) and node.func.id == "super"):
            return node
        return ast.Call(_name("_call"), [node.func, *node.args], node.keywords)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        return _hook("_made", node) if self._is_inside else node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        if self._is_inside:
            before = copy.deepcopy(node.target)
            before.ctx = ast.Load()
            node.value = _hook("_added", before, node.value)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        hook = _COMPARISONS.get(type(node.ops[0]))
        if not self._is_inside or hook is None or len(node.ops) > 1:
            return node
        node.left, node.comparators = _hook(hook, node.left), [_hook("_right", node.comparators[0])]
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        is_slice = isinstance(node.slice, ast.Slice)
        return (
            _hook("_made", node) if self._is_inside and is_slice and isinstance(node.ctx, ast.Load) else node
        )

    def _display(self, node: Any) -> ast.AST:
        self.generic_visit(node)
        spreads = (
            None in node.keys
            if isinstance(node, ast.Dict)
            else any(isinstance(e, ast.Starred) for e in node.elts)
        )
        is_read = isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        return _hook("_made", node) if self._is_inside and spreads and is_read else node

    visit_Dict = visit_List = visit_Tuple = visit_Set = _display  # noqa: N815 - as above

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return _hook("_made", node) if self._is_inside else node


_COMPARISONS: Final[dict[type, str]] = {
    ast.Eq: "_equal",
    ast.NotEq: "_equal",
    ast.In: "_member",
    ast.NotIn: "_member",
}


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _hook(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(_name(name), list(arguments), [])


def _step() -> ast.Expr:
    return ast.Expr(_hook("_one"))


# Hooks: what the rewritten sources call


def _one(value: Any = None) -> Any:
    METER.steps += 1  # the limit is looked at by whatever is called in the loop, or called it
    return value


def _counted(values: Any) -> Iterator[Any]:
    """Take a step for each value that is asked for."""
    for value in values:
        METER.steps += 1
        yield value


def _made(value: Any) -> Any:
    """Take a step for each element of something that was made."""
    METER.take(_size(value), "made")
    return value


def _added(before: Any, value: Any) -> Any:
    """Take the steps of ``before += value``: a string is made anew, a list grows."""
    grows = isinstance(before, list | dict | set | bytearray)
    METER.take(_size(value) + (0 if grows else _size(before)), "+=")
    return value


_pending: list[tuple[str, Any]] = []


def _equal(left: Any) -> Any:
    _pending.append(("==", left))
    return left


def _member(left: Any) -> Any:
    _pending.append(("in", left))
    return left


def _right(right: Any) -> Any:
    """Take the steps of a comparison, whose other side was the last one that came."""
    what, left = _pending.pop()
    if what == "in":
        METER.take(1 if isinstance(right, dict | set | frozenset) else 1 + _size(right), "in")
    elif isinstance(left, str | bytes) or isinstance(right, str | bytes):
        METER.take(1 + (_size(left) if _size(left) == _size(right) and left is not right else 0), "==")
    else:
        METER.take(1 + min(_deep(left), _deep(right)), "==")
    return right


def _call(function: Any, /, *arguments: Any, **keywords: Any) -> Any:
    """Call a function and take the steps that it takes, if it is one of C's."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, re.Pattern):
        _take_pattern_steps(function.__name__, owner, *arguments, **keywords)
        result = function(*arguments, **keywords)
        METER.take(_size(result) if isinstance(result, str | bytes | list) else 0, "regex")
        return result
    kind = type(function)
    if kind not in _NATIVE and not (kind is type and function in _MAKERS):
        if len(arguments) + len(keywords) > _FEW:
            METER.take(len(arguments) + len(keywords), "arguments")
        return function(*arguments, **keywords)
    before = len(owner) if isinstance(owner, str | bytes | bytearray | list) else 0
    result = function(*arguments, **keywords)
    METER.take(
        1 + _native_steps(function, owner, before, arguments, result),
        str(getattr(function, "__name__", function)),
    )
    return result


_FEW: Final = 8
_NATIVE: Final = (BuiltinFunctionType, MethodDescriptorType)
_MAKERS: Final = (
    str,
    bytes,
    bytearray,
    list,
    tuple,
    set,
    frozenset,
    dict,
    sorted,
    sum,
    any,
    all,
    max,
    min,
    map,
    zip,
    filter,
)
_CHEAP: Final = frozenset(
    {"append", "get", "add", "discard", "setdefault", "items", "keys", "values", "isinstance", "issubclass", "len", "type",
     "id", "getattr", "hasattr", "setattr", "iter", "next", "range", "enumerate", "reversed", "callable", "popitem", "hash",
     "bool", "abs", "repr"}
)  # fmt: skip
"""Functions and methods that take the same time whatever they are called with."""
_ENDS: Final = frozenset({"startswith", "endswith", "removeprefix", "removesuffix"})
_SEARCHES: Final = frozenset({"find", "rfind", "index", "rindex", "count"})


def _native_steps(function: Any, owner: Any, before: int, arguments: tuple[Any, ...], result: Any) -> int:
    name = getattr(function, "__name__", "")
    if name in _CHEAP:
        return 0
    if function is orjson.dumps or function is json.dumps:
        return len(result)
    if name in _ENDS:
        return _size(arguments[0]) + (_size(result) if isinstance(result, str | bytes) else 0)
    if name in _SEARCHES and isinstance(owner, str | bytes | bytearray):
        start = arguments[1] if len(arguments) > 1 else 0
        found = result if name in ("find", "index") and result >= 0 else before
        return max(0, int(found) - int(start))
    if name == "pop":
        return before - arguments[0] if arguments and isinstance(owner, list) and arguments[0] >= 0 else 0
    if isinstance(owner, str | bytes | bytearray):
        return before + _size(result)
    if isinstance(owner, list) and name in ("insert", "remove", "index", "count", "copy", "reverse", "sort"):
        return before
    if isinstance(owner, io.StringIO):
        return _size(result) if name == "getvalue" else _size(arguments[0]) if arguments else 0
    return sum(map(_size, arguments)) + (_size(result) if isinstance(result, str | bytes) else 0)


def _size(value: Any) -> int:
    """Return how many elements a value has; none for what has no length, or says it only by running code of the core."""
    if isinstance(value, str | bytes | bytearray | list | tuple | dict | set | frozenset):
        return len(value)
    return 0


def _deep(value: Any) -> int:
    """Return how many elements a value has, with those of its elements."""
    if isinstance(value, dict):
        return len(value) + sum(map(_deep, value.values()))
    if isinstance(value, list | tuple):
        return len(value) + sum(map(_deep, value))
    return _size(value)


HOOKS: Final[dict[str, Callable[..., Any]]] = {
    hook.__name__: hook for hook in (_one, _counted, _made, _added, _equal, _member, _right, _call)
}


# Regular expressions


def _take_pattern_steps(method: str, pattern: re.Pattern[Any], *arguments: Any, **keywords: Any) -> None:
    """Take the steps of a call of a pattern's method."""
    is_substitution = method in ("sub", "subn")
    given = arguments[1] if is_substitution else arguments[0]
    text = given if isinstance(given, str) else bytes(given).decode("latin-1")
    start = arguments[1] if len(arguments) > 1 and not is_substitution else keywords.get("pos", 0)
    end = arguments[2] if len(arguments) > 2 and not is_substitution else keywords.get("endpos", len(text))
    matcher = _Matcher(pattern, text[:end])
    if method in ("match", "fullmatch"):
        matcher.match(start, to_end=method == "fullmatch")
        return
    while start <= len(matcher.text):
        found = matcher.search(start)
        if found is None or method == "search":
            return
        start = found[1] + (found[1] == found[0])


@cache
def _tree(pattern: re.Pattern[Any]) -> list[Any]:
    """Return what Python's parser makes of a pattern."""
    return list(_parser.parse(pattern.pattern, pattern.flags))


class _Matcher:
    """A backtracking matcher for what Python's parser of regular expressions makes; it knows what the core's patterns use."""

    def __init__(self, pattern: re.Pattern[Any], text: str) -> None:
        self.text = text
        self._tree = _tree(pattern)
        self._is_dotall = bool(pattern.flags & re.DOTALL)
        if pattern.flags & (re.IGNORECASE | re.MULTILINE):
            raise NotImplementedError(pattern)

    def match(self, at: int, *, to_end: bool = False) -> int | None:
        """Return where the pattern ends if it matches here; with ``to_end`` only the end of the text will do."""
        ends = self._sequence(self._tree, 0, at)
        return next((end for end in ends if not to_end or end == len(self.text)), None)

    def search(self, at: int) -> tuple[int, int] | None:
        """Return where the pattern matches first."""
        for start in range(at, len(self.text) + 1):
            METER.take(1, "regex")
            end = self.match(start)
            if end is not None:
                return start, end
        return None

    def _sequence(self, nodes: list[Any], index: int, at: int) -> Iterator[int]:
        """Yield every place where the rest of a sequence may end, in the order in which a backtracking matcher tries them."""
        if index == len(nodes):
            yield at
            return
        for end in self._node(nodes[index], at):
            yield from self._sequence(nodes, index + 1, end)

    def _node(self, node: Any, at: int) -> Iterator[int]:  # noqa: C901, PLR0912 - one case for each kind of node
        METER.take(1, "regex")
        kind, value = node
        if kind in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
            if at < len(self.text) and self._holds(node, self.text[at]):
                yield at + 1
        elif kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            least, most, body = value
            if len(body) == 1 and body[0][0] in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
                yield from self._repeat_one(kind, least, most, body[0], at)
            else:
                yield from self._repeat(kind, least, most, list(body), at, 0)
        elif kind is op.SUBPATTERN:
            yield from self._sequence(list(value[-1]), 0, at)
        elif kind is op.BRANCH:
            for branch in value[1]:
                yield from self._sequence(list(branch), 0, at)
        elif kind in (op.ASSERT, op.ASSERT_NOT):
            direction, body = value
            if direction < 0:
                raise NotImplementedError(node)
            found = next(self._sequence(list(body), 0, at), None) is not None
            if found is (kind is op.ASSERT):
                yield at
        elif kind is op.AT:
            if self._is_at(value, at):
                yield at
        elif kind is op.ATOMIC_GROUP:
            first = next(self._sequence(list(value), 0, at), None)
            if first is not None:
                yield first
        else:
            raise NotImplementedError(node)

    def _repeat_one(self, kind: Any, least: int, most: Any, body: Any, at: int) -> Iterator[int]:
        """Repeat a single character: as many as there are, and then fewer; or few, and then more."""
        limit = len(self.text) if most is op.MAXREPEAT else min(len(self.text), at + most)
        if kind is op.MIN_REPEAT:
            yield from self._repeat_few(least, body, at, limit)
            return
        end = at
        while end < limit and self._holds(body, self.text[end]):
            METER.take(1, "regex")
            end += 1
        while end >= at + least:
            yield end
            if kind is op.POSSESSIVE_REPEAT:
                return
            METER.take(1, "regex")
            end -= 1

    def _repeat_few(self, least: int, body: Any, at: int, limit: int) -> Iterator[int]:
        for end in range(at, limit + 1):
            if end >= at + least:
                yield end
            if end == limit or not self._holds(body, self.text[end]):
                return
            METER.take(1, "regex")

    def _repeat(
        self, kind: Any, least: int, most: Any, body: list[Any], at: int, count: int
    ) -> Iterator[int]:
        METER.take(1, "regex")
        may_stop = count >= least
        if kind is op.MIN_REPEAT and may_stop:
            yield at
        if most is op.MAXREPEAT or count < most:
            for end in self._sequence(body, 0, at):
                if end != at:
                    yield from self._repeat(kind, least, most, body, end, count + 1)
                    if kind is op.POSSESSIVE_REPEAT:
                        return
        if kind is not op.MIN_REPEAT and may_stop:
            yield at

    def _holds(self, node: Any, char: str) -> bool:
        kind, value = node
        if kind is op.LITERAL:
            return bool(ord(char) == value)
        if kind is op.NOT_LITERAL:
            return bool(ord(char) != value)
        if kind is op.ANY:
            return self._is_dotall or char != "\n"
        negated = value[0][0] is op.NEGATE
        return any(map(_is_in, value[negated:], [char] * len(value))) is not negated

    def _is_at(self, where: Any, at: int) -> bool:
        if where in (op.AT_BEGINNING, op.AT_BEGINNING_STRING):
            return at == 0
        if where is op.AT_END_STRING:
            return at == len(self.text)
        if where is op.AT_END:
            return at == len(self.text) or self.text[at:] == "\n"
        if where in (op.AT_BOUNDARY, op.AT_NON_BOUNDARY):
            around = [
                0 <= place < len(self.text) and re.match(r"\w", self.text[place]) is not None
                for place in (at - 1, at)
            ]
            return (around[0] is not around[1]) is (where is op.AT_BOUNDARY)
        raise NotImplementedError(where)


_CATEGORIES: Final = {
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
}


def _is_in(member: Any, char: str) -> bool:
    kind, value = member
    if kind is op.LITERAL:
        return bool(ord(char) == value)
    if kind is op.RANGE:
        return bool(value[0] <= ord(char) <= value[1])
    if kind is op.CATEGORY:
        return re.match(_CATEGORIES[value], char) is not None
    raise NotImplementedError(member)
