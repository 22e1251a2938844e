"""Exceptions that cross from one interpreter to another."""

import traceback
import unittest
import urllib.error

import stoa


class Plain(Exception):
    pass


class Fussy(Exception):
    """Its __init__ wants something else than what it passes on."""

    def __init__(self, code, *, hint=None):
        super().__init__(f"code {code}")
        self.code = code
        self.hint = hint


class OwnOSError(OSError):
    pass


class OwnReduce(Exception):
    def __reduce__(self):
        raise RuntimeError("no")


class BadStr(Exception):
    def __str__(self):
        raise RuntimeError("no str")


class BadRepr:
    def __repr__(self):
        raise RuntimeError("no repr")


def make_noted_stop():
    error = StopIteration(5)
    error.add_note("a note")
    return error


def throw(what):
    raise {
        "plain": lambda: Plain("a", 1),
        "fussy": lambda: Fussy(7, hint="try"),
        "oserror": lambda: FileNotFoundError(2, "gone", "a.txt"),
        "ownoserror": lambda: OwnOSError(13, "denied", "b.txt"),
        "unicode": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        "stop": lambda: StopIteration(5),
        "noted stop": make_noted_stop,
        "exit": lambda: SystemExit(3),
        "interrupt": lambda: KeyboardInterrupt(),
        "generator": lambda: GeneratorExit(),
        "key": lambda: KeyError(("a", 1)),
        "import": lambda: ImportError("no", name="x", path="y"),
        "name": make_name,
        "http": lambda: urllib.error.HTTPError("u", 404, "m", None, None),
        "later": make_later,
        "uncrossable": lambda: Plain(object(), BadRepr(), [1, {2}]),
        "ownreduce": lambda: OwnReduce("r"),
        "badstr": lambda: BadStr("s"),
        "local": make_local,
        "notes": make_notes,
        "chain": make_chain,
        "group": make_group,
        "surrogates": lambda: ValueError("\ud800"),
        "remote": lambda: make_remote(),
        "notfreezable": lambda: make_not_freezable(),
        "memory": lambda: MemoryError(),
    }[what]()


def make_local():
    class Local(Exception):
        pass

    return Local("only here")


def make_name():
    return nowhere  # noqa: F821


def make_later():
    error = SyntaxError("bad", ("a.py", 3, 1, "text"))
    error.filename = "b.py"
    return error


def make_notes():
    error = ValueError("noted")
    error.add_note("one")
    error.add_note("two")
    error.extra = (1, [2])
    return error


def make_chain():
    try:
        raise KeyError("first")
    except KeyError as error:
        second = ValueError("second")
        second.__cause__ = error
        return second


def make_group():
    return ExceptionGroup("both", [ValueError(1), ExceptionGroup("inner", [Fussy(2), make_local()])])


def make_remote():
    try:
        with stoa.Interpreter() as other:
            other.call(throw, "local")
    except stoa.RemoteError as error:
        return error


def make_not_freezable():
    try:
        stoa.share([1])
    except stoa.NotFreezable as error:
        return error


class Exceptions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.interp = stoa.Interpreter(name="thrower")
        cls.addClassCleanup(cls.interp.close)

    def caught(self, what, expected):
        with self.assertRaises(expected) as caught:
            self.interp.call(throw, what)
        self.assertIs(type(caught.exception), expected)
        return caught.exception

    def test_importable_class(self):
        self.assertEqual(self.caught("plain", Plain).args, ("a", 1))

    def test_init_does_not_run(self):
        error = self.caught("fussy", Fussy)
        self.assertEqual((error.args, error.code, error.hint, str(error)), (("code 7",), 7, "try", "code 7"))

    def test_os_error(self):
        error = self.caught("oserror", FileNotFoundError)
        self.assertEqual((error.errno, error.strerror, error.filename), (2, "gone", "a.txt"))
        self.assertEqual(str(error), "[Errno 2] gone: 'a.txt'")
        error = self.caught("ownoserror", OwnOSError)
        self.assertEqual((error.errno, error.filename), (13, "b.txt"))

    def test_fields_of_builtins(self):
        error = self.caught("unicode", UnicodeDecodeError)
        self.assertEqual((error.object, error.reason), (b"\xff", "bad"))
        self.assertEqual(self.caught("stop", StopIteration).value, 5)
        error = self.caught("noted stop", StopIteration)
        self.assertEqual((error.value, error.__notes__), (5, ["a note"]))
        self.assertEqual(self.caught("key", KeyError).args, (("a", 1),))
        error = self.caught("import", ImportError)
        self.assertEqual((error.name, error.path, error.msg), ("x", "y", "no"))
        self.assertEqual(self.caught("name", NameError).name, "nowhere")  # no argument, no attribute: CPython puts it there
        error = self.caught("http", urllib.error.HTTPError)  # its own __init__, which does not run here, did
        self.assertEqual((error.filename, error.code), ("u", 404))
        error = self.caught("later", SyntaxError)
        self.assertEqual((error.msg, error.filename, error.lineno), ("bad", "b.py", 3))

    def test_what_is_no_exception(self):
        self.assertEqual(self.caught("exit", SystemExit).code, 3)
        self.caught("interrupt", KeyboardInterrupt)
        self.caught("generator", GeneratorExit)
        self.caught("memory", MemoryError)

    def test_what_is_mutable_in_it_is_a_proxy_or_a_copy(self):
        args = self.caught("uncrossable", Plain).args
        self.assertTrue(stoa.is_proxy(args[0]))
        self.assertEqual(args[2], [1, {2}])
        self.assertEqual(len(args), 3)

    def test_hostile_classes(self):
        self.assertEqual(self.caught("ownreduce", OwnReduce).args, ("r",))
        self.assertEqual(self.caught("badstr", BadStr).args, ("s",))

    def test_class_that_is_not_here(self):
        error = self.caught("local", stoa.RemoteError)
        self.assertTrue(error.type_name.endswith("make_local.<locals>.Local"), error.type_name)
        self.assertIn("only here", str(error))
        self.assertIn("only here", error.text)

    def test_main_class_is_not_ours(self):
        self.interp.exec("class OnlyThere(Exception): pass\ndef f(): raise OnlyThere('x')")
        with self.assertRaises(stoa.RemoteError) as caught:
            self.interp.call("__main__:f")
        self.assertEqual(caught.exception.type_name, "__main__.OnlyThere")

    def test_notes_and_attributes(self):
        error = self.caught("notes", ValueError)
        self.assertEqual(error.__notes__, ["one", "two"])
        self.assertEqual(error.extra, (1, [2]))

    def test_traceback_text(self):
        error = self.caught("chain", ValueError)
        text = "".join(traceback.format_exception(error))
        self.assertIn("KeyError: 'first'", text)
        self.assertIn("in throw", text)
        self.assertIn("direct cause", text)
        self.assertIn("Traceback (most recent call last)", error.__cause__.text)

    def test_group(self):
        group = self.caught("group", ExceptionGroup)
        self.assertEqual(group.message, "both")
        self.assertIsInstance(group.exceptions[0], ValueError)
        inner = group.exceptions[1]
        self.assertEqual([type(e) for e in inner.exceptions], [Fussy, stoa.RemoteError])
        self.assertEqual(inner.exceptions[0].code, 2)

    def test_surrogates(self):
        self.assertEqual(self.caught("surrogates", ValueError).args, ("\ud800",))

    def test_two_hops(self):
        error = self.caught("remote", stoa.RemoteError)
        self.assertTrue(error.type_name.endswith("Local"))

    def test_own_classes(self):
        error = self.caught("notfreezable", stoa.NotFreezable)
        self.assertEqual(error.type_name, "list")

    def test_it_is_not_left_behind(self):
        self.caught("plain", Plain)
        self.assertIsNone(self.interp.call("sys:exception"))


if __name__ == "__main__":
    unittest.main()
