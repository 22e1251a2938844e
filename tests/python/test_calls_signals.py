"""Signals while the main thread is inside another interpreter."""

import unittest

import child


SIGNALS = """
import os, signal, stoa, threading, time
it = stoa.Interpreter()
other = stoa.Interpreter()
def send(after=0.15, number=signal.SIGINT):
    def body():
        time.sleep(after)
        os.kill(os.getpid(), number)
    threading.Thread(target=body).start()
def caught(f):
    try:
        send()
        f()
    except KeyboardInterrupt:
        print("caught")
    else:
        print("not caught")
it.exec('''
import stoa, time
def forever():
    while True: pass
def through(f): f()
''')
other.exec("def forever():\\n    while True: pass")
"""


class TestSignals(unittest.TestCase):
    def run_code(self, code):
        return child.check(self, SIGNALS + code).stdout

    def test_ctrl_c(self):
        out = self.run_code(
            "caught(lambda: it.exec('while True: pass'))\n"
            "caught(it.call(eval, 'forever'))\n"
            "caught(lambda: it.call(eval, 'through')(other.call(eval, 'forever')))\n"
            "caught(lambda: it.exec('while True: pass', timeout=50))\n"
            "caught(stoa.options(it.call(eval, 'forever'), timeout=50))\n"
            "caught(lambda: stoa.lookup('never', timeout=50))\n"
        )
        self.assertEqual(out.split(), ["caught"] * 6)

    def test_ctrl_c_leaves_a_c_call_with_a_limit(self):
        """What blocks in C asks for signals on the main thread only; who waits for another thread's read hears them."""
        out = self.run_code(
            "os.environ['STOA_EXIT_PATIENCE'] = '60'\n"
            "gate, opens = os.pipe()\n"
            "it.exec('import os')\n"
            "caught(lambda: stoa.options(it.call(eval, 'os.read'), timeout=1000)(gate, 1))\n"
            "caught(lambda: it.call(os.read, gate, 1, timeout=1000))\n"
            "os.write(opens, b'xx')  # both end only now\n"
        )
        self.assertEqual(out.split(), ["caught"] * 2)

    def test_ctrl_c_beside_a_thread_that_is_called_home(self):
        """What that does at a bytecode boundary does not keep the main thread from coming to one."""
        out = self.run_code(
            "it.exec('''\n"
            "import threading\n"
            "class Home:\n"
            "    def stay(self, begun, end):\n"
            "        begun.set()\n"
            "        while not end.is_set(): time.sleep(0.01)\n"
            "def spin(ready):\n"
            "    global home\n"
            "    home = stoa.proxy(Home(), thread='home')\n"
            "    ready.set()\n"
            "    while not end.is_set(): pass\n"
            "def start(at):\n"
            "    global end\n"
            "    end = at\n"
            "    ready = threading.Event()\n"
            "    threading.Thread(target=spin, args=(ready,)).start()\n"
            "    ready.wait()\n"
            "    return home\n"
            "''')\n"
            "begun, end = stoa.Event(), stoa.Event()\n"
            "home = it.call(eval, 'start')(end)\n"
            "threading.Thread(target=home.stay, args=(begun, end)).start()\n"
            "begun.wait()\n"
            "caught(lambda: it.exec('while True: pass'))\n"
            "end.set()\n"
        )
        self.assertEqual(out.split(), ["caught"])

    def test_signal_that_does_not_end_the_sleep_is_heard(self):
        """As one that comes between the last look for signals and the sleep: another thread is hit by it."""
        out = self.run_code(
            "def send():\n"
            "    def body():\n"
            "        time.sleep(0.3)\n"
            "        signal.pthread_kill(threading.get_ident(), signal.SIGINT)\n"
            "    threading.Thread(target=body).start()\n"
            "gate, opens = os.pipe()\n"
            "made = stoa.Event()\n"
            "def make():\n"
            "    made.set()\n"
            "    os.read(gate, 1)\n"
            "threading.Thread(target=stoa.once, args=('made', make)).start()\n"
            "made.wait()\n"
            "caught(lambda: stoa.lookup('never', timeout=100))\n"
            "caught(lambda: stoa.once('made', make, timeout=100))\n"
            "pool = stoa.InterpreterPoolExecutor(1)\n"
            "read = pool.submit(os.read, gate, 1)\n"
            "caught(lambda: pool.shutdown())\n"
            "submitted = it.submit(os.read, gate, 1)\n"
            "while not submitted.running(): time.sleep(0.001)  # else close() refuses it, and waits for nothing\n"
            "caught(lambda: it.close(timeout=100))\n"
            "os.write(opens, b'xxx')\n"
        )
        self.assertEqual(out.split(), ["caught"] * 4)

    def test_handler_runs_in_time_and_code_goes_on(self):
        out = self.run_code(
            "seen = []\n"
            "heard = stoa.Event()\n"
            "def handler(number, frame):\n"
            "    seen.append((number, stoa.current() == stoa.main()))\n"
            "    heard.set()\n"
            "signal.signal(signal.SIGUSR1, handler)\n"
            "it.prepare_main(heard=heard)\n"
            "send(0.1, signal.SIGUSR1)\n"
            "it.exec('''\n"
            "n = 1\n"
            "while not heard.is_set(): n += 1\n"
            "''')\n"
            "print(seen == [(signal.SIGUSR1, True)], it.call(eval, 'n > 0'))\n"
        )
        self.assertEqual(out.split(), ["True", "True"])

    def test_storm(self):
        out = self.run_code(
            "count = 0\n"
            "def handler(number, frame):\n"
            "    global count\n"
            "    count += 1\n"
            "signal.signal(signal.SIGALRM, handler)\n"
            "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\n"
            "f = it.call(eval, 'lambda x: x + 1')\n"
            "timed = stoa.options(f, timeout=20)\n"
            "end = time.monotonic() + 0.5\n"
            "n = 0\n"
            "while time.monotonic() < end or n <= 10 or count <= 5:\n"
            "    assert f(n) == n + 1 and timed(n) == n + 1\n"
            "    n += 1\n"
            "signal.setitimer(signal.ITIMER_REAL, 0)\n"
            "print('done')\n"
        )
        self.assertEqual(out.split(), ["done"])

    def test_handlers_are_the_main_interpreters_alone(self):
        out = self.run_code(
            "signal.signal(signal.SIGUSR1, lambda number, frame: None)\n"
            "def ask():\n"
            "    import signal\n"
            "    seen = [signal.getsignal(each) for each in (signal.SIGUSR1, signal.SIGINT, signal.SIGUSR2, signal.SIGPIPE)]\n"
            "    try: signal.getsignal(0)\n"
            "    except ValueError as error: return str(seen), str(error)\n"
            "print(*it.call(ask), sep='\\n')\n"
            "print(*stoa.Interpreter().call(ask), sep='\\n')\n"
            "print(callable(signal.getsignal(signal.SIGUSR1)))\n"
        )
        seen = "[None, None, <Handlers.SIG_DFL: 0>, <Handlers.SIG_IGN: 1>]"
        self.assertEqual(out.splitlines(), [seen, "signal number out of range"] * 2 + ["True"])

    def test_event_loops_of_several_interpreters_at_once(self):
        """The main interpreter's run() has a handler for Ctrl-C; those of the others ask whether there is one."""
        out = self.run_code(
            "import asyncio\n"
            "code = '''\n"
            "import asyncio, signal\n"
            "async def nothing(): pass\n"
            "for _ in range(10):\n"
            "    asyncio.run(nothing())\n"
            "    for _ in range(200): signal.getsignal(signal.SIGINT)\n"
            "'''\n"
            "async def main():\n"
            "    loop = asyncio.get_running_loop()\n"
            "    runs = [loop.run_in_executor(None, each.exec, code) for each in (it, other, stoa.Interpreter())]\n"
            "    while not all(run.done() for run in runs):\n"
            "        await asyncio.gather(*(asyncio.sleep(0) for _ in range(20)))\n"
            "    await asyncio.gather(*runs)\n"
            "asyncio.run(main())\n"
            "print('done')\n"
        )
        self.assertEqual(out.split(), ["done"])

    def test_fork_with_ticker_and_service_threads(self):
        out = self.run_code(
            "assert it.call(eval, '1 + 1', timeout=20) == 2\n"
            "mine = stoa.options(stoa.proxy(lambda: 5), timeout=20)\n"
            "assert mine() == 5\n"
            "__import__('warnings').simplefilter('ignore')  # about threads\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    ok = mine() == 5\n"
            "    try:\n"
            "        it.call(eval, '1', timeout=20)\n"
            "    except stoa.InterpreterGone:\n"
            "        os._exit(0 if ok else 1)\n"
            "    os._exit(2)\n"
            "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), it.call(eval, '3', timeout=20))\n"
        )
        self.assertEqual(out.split(), ["0", "3"])


if __name__ == "__main__":
    unittest.main()
