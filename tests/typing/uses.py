"""What a type checker has to understand. Read by mypy in CI, never run."""

import asyncio
import math
from typing import Any, assert_type

import stoa


def objects() -> None:
    assert_type(stoa.share(("a", 1)), tuple[str, int])
    assert_type(stoa.freeze([1]), Any)
    assert_type(stoa.is_shared(None), bool)
    assert_type(stoa.lookup("x"), Any)
    assert_type(stoa.names(), tuple[str, ...])
    region = stoa.Region("jobs", limit=1 << 20)
    assert_type(region.share(b"x"), bytes)
    stoa.freeze({"a": 1}, region=region, intern=False)
    stoa.once("x", dict, timeout=1.5)
    stoa.publish("y", 1, region=region)


def bulk_data() -> None:
    stoa.array(b"abc")
    stoa.array([1, 2], "q", (2,), region=stoa.Region())
    stoa.array_from_file("path", "d", offset=8)
    with open("path", "rb") as file:
        stoa.array_from_file(file, size=10)
    prices = stoa.evolve({"a": 1}, {"b": 2}, remove=["a"])
    assert_type(prices, stoa.PersistentMapping[str, int])
    long: stoa.SharedSequence[float] = stoa.freeze([1.5] * 2000)
    assert_type(long[0], float)
    assert_type(long[1:], tuple[float, ...])
    assert_type(prices["b"], int)
    assert_type(prices.get("c", 0), int)
    assert_type(prices.copy() | (prices | {"d": 3}), dict[str, int])


def interpreters() -> None:
    with stoa.Interpreter(name="a", gil="shared") as worker:
        assert_type(worker, stoa.Interpreter)
        assert_type(worker.call(math.sqrt, 2.0), float)
        assert_type(worker.call("math:sqrt", 2.0), Any)
        assert_type(worker.submit(math.isqrt, 2), stoa.Future[int])
        assert_type(worker.submit(math.isqrt, 2).result(timeout=1), int)
        worker.exec("pass")
        worker.close(timeout=1)
        worker.prepare_main({"x": 1}, y=2)
    assert_type(stoa.interpreters(), list[stoa.Interpreter])
    with stoa.InterpreterPoolExecutor(2, initializer=print, initargs=("ready",)) as pool:
        assert_type(pool.submit(math.isqrt, 2), stoa.Future[int])
        assert_type(pool.submit("math:isqrt", 2).result(), Any)
        assert_type(list(pool.map(math.sqrt, [1, 2], chunksize=2, timeout=1)), list[float])


def calls(log: list[int]) -> None:
    with stoa.Interpreter() as worker:
        worker.exec("x = 1", timeout=0.5)
        assert_type(worker.call("math:isqrt", 2, timeout=1), Any)
        assert_type(worker.call(math.isqrt, 2, timeout=1), int)
    home = stoa.proxy(log, thread="home")
    assert_type(home, list[int])
    assert_type(stoa.options(home, timeout=1, via="post"), list[int])
    assert_type(stoa.submit(home.count, 1), stoa.Future[int])
    stoa.options(home, via="pigeon")  # type: ignore[arg-type]
    stoa.proxy(log, thread="moon")  # type: ignore[arg-type]


async def awaited(future: stoa.Future[int]) -> None:
    assert_type(await future, int)
    await asyncio.gather(future, future)


def errors() -> None:
    try:
        stoa.freeze(object())
    except stoa.NotFreezable as error:
        assert_type(error.path, str)
    except (stoa.NameTaken, stoa.InterpreterGone, stoa.Timeout, stoa.RemoteError):
        raise
    error_type: type[TypeError] = stoa.NotFreezable
    wrong: stoa.Interpreter = stoa.Interpreter(gil="none")  # type: ignore[arg-type]
    print(error_type, wrong)
