"""share(): as freeze(), but nothing changes its type."""

import types
import unittest

import stoa


class Share(unittest.TestCase):
    def refused(self, value, path, type_name):
        with self.assertRaises(stoa.NotFreezable) as caught:
            stoa.share(value)
        self.assertEqual((caught.exception.path, caught.exception.type_name), (path, type_name))
        self.assertIn("freeze()", str(caught.exception))

    def test_mutable_things_are_refused_with_the_path_to_the_first(self):
        self.refused([], "$", "list")
        self.refused({}, "$", "dict")
        self.refused(set(), "$", "set")
        self.refused(bytearray(), "$", "bytearray")
        self.refused((1, ("a", [2]), {}), "$[1][1]", "list")
        self.refused(types.MappingProxyType({"k": (1, {2})}), "$['k'][1]", "set")
        self.refused(slice(None, [1]), "$.stop", "list")

    def test_message_says_where_what_why_and_what_to_do(self):
        with self.assertRaises(stoa.NotFreezable) as caught:
            stoa.share((1, [2]))
        self.assertEqual(str(caught.exception), "$[1]: 'list': a list is mutable and share() changes no types; use freeze(), or "
                                                "convert it with tuple(...) first")

    def test_immutable_graphs(self):
        for value in ((1, "a", (b"b", frozenset([2.5]))), "text", 10**20, frozenset([(1, 2)]), range(5), slice(1, (2, 3)), ()):
            twin = stoa.share(value)
            self.assertEqual(twin, value)
            self.assertIs(type(twin), type(value))
            self.assertTrue(stoa.is_shared(twin))
            self.assertIs(stoa.share(twin), twin)
            self.assertIs(stoa.freeze(twin), twin)

    def test_a_mappingproxy_is_immutable(self):
        twin = stoa.share(types.MappingProxyType({"a": (1, 2)}))
        self.assertEqual(dict(twin), {"a": (1, 2)})

    def test_the_dict_behind_a_proxy_is_not(self):
        d = {"a": 1}
        self.refused((types.MappingProxyType(d), d), "$[1]", "dict")
        self.refused((types.MappingProxyType(d), types.MappingProxyType({"x": d})), "$[1]['x']", "dict")

    def test_refused_leaves_nothing(self):
        region = stoa.Region("share")
        before = region.stats()["used_bytes"]
        with self.assertRaises(stoa.NotFreezable):
            region.share(("some text that is new", 123456, 1.5, ("x" * 1000,), []))
        self.assertEqual(region.stats()["used_bytes"], before)


if __name__ == "__main__":
    unittest.main()
