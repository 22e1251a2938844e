"""The same object behind each way to reach it: a Stoa proxy, a multiprocessing.Manager, RPyC, Interpreter.call."""
import importlib
import multiprocessing
import os
from multiprocessing.managers import BaseManager, DictProxy, ListProxy, NamespaceProxy

import packages

SOURCE = """
class Thing:
    value = 1
    def method(self, x):
        return x

def function(x):
    return x

def get(name):
    return globals()[name]

thing = Thing()
table = {"key": 1}
"""


class Thing:
    value = 1

    def method(self, x):
        return x

    def __call__(self, x):
        return x


class Table(dict):
    pass


class Numbers(list):
    pass


def make_table():
    return {"key": 1}


def make_numbers(count):
    return list(range(count))


class ThingProxy(NamespaceProxy):
    _exposed_ = ("__getattribute__", "method", "__call__")

    def method(self, x):
        return self._callmethod("method", (x,))

    def __call__(self, x):
        return self._callmethod("__call__", (x,))


class BenchManager(BaseManager):
    pass


BenchManager.register("thing", Thing, ThingProxy)
BenchManager.register("table", make_table, DictProxy)
BenchManager.register("numbers", make_numbers, ListProxy)


def start_manager():
    manager = BenchManager(ctx=multiprocessing.get_context("spawn"))
    manager.start()
    return manager


def connect_rpyc(stack):
    """RPyC in a process of its own, until the stack unwinds: (its classic module, connection). RPyC is installed by name into a
    folder of the build; (None, None) with a word where that fails."""
    if packages.get("rpyc") is None:
        return None, None
    classic, folder = importlib.import_module("rpyc").classic, packages.folder()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))  # of the other process
    connection = classic.connect_subproc(os.path.join(folder, "bin", "rpyc_classic.py"))
    stack.callback(connection.close)
    return classic, connection
