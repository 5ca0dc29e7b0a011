"""What a built-in module registers, read from its source without importing it.

A component's signature is its schema and its docstring its manual, and both stand in the source. Importing the module
would bring torch along, which takes seconds; so checking a recipe or listing components reads, and only making a part
imports. Annotations and defaults are evaluated as they stand, with the names that the source gives them. A source
that says less than importing would is not guessed at: it is `UnreadableError`, and the module is imported instead.
"""

import ast
import builtins
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
LIBRARIES = {*sys.stdlib_module_names, "pydantic"}
"""What annotations and defaults may take from outside of ganforge; all of it is imported anyway."""


class UnreadableError(Exception):
    """The source alone does not say what importing it would; nobody sees this, the module is imported."""


class Declaration:
    """A class or function that a module registers, before the module is imported.

    It has what a component's schema and manual are made of: name, place, docstring, and a signature without `self`, in
    which options, being keyword-only, are annotated.

    Args:
        kind: singular, such as `generator`.
        name: as in a recipe.
        module: dotted name.
        qualname: of the class or function in it.
        doc: docstring as written.
        signature: of the function, or of the class's constructor.
        place: file and line of its first decorator.
    """

    def __init__(
        self, kind: str, name: str, module: str, qualname: str, doc: str, signature: inspect.Signature, place: str
    ) -> None:
        self.kind = kind
        self.name = name
        self.place = place
        self.__module__ = module
        self.__qualname__ = qualname
        self.__doc__ = doc
        self.__signature__ = signature
        self.__annotations__ = {
            parameter.name: parameter.annotation
            for parameter in signature.parameters.values()
            if parameter.annotation is not inspect.Parameter.empty
        }

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the part, as the class or function itself would."""
        return self.load()(*args, **kwargs)

    def load(self) -> Callable[..., Any]:
        """Import the module, and give the class or function itself."""
        return getattr(importlib.import_module(self.__module__), self.__qualname__)


@cache
def declarations(module: str) -> tuple[Declaration, ...]:
    """What a module of ganforge registers with `@register.<kind>("<name>")`, in the order of its source.

    Raises:
        UnreadableError: nothing is registered so, or a name, signature or docstring cannot be told without importing.
    """
    source = _source(module)
    found = tuple(_declared(source))
    if not found:
        raise UnreadableError(f"{module} has no component with a decorator")
    return found


def _declared(source: "_Source") -> Iterator[Declaration]:
    for node in source.definitions.values():
        registrations = [found for item in node.decorator_list if (found := _registration(item)) is not None]
        if not registrations:
            continue
        if len(registrations) < len(node.decorator_list):
            raise UnreadableError(f"{source.module}.{node.name} has another decorator, which may change its signature")
        doc = ast.get_docstring(node, clean=False)
        if doc is None:
            raise UnreadableError(f"{source.module}.{node.name} has no docstring of its own")
        signature = _signature(source, node)
        place = f"{source.path}:{node.decorator_list[0].lineno}"
        for kind, name in registrations:
            yield Declaration(kind, source.evaluate(name), source.module, node.name, doc, signature, place)


def _registration(decorator: ast.expr) -> tuple[str, ast.expr] | None:
    """The kind and the name in `register.<kind>(<name>)`; None for another decorator."""
    match decorator:
        case ast.Call(ast.Attribute(ast.Name("register"), kind), [name], []):
            return kind, name
        case _:
            return None


def _signature(source: "_Source", node: ast.ClassDef | ast.FunctionDef) -> inspect.Signature:
    if isinstance(node, ast.FunctionDef):
        return _parameters(source, node.args)
    where, constructor = _constructor(source, node)
    if constructor is None:
        return inspect.Signature()
    signature = _parameters(where, constructor.args)
    return signature.replace(parameters=[*signature.parameters.values()][1:])


def _constructor(source: "_Source", node: ast.ClassDef) -> "tuple[_Source, ast.FunctionDef | None]":
    """The `__init__` that a class has or inherits, and where it stands; None for that of `object`."""
    own = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    if "__new__" in own or any(_registration(item) is None for item in node.decorator_list):
        raise UnreadableError(f"{source.module}.{node.name} is made in a way of its own")
    if "__init__" in own:
        return source, own["__init__"]
    for base in node.bases:
        home, definition = source.follow(base)
        if isinstance(definition, ast.ClassDef):
            where, constructor = _constructor(home, definition)
            if constructor is not None:
                return where, constructor
        elif source.evaluate(base).__init__ is not object.__init__:
            raise UnreadableError(f"{source.module}.{node.name} inherits its constructor from a library")
    return source, None


def _parameters(source: "_Source", arguments: ast.arguments) -> inspect.Signature:
    if arguments.vararg or arguments.kwarg:
        raise UnreadableError(f"{source.module}: takes more than it names")
    kinds = inspect.Parameter
    found = [kinds(item.arg, kinds.POSITIONAL_ONLY) for item in arguments.posonlyargs]
    found += [kinds(item.arg, kinds.POSITIONAL_OR_KEYWORD) for item in arguments.args]
    for item, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        annotation = kinds.empty if item.annotation is None else source.evaluate(item.annotation)
        value = kinds.empty if default is None else source.evaluate(default)
        found.append(kinds(item.arg, kinds.KEYWORD_ONLY, default=value, annotation=annotation))
    return inspect.Signature(found)


@cache
def _source(module: str) -> "_Source":
    return _Source(module)


class _Source:
    """A module's top level: what it defines, what it assigns, what it imports from where; by name."""

    def __init__(self, module: str) -> None:
        self.module = module
        base = PACKAGE.joinpath(*module.split(".")[1:])
        self.path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        try:
            tree = ast.parse(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError) as error:
            raise UnreadableError(f"{module}: {error}") from error
        self.definitions: dict[str, ast.ClassDef | ast.FunctionDef] = {}
        self.imports: dict[str, tuple[str, str | None]] = {}
        self.assigned: dict[str, ast.expr] = {}
        self.values: dict[str, Any] = {}
        for node in tree.body:
            self._enter(node)

    def _enter(self, node: ast.stmt) -> None:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            self.definitions[node.name] = node
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            self.assigned[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
            self.assigned[node.target.id] = node.value
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            self.imports |= {item.asname or item.name: (node.module, item.name) for item in node.names}
        elif isinstance(node, ast.Import):
            self.imports |= {item.asname or item.name: (item.name, None) for item in node.names}

    def evaluate(self, expression: ast.expr) -> Any:
        """The value of an expression at the module's top level."""
        code = compile(ast.Expression(expression), str(self.path), "eval")
        try:
            return eval(code, {"__builtins__": builtins}, _Names(self))
        except UnreadableError:
            raise
        except Exception as error:
            raise UnreadableError(f"{self.module}: {ast.unparse(expression)}: {error}") from error

    def value(self, name: str) -> Any:
        """What the module means by a name.

        Raises:
            KeyError: nothing; it may be a built-in of Python.
        """
        if name not in self.values:
            self.values[name] = self._value(name)
        return self.values[name]

    def _value(self, name: str) -> Any:
        if name in self.assigned:
            return self.evaluate(self.assigned[name])
        if name in self.definitions:
            raise UnreadableError(f"{self.module}.{name} is a definition")
        module, item = self.imports[name]
        if item is not None and _is_ours(module):
            return _source(module).value(item)
        if module.partition(".")[0] not in LIBRARIES:
            raise UnreadableError(f"{self.module}: {name} is of {module}")
        imported = importlib.import_module(module)
        return imported if item is None else getattr(imported, item)

    def follow(self, name: ast.expr) -> "tuple[_Source, ast.ClassDef | ast.FunctionDef | None]":
        """Where in ganforge a name is defined, through all imports; None if elsewhere."""
        if not isinstance(name, ast.Name):
            return self, None
        home, item = self, name.id
        while item not in home.definitions:
            module, inner = home.imports.get(item, ("", None))
            if inner is None or not _is_ours(module):
                return self, None
            home, item = _source(module), inner
        return home, home.definitions[item]


class _Names(dict[str, Any]):
    """A module's names, looked up when an expression needs them."""

    def __init__(self, source: _Source) -> None:
        super().__init__()
        self._source = source

    def __missing__(self, name: str) -> Any:
        return self._source.value(name)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "ganforge"
