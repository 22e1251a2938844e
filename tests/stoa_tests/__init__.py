"""Batteries and runners of Stoa's tests, importable wherever `build/python` runs. Not installed."""
import stoa


def used_bytes():
    """Bytes of shared objects in the default region."""
    return stoa.stats()["region"]["used_bytes"]
