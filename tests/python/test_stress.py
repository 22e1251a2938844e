"""The stress and the hammer (stoa_tests), each in a process of its own. Longer: STOA_STRESS_SECONDS=600, again: STOA_STRESS_SEED=n."""
import os
import subprocess
import sys
import unittest


SECONDS = float(os.environ.get("STOA_STRESS_SECONDS", 8))


def run(module, *arguments, timeout):
    done = subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-m", module, *arguments], env=dict(os.environ, STOA_GUARD="strict"),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    return done.returncode, f"{done.stdout[-2000:]}\n{done.stderr[-12000:]}"


class Stress(unittest.TestCase):
    def test_random_steps_everywhere(self):
        status, text = run("stoa_tests.stress", timeout=SECONDS + 110)
        print(text.splitlines()[0], flush=True)
        self.assertEqual(status, 0, text)

    def test_fixed_seeds(self):
        for seed in (1, 2, 3):
            with self.subTest(seed=seed):
                status, text = run("stoa_tests.stress", "--seed", str(seed), "--seconds", str(min(SECONDS / 4, 2)), timeout=110)
                self.assertEqual(status, 0, text)


class Hammer(unittest.TestCase):
    def test_four_interpreters_on_one_graph(self):
        status, text = run("stoa_tests.hammer", "--interpreters", "4", "--seconds", str(min(SECONDS / 4, 3)), timeout=110)
        self.assertEqual(status, 0, text)


if __name__ == "__main__":
    unittest.main()
