"""Freezing containers whose keys run code that raises, and containers that change meanwhile: nothing is left behind."""
import gc
import os
import sys
import textwrap
import threading
import types
import unittest

import stoa
from refusals import HostileCase
from stoa_tests import used_bytes as used


class RaisingKeys(HostileCase):
    def test_hash_that_raises(self):
        class Key:
            angry = False

            def __hash__(self):
                if Key.angry:
                    raise RuntimeError("no hash today")
                return 1

        value = {Key(): 1}
        Key.angry = True
        self.refused([value])
        self.refused([list(value)], "$[0][0]")

    def test_eq_that_raises_or_changes_the_container(self):
        holder = {}

        class Key:
            def __hash__(self):
                return hash("name")

            def __eq__(self, other):
                holder.clear()
                raise RuntimeError("compared")

        holder[Key()] = 1
        self.refused({"a": holder, "b": [holder]})
        self.assertEqual(len(holder), 1, "the walk has run no code of the object's")

    def importable_key(self):
        """A class that others can import, whose objects are hashed and compared by code that is told to raise."""
        module = sys.modules["hostile_keys"] = types.ModuleType("hostile_keys")
        self.addCleanup(sys.modules.pop, "hostile_keys")
        exec(textwrap.dedent('''
            from dataclasses import dataclass
            hashing = comparing = None
            @dataclass(frozen=True, eq=False)
            class Key:
                name: str
                def __hash__(self):
                    if hashing is not None: raise hashing
                    return 1
                def __eq__(self, other):
                    if comparing is not None: raise comparing
                    return self.name == other.name
            '''), module.__dict__)
        stoa.freeze(module.Key("the class's own name is frozen once"))
        return module

    def test_importable_keys_are_tried_before_anything_stays(self):
        module = self.importable_key()
        table = {module.Key(f"key {os.urandom(8)}"): i for i in range(30)}
        frozen_set = frozenset(table)
        region, queue = stoa.Region("hostile.keys"), stoa.Queue()
        hash((tuple(table), 1)), {hash((key, 1)) for key in table}  # what is known already hides nothing
        values = [(table, "$<key {}>"), ({"a": [0, table]}, "$['a'][1]<key {}>"), (set(table), "$<member {}>"),
                  (types.MappingProxyType(table), "$<key {}>"), ({(key, 1): 1 for key in table}, "$<key {}>"), ({1: frozen_set}, "$[1]<member {}>")]
        ways = [stoa.freeze, lambda value: stoa.freeze(value, intern=False), lambda value: stoa.publish("hostile.x", value),
                lambda value: stoa.replace("hostile.x", value), lambda value: stoa.once("hostile.x", lambda: value), region.freeze]
        for what, at in (("hashing", 0), ("comparing", 1)):
            setattr(module, what, RuntimeError(f"{what}!"))
            for value, path in values:
                for way in ways:
                    with self.subTest(what, path=path):
                        error = self.refused(value, path.format(at), function=way)
                        self.assertIn(error.type_name, ("Key", "tuple"))
                        self.assertIn(f"RuntimeError: {what}!", str(error))
                        self.assertIs(error.__cause__, getattr(module, what))
            for value in (frozen_set, (1, types.MappingProxyType(table))):
                self.refused(value, kind="Key", function=stoa.share)
                self.refused(value, kind="Key", function=region.share)
            setattr(module, what, None)
        self.assertEqual(region.stats()["used_bytes"], 0)
        self.assertNotIn("hostile.x", stoa.names())
        before = used()
        module.hashing = ValueError("not here")
        with self.assertRaises(Exception):
            queue.put(table)
            queue.put(frozen_set)
            queue.get(), queue.get()
        self.assertEqual(used(), before)
        module.hashing = None
        self.assertEqual(stoa.freeze(table)[module.Key(next(iter(table)).name)], 0)

    def test_what_the_trial_of_keys_raises_or_changes(self):
        module = self.importable_key()
        for raised in (KeyboardInterrupt(), SystemExit(3), MemoryError()):
            module.hashing = None
            table = {module.Key(f"key {os.urandom(8)}"): 1}
            module.hashing = raised
            self.refused([table], error=type(raised))
        module.hashing = None
        holder = [{module.Key(f"key {os.urandom(8)}"): 1}]

        class Clears(RuntimeError):
            def __str__(self):
                holder.clear()
                return "cleared"

        module.hashing = Clears()
        self.assertEqual(stoa.freeze(holder), (), "what changed meanwhile is walked anew")


class Change(HostileCase):
    def test_mapping_changed_by_another_thread(self):
        table, stop = {i: [i] for i in range(500)}, threading.Event()

        def change():
            number = 500
            while not stop.is_set():
                table[number] = [number]
                table.pop(number - 500, None)
                number += 1

        thread = threading.Thread(target=change)
        thread.start()
        try:
            before = sys.getswitchinterval()
            sys.setswitchinterval(1e-5)
            for _ in range(300):
                try:
                    frozen = stoa.freeze(table)
                except RuntimeError as error:  # allowed: it says that the mapping changed
                    self.assertIn("changed", str(error))
                else:
                    self.assertTrue(all(value == (key,) for key, value in frozen.items()))
        finally:
            sys.setswitchinterval(before)
            stop.set()
            thread.join()

    def test_list_changed_by_another_thread(self):
        items, stop = list(range(1000)), threading.Event()

        def change():
            while not stop.is_set():
                items.extend(range(1000))
                del items[500:]
                items[:] = [str(i) for i in range(2000)]

        thread = threading.Thread(target=change)
        thread.start()
        try:
            for _ in range(300):
                frozen = stoa.freeze(items)
                self.assertTrue(all(type(item) in (int, str) for item in frozen))
        finally:
            stop.set()
            thread.join()

    def test_finalizer_during_a_walk_does_not_matter(self):
        class Noisy:
            def __del__(self):
                Noisy.ended += 1

        Noisy.ended = 0
        for _ in range(50):
            self.refused([[1, 2, 3], Noisy()])
        gc.collect()
        self.assertEqual(Noisy.ended, 50)


if __name__ == "__main__":
    unittest.main()
