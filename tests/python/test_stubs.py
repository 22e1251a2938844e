"""The type stubs, the module as it is, and its docstrings agree. (CI also runs mypy's stubtest over them.)"""

import ast
import inspect
import os
import sys
import unittest

import stoa

POSITIONAL_ONLY, EITHER, KEYWORD_ONLY = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)


def load():
    path = os.path.join(os.path.dirname(stoa.__file__), "__init__.pyi")
    with open(path, encoding="utf-8") as file:
        return ast.parse(file.read())


def public(names):
    return {name for name in names if not name.startswith("_")}


def parameters(node, method):
    """[(name, kind, default as source or None)] of a def in the stub; *args and **kwargs as their kinds."""
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + list(args.defaults)
    found = []
    for number, (arg, default) in enumerate(zip(positional, defaults)):
        kind = POSITIONAL_ONLY if number < len(args.posonlyargs) else EITHER
        found.append((arg.arg, kind, default and ast.unparse(default)))
    if args.vararg:
        found.append((args.vararg.arg, inspect.Parameter.VAR_POSITIONAL, None))
    for arg, default in zip(args.kwonlyargs, args.kw_defaults):
        found.append((arg.arg, KEYWORD_ONLY, default and ast.unparse(default)))
    if args.kwarg:
        found.append((args.kwarg.arg, inspect.Parameter.VAR_KEYWORD, None))
    return found[1:] if method else found


def is_overload(node):
    return any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list)


def is_property(node):
    return any(ast.unparse(decorator) == "property" for decorator in node.decorator_list)


class Stubs(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.body = load().body

    def test_same_names(self):
        stubbed = {node.name for node in self.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        running = {name for name in public(vars(stoa)) if not inspect.ismodule(getattr(stoa, name))} | {"Future"}
        self.assertEqual(public(stubbed), running)
        self.assertIsInstance(stoa.__version__, str)

    def test_all_lists_what_the_stub_lists(self):
        stubbed = {node.name for node in self.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        self.assertEqual(set(stoa.__all__), public(stubbed))
        self.assertEqual(sorted(stoa.__all__), sorted(set(stoa.__all__)))
        self.assertLessEqual(set(stoa.__all__), set(dir(stoa)))

    def compare(self, node, function, method):
        """A stub's parameters are the function's own; those of overloads are among them."""
        signature = inspect.signature(function)
        running = [(p.name, p.kind, p.default) for p in signature.parameters.values()]
        if method and running and running[0][0] in ("self", "cls", "type"):
            running = running[1:]
        stub = parameters(node, method)
        where = f"{node.name}{signature} and line {node.lineno} of the stub"
        if is_overload(node):
            kinds = {name: kind for name, kind, _ in running}
            for name, kind, _ in stub:
                self.assertIn(name, kinds, where)
                self.assertEqual(kinds[name], kind, where)
            return
        self.assertEqual([row[:2] for row in stub], [row[:2] for row in running], where)
        for (name, _, text), (_, _, default) in zip(stub, running):
            self.assertEqual(text is None, default is inspect.Parameter.empty, f"{where}: default of {name}")
            if text not in (None, "..."):
                self.assertEqual(ast.literal_eval(text), default, f"{where}: default of {name}")

    def test_functions(self):
        for node in self.body:
            if isinstance(node, ast.FunctionDef):
                with self.subTest(node.name):
                    self.compare(node, getattr(stoa, node.name), False)

    def test_classes(self):
        for node in self.body:
            if isinstance(node, ast.ClassDef):
                with self.subTest(node.name):
                    self.compare_class(node, getattr(stoa, node.name))

    def compare_class(self, node, cls):
        bases = [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases]
        bases = ["tuple" if base == "NamedTuple" else base for base in bases]  # the class statement makes one of the other
        bases = [base for base in bases if not base.startswith("Generic")]  # for type checkers only
        real = [base.__name__ for base in cls.__bases__ if base.__module__ not in ("_stoa", "queue")]
        self.assertEqual(bases or ["object"], real)
        stubbed = set()
        for member in node.body:
            if isinstance(member, ast.FunctionDef):
                stubbed.add(member.name)
                if is_property(member):
                    self.assertTrue(inspect.isdatadescriptor(inspect.getattr_static(cls, member.name)), member.name)
                elif member.name == "__new__":
                    self.compare(member, cls, True)
                else:
                    self.compare(member, getattr(cls, member.name), True)
        running = public(vars(cls))
        annotated = {member.target.id for member in node.body if isinstance(member, ast.AnnAssign)}
        self.assertEqual(public(stubbed) | (annotated & running), running)
        final = any(ast.unparse(decorator) == "final" for decorator in node.decorator_list)
        self.assertEqual(final, not cls.__flags__ & (1 << 10), f"{cls.__name__}: final in the stub, not in truth, or the reverse")

    def test_type_checkers_find_the_stubs(self):
        self.assertTrue(os.path.exists(os.path.join(os.path.dirname(stoa.__file__), "py.typed")))


class Docstrings(unittest.TestCase):
    def test_everything_public_has_one(self):
        for name in stoa.__all__:
            thing = getattr(stoa, name)
            with self.subTest(name):
                self.assertGreater(len(inspect.getdoc(thing) or ""), 20)
            if inspect.isclass(thing):
                for member in public(vars(thing)):
                    with self.subTest(f"{name}.{member}"):
                        self.assertGreater(len(inspect.getdoc(inspect.getattr_static(thing, member)) or ""), 10)

    def test_package(self):
        self.assertIn("python -m stoa demo", stoa.__doc__)


if __name__ == "__main__":
    sys.exit(unittest.main())
