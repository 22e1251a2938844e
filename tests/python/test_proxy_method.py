"""p.method(x): the way in one crossing must mean what asking for the attribute each time means."""
import gc
import unittest

import stoa

SOURCE = """
import collections, stoa
class Base:
    def inherited(self): return 'base'
class Thing(Base):
    limit = 5
    def __init__(self, name): self.name = name
    def method(self, *args, **kwargs): return (self.name, args, tuple(sorted(kwargs.items())))
    def me(self): return self
    def other(self): return 'other'
    @property
    def prop(self): return self.name.upper()
    @classmethod
    def made(cls): return cls.__name__
    @staticmethod
    def plain(x): return x
    def fails(self): raise ValueError(self.name)
class Slots:
    __slots__ = ('x',)
    def get(self): return self.x
class Hooked:
    def __getattr__(self, name): return lambda: 'hook ' + name
    def real(self): return 'real'
class Sub(list):
    def twice(self): return len(self) * 2
def thing(name='t'): return Thing(name)
def do(source): exec(source, globals())
def get(name): return globals()[name]
def call(f, *args): return f(*args)
def make(name, *args): return globals()[name](*args)
t = Thing('t')
"""


class Case(unittest.TestCase):
    def setUp(self):
        self.owner = stoa.Interpreter(name="owner")
        self.addCleanup(self.owner.close)
        self.owner.exec(SOURCE)
        self.t = self.get("t")

    def do(self, source):
        self.owner.call("__main__:do", source)

    def get(self, name):
        return self.owner.call("__main__:get", name)

    def known(self, p, *names):
        """Afterwards p's methods of these names are fetched without asking."""
        for _ in range(4):
            for name in names:
                getattr(p, name)
        for name in names:
            self.assertEqual(self.crossings(lambda: getattr(p, name)), 0, name)

    def crossings(self, function):
        """The least of a few: the thread that lets go of dead objects may enter, too."""
        def once():
            before = stoa.stats()["counters"]["calls"]
            function()
            return stoa.stats()["counters"]["calls"] - before
        return min(once() for _ in range(4))


class OneCrossing(Case):
    def test_method_of_a_class_is_one_crossing(self):
        self.known(self.t, "method", "inherited")
        self.assertEqual(self.crossings(lambda: self.t.method(1)), 1)
        self.assertEqual(self.t.method(1, (2,), a=3), ("t", (1, (2,)), (("a", 3),)))
        self.assertEqual(self.t.method(*range(12), **{f"k{i}": i for i in range(12)})[1], tuple(range(12)))
        self.assertEqual(self.t.inherited(), "base")
        self.assertIs(self.t.me(), self.t)

    def test_methods_of_builtin_types(self):
        for made, name, args in [("list", "count", (1,)), ("dict", "get", (1,)), ("bytearray", "find", (b"x",)), ("set", "isdisjoint", ((),)),
                                 ("collections.deque", "count", (1,)), ("collections.OrderedDict", "get", (1, 2)), ("Sub", "twice", ()),
                                 ("Sub", "count", (7,))]:
            with self.subTest(made=made, name=name):
                self.do(f"x = {made}()")
                p = self.get("x")
                self.known(p, name)
                self.assertEqual(self.crossings(lambda: getattr(p, name)(*args)), 1)
                self.do(f"wanted = x.{name}(*{args!r})")
                self.assertEqual(getattr(p, name)(*args), self.get("wanted"))

    def test_slots(self):
        self.do("x = Slots(); x.x = 8")
        p = self.get("x")
        self.known(p, "get")
        self.assertEqual(p.get(), 8)

    def test_a_proxy_used_once_teaches_nothing_and_others_of_its_class_are_known(self):
        first = self.owner.call("__main__:thing", "first")
        self.known(first, "method")
        second = self.owner.call("__main__:thing", "second")
        self.assertEqual(self.crossings(lambda: second.method()), 1)
        self.assertEqual(second.method(), ("second", (), ()))

    def test_exceptions_cross(self):
        self.known(self.t, "fails")
        with self.assertRaises(ValueError) as caught:
            self.t.fails()
        self.assertIn("in fails", str(caught.exception.__cause__))


class Changes(Case):
    def test_missing_name_raises_when_it_is_asked_for(self):
        self.known(self.t, "other")
        self.do("del Thing.other")
        with self.assertRaises(AttributeError):
            self.t.other
        self.assertFalse(hasattr(self.t, "other"))

    def test_class_changes(self):
        self.known(self.t, "other", "inherited")
        before = self.t.other
        self.do("Thing.other = lambda self: 'new'; Base.inherited = lambda self: 'new base'")
        self.assertEqual(self.t.other(), "new")
        self.assertEqual(self.t.inherited(), "new base")
        self.assertEqual(before(), "other")  # bound when it was fetched, as in Python
        self.do("Thing.inherited = 7")
        self.assertEqual(self.t.inherited, 7)

    def test_method_fetched_before_its_class_loses_it(self):
        self.known(self.t, "other")
        method = self.t.other
        self.do("del Thing.other")
        gc.collect()
        self.assertEqual(method(), "other")
        self.assertEqual(method.__name__, "other")

    def test_becomes_a_property(self):
        self.known(self.t, "other")
        self.do("Thing.other = property(lambda self: 'value')")
        self.assertEqual(self.t.other, "value")

    def test_attribute_of_the_object_hides_it(self):
        self.known(self.t, "method")
        self.do("t.method = 5")
        self.assertEqual(self.t.method, 5)
        self.do("del t.method")
        self.assertEqual(self.t.method(), ("t", (), ()))

    def test_attribute_of_the_object_set_by_its_dict(self):
        for how in ("t.__dict__['other'] = 5", "t.__dict__ = {'name': 't', 'other': 5}", "vars(t).update(other=5)",
                    "object.__setattr__(t, 'other', 5)"):
            with self.subTest(how=how):
                self.do("t = Thing('t')")
                t = self.get("t")
                for _ in range(4):
                    t.other
                self.do(how)
                self.assertEqual(t.other, 5)

    def test_attribute_set_through_the_proxy(self):
        self.known(self.t, "other")
        self.t.other = 6
        self.assertEqual(self.t.other, 6)

    def test_attribute_of_another_object_of_the_class(self):
        self.do("u = Thing('u')")
        u = self.get("u")
        self.known(self.t, "other")
        self.known(u, "other")
        self.do("u.other = 5")
        self.assertEqual((self.t.other(), u.other), ("other", 5))

    def test_object_gets_another_class(self):
        self.do("class Fresh:\n    def method(self): return 'fresh'")
        self.known(self.t, "method", "other")
        self.do("t.__class__ = Fresh")
        self.assertEqual(self.t.method(), "fresh")
        with self.assertRaises(AttributeError):
            self.t.other
        self.do("t.__class__ = Thing")
        self.assertEqual(self.t.other(), "other")

    def test_class_gets_another_base_or_a_hook(self):
        self.known(self.t, "inherited")
        self.do("class Base2:\n    def inherited(self): return 'base 2'\nThing.__bases__ = (Base2,)")
        self.assertEqual(self.t.inherited(), "base 2")
        self.known(self.t, "inherited")
        self.do("Thing.__getattribute__ = lambda self, name: 'hooked'")
        self.assertEqual(self.t.inherited, "hooked")

    def test_name_arrives_with_a_subclass_of_str(self):
        class Name(str):
            pass
        self.known(self.t, "other")
        self.assertEqual(getattr(self.t, Name("other"))(), "other")
        setattr(self.t, Name("other"), 5)
        self.assertEqual(getattr(self.t, Name("other")), 5)
        with self.assertRaises(TypeError):
            self.t.__getattribute__(5)

    def test_many_classes(self):
        kept = []
        for i in range(50):
            self.do(f"class K:\n    def value(self): return {i}\nk = K()")
            kept.append(self.get("k"))
            for _ in range(5):
                self.assertEqual(kept[-1].value(), i)
        self.assertEqual([k.value() for k in kept], list(range(50)))


class Others(Case):
    """What is not a function of the class is asked for each time."""

    def test_evaluated_at_each_fetch(self):
        self.do("count = 0\nclass P:\n    @property\n    def p(self):\n        global count; count += 1; return self.f\n    def f(self): return count\np = P()")
        p = self.get("p")
        for i in range(1, 8):
            self.assertEqual(p.p(), i)

    def test_hooks_and_kinds_of_methods(self):
        h = self.owner.call("__main__:make", "Hooked")
        for _ in range(5):
            self.assertEqual(h.anything(), "hook anything")
            self.assertEqual(h.real(), "real")
            self.assertEqual(self.t.made(), "Thing")
            self.assertEqual(self.t.plain(3), 3)
            self.assertEqual(self.t.prop, "T")
            self.assertEqual(self.t.limit, 5)
        self.assertIs(self.t.plain, self.t.plain)

    def test_options_apply_to_methods(self):
        self.do("def slow(self):\n    while True: pass\nThing.slow = slow")
        limited = stoa.options(self.t, timeout=60)
        self.known(self.t, "other")
        for _ in range(4):
            self.assertEqual(limited.other(), "other")
        self.known(self.t, "slow")
        limited = stoa.options(self.t, timeout=0.05)
        with self.assertRaises(stoa.Timeout):
            limited.slow()


class AsAnObject(Case):
    def test_is_the_bound_method_for_everybody(self):
        self.known(self.t, "method")
        method = self.t.method
        self.assertIs(type(method), stoa.Proxy)
        self.assertEqual(method.__name__, "method")
        self.assertIs(method.__self__, self.t)
        self.assertIn("bound method Thing.method", repr(self.t.method))
        self.assertEqual(self.t.method, self.t.method)
        self.assertNotEqual(self.t.method, self.t.other)
        self.assertEqual(hash(self.t.method), hash(self.t.method))
        self.assertEqual(len({self.t.method, self.t.method}), 1)
        self.assertEqual(stoa.owner(self.t.method).name, self.owner.name)
        self.assertEqual(self.t.method.__func__.__qualname__, "Thing.method")

    def test_goes_home_as_the_bound_method(self):
        self.known(self.t, "method")
        self.do("def same(m): return type(m).__name__, m == t.method, m.__self__ is t")
        self.assertEqual(self.owner.call("__main__:same", self.t.method), ("method", True, True))
        self.assertEqual(self.owner.call("__main__:call", self.t.method, 1), ("t", (1,), ()))

    def test_goes_to_a_third(self):
        self.known(self.t, "method")
        with stoa.Interpreter(name="third") as third:
            third.exec("def use(m): return m(1), m.__name__")
            self.assertEqual(third.call("__main__:use", self.t.method), (("t", (1,), ()), "method"))

    def test_released(self):
        self.known(self.t, "method")
        method = self.t.method
        stoa.release(self.t)
        with self.assertRaises(stoa.ReleasedProxy):
            self.t.method
        self.assertEqual(method(), ("t", (), ()))
        stoa.release(method)
        with self.assertRaises(stoa.ReleasedProxy):
            method()

    def test_owner_closed(self):
        self.known(self.t, "method", "other")
        method = self.t.method
        self.owner.close()
        for use in (method, lambda: self.t.method, lambda: self.t.other(), lambda: method.__name__):
            with self.assertRaises(stoa.InterpreterGone):
                use()

    def test_submitted(self):
        self.known(self.t, "method")
        self.assertEqual(stoa.submit(self.t.method, 4).result(10), ("t", (4,), ()))


class Lifetimes(Case):
    def test_class_ends_with_its_last_proxy(self):
        self.do("import weakref, gc\nclass K:\n    def value(self): return 1\nk = K(); w = weakref.ref(K); f = weakref.ref(K.value)")
        k = self.get("k")
        self.known(k, "value")
        method = k.value
        self.do("del k, K; gc.collect(); alive = w() is not None")
        self.assertTrue(self.get("alive"))
        del k
        self.assertEqual(method(), 1)
        del method
        self.do("gc.collect(); alive = w() is not None, f() is not None")
        self.assertEqual(self.get("alive"), (False, False))

    def test_nothing_is_left(self):
        def handles():
            self.do("pass")
            return stoa.stats()["proxies"]["handles"]
        self.known(self.t, "method")
        before = handles()
        for _ in range(50):
            p = self.owner.call("__main__:thing")
            for _ in range(5):
                p.method()
                hash(p.other)
        del p
        self.assertLessEqual(handles(), before + 1)  # Thing.other is known now

    def test_caller_closed(self):
        with stoa.Interpreter(name="caller") as caller:
            caller.exec("def use(t):\n    global kept\n    for _ in range(5): kept = t.method, t.method()")
            caller.call("__main__:use", self.t)
        self.assertEqual(self.t.method(), ("t", (), ()))


if __name__ == "__main__":
    unittest.main()
