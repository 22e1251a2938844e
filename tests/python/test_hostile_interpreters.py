"""What interpreters say to bad input, and to exceptions that misbehave; and processes that end badly prepared."""
import builtins
import os
import pickle
import subprocess
import sys
import textwrap
import types
import unittest

import stoa


class Interpreters(unittest.TestCase):
    def test_closed_interpreter(self):
        interpreter = stoa.Interpreter(name="soon gone")
        interpreter.close()
        interpreter.close()
        self.assertTrue(interpreter.closed)
        for call in (lambda: interpreter.exec("1"), lambda: interpreter.call(len, ()), lambda: interpreter.submit(len, ()), lambda: interpreter.prepare_main(a=1)):
            with self.assertRaises(stoa.InterpreterGone) as caught:
                call()
            self.assertIn("soon gone", str(caught.exception))

    def test_syntax_error_in_exec(self):
        with stoa.Interpreter() as interpreter:
            for source in ("def (", "x = = 1", "\0", "if True:\npass", "'unclosed"):
                with self.assertRaises((SyntaxError, ValueError)) as caught:
                    interpreter.exec(source)
                self.assertTrue(str(caught.exception))
            interpreter.exec("x = 1")

    def test_exception_from_exec(self):
        with stoa.Interpreter(name="raiser") as interpreter:
            with self.assertRaises(ZeroDivisionError) as caught:
                interpreter.exec("def inner():\n    return 1 / 0\ninner()")
            self.assertIn("division", str(caught.exception))
            self.assertIn("inner", str(caught.exception.__cause__), "the remote traceback")
            interpreter.exec("assert 1 + 1 == 2")

    def test_exception_of_a_type_that_is_not_here(self):
        with stoa.Interpreter() as interpreter:
            with self.assertRaises(stoa.RemoteError) as caught:
                interpreter.exec("class Own(Exception):\n    pass\nraise Own('only there')")
            self.assertIn("Own", caught.exception.type_name)
            self.assertIn("only there", str(caught.exception))

    def test_exceptions_that_misbehave(self):
        sources = ("class E(Exception):\n def __str__(self): raise ValueError('no text')\nraise E",
                   "class E(Exception):\n def __init__(self, a, b): super().__init__(a)\nraise E(1, 2)",
                   "class E(BaseException):\n def __repr__(self): return 5\nraise E", "raise KeyError(object())", "raise ValueError('\\ud800')",
                   "raise ExceptionGroup('g', [ValueError(1), TypeError(2)])", "e = ValueError(1)\ne.__cause__ = e\nraise e",
                   "def f(): f()\nf()", "raise SystemError", "raise OSError(2, 'text', 'file')", "raise UnicodeDecodeError('a', b'b', 0, 1, 'r')")
        with stoa.Interpreter() as interpreter:
            for source in sources:
                with self.subTest(source), self.assertRaises(BaseException) as caught:
                    interpreter.exec(source)
                self.assertNotIsInstance(caught.exception, AssertionError)
                interpreter.exec("1")

    def test_an_exception_without_text_says_so(self):
        with stoa.Interpreter() as interpreter:
            with self.assertRaises(stoa.RemoteError) as caught:
                interpreter.exec("class OnlyThere(Exception):\n def __str__(self): raise ValueError('no text')\nraise OnlyThere")
        self.assertIn("<exception str() failed>", str(caught.exception))
        self.assertIn("OnlyThere", caught.exception.type_name)

    def test_system_exit_does_not_end_this_program(self):
        with stoa.Interpreter() as interpreter:
            for source, code in (("raise SystemExit(3)", "3"), ("import sys; sys.exit('a reason')", "a reason"), ("raise SystemExit", "SystemExit")):
                with self.assertRaises(stoa.RemoteError) as caught:
                    interpreter.exec(source)
                self.assertIn("SystemExit", caught.exception.type_name)
                self.assertIn(code, str(caught.exception))
            interpreter.exec("1")

    def test_bad_things_to_call(self):
        with stoa.Interpreter() as interpreter:
            for function, errors in (("no_such_module_anywhere:f", ImportError), ("json:no_such", AttributeError), ("json", ValueError), ("", ValueError),
                                     (":x", ValueError), ("json:", ValueError), (5, TypeError), (None, TypeError), ("json:__name__", TypeError)):
                with self.subTest(function), self.assertRaises(errors):
                    interpreter.call(function)
            self.assertEqual(interpreter.call("json:dumps", (1, 2)), "[1, 2]")

    def test_what_is_not_immutable_crosses_as_a_proxy(self):
        with stoa.Interpreter() as interpreter:
            with self.assertRaises(TypeError) as caught:
                interpreter.call("builtins:len", object())
            self.assertIn("object", str(caught.exception))
            made = interpreter.call("builtins:object")
            self.assertTrue(stoa.is_proxy(made))
            with self.assertRaises(TypeError):
                interpreter.call("builtins:len", [1], unknown=object())
        with self.assertRaises(stoa.InterpreterGone):
            hash(made)

    def test_source_that_is_none(self):
        with stoa.Interpreter() as interpreter:
            for source in (None, 5, b"x = 1", ["x"]):
                with self.subTest(source), self.assertRaises(TypeError):
                    interpreter.exec(source)

    def test_prepare_main_with_bad_names_and_values(self):
        with stoa.Interpreter() as interpreter:
            self.assertRaises(TypeError, interpreter.prepare_main, {5: 1})
            interpreter.prepare_main({"a": object()})
            interpreter.exec("import stoa; assert stoa.is_proxy(a)")

    def test_interpreters_are_named(self):
        module = sys.modules["hostile_gone"] = types.ModuleType("hostile_gone")
        self.addCleanup(sys.modules.pop, "hostile_gone", None)
        exec("class Gone:\n  def __reduce__(self): return Gone, ()", module.__dict__)
        frozen = stoa.freeze([module.Gone()])
        with stoa.Interpreter(name="a worker") as other, self.assertRaisesRegex(stoa.Error, "cannot be built in interpreter 'a worker'"):
            other.prepare_main(x=frozen)


class Processes(unittest.TestCase):
    def run_child(self, script, **environment):
        return subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env={**os.environ, **environment}, capture_output=True, text=True, timeout=100)

    def test_interpreters_left_open_at_exit(self):
        child = self.run_child("""
            import stoa
            kept = [stoa.Interpreter() for _ in range(3)]
            for i in kept:
                i.exec("import stoa; x = stoa.freeze(['in here'])")
            print('end')
        """)
        self.assertEqual((child.returncode, child.stdout), (0, "end\n"), child.stderr)

    def test_bad_settings_are_named(self):
        for name, value in (("STOA_GUARD", "sometimes"), ("STOA_HEAP_RESERVE", "much"), ("STOA_HEAP_LIMIT", "-5")):
            child = self.run_child("import stoa; print(stoa.freeze((1, 'x y')))", **{name: value})
            with self.subTest(name):
                self.assertIn(name, child.stderr)
                self.assertNotIn("Traceback (most recent call last):\n  File \"<frozen", child.stderr)
                self.assertGreaterEqual(child.returncode, 0)

    def test_shared_objects_pickled_into_another_process(self):
        value = stoa.freeze({"a": [1, {"b"}], "c": b"x"})
        child = self.run_child("import sys, pickle; print(pickle.loads(bytes.fromhex(sys.stdin.read() or '80044b052e')))")
        self.assertEqual(child.returncode, 0, child.stderr)
        self.assertEqual(pickle.loads(pickle.dumps(stoa.thaw(value))), {"a": [1, {"b"}], "c": b"x"})

    def test_builtins_replaced(self):
        child = self.run_child("""
            import builtins, stoa
            builtins.frozenset = builtins.dict = builtins.tuple = None
            print(stoa.freeze({'a': [1, {2}]})['a'][0], stoa.thaw(stoa.freeze([1])))
        """)
        self.assertEqual((child.returncode, child.stdout), (0, "1 [1]\n"), child.stderr)
        self.assertTrue(builtins.tuple)


if __name__ == "__main__":
    unittest.main()
