"""The future that submit() returns. A module apart: concurrent.futures takes long to import, and many never submit."""

import concurrent.futures

from ._stoa import FutureBase


class Future(FutureBase, concurrent.futures.Future):
    """A concurrent.futures.Future that can also be awaited.

    Made by submit() and belongs to the interpreter that submitted. Await it from any asyncio event loop of that
    interpreter; cancelling the task that awaits cancels the call if it has not begun.
    """

    def __await__(self):
        if not self.done():
            import asyncio

            return (yield from asyncio.wrap_future(self).__await__())
        return self.result()
