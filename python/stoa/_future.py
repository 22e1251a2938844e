"""The future that submit() returns. A module apart: concurrent.futures takes long to import, and many never submit."""

import concurrent.futures

from ._stoa import FutureBase


class Future(FutureBase, concurrent.futures.Future):
    """A concurrent.futures.Future that can also be awaited.

    Made by submit() and belongs to the interpreter that submitted. Await it from any asyncio event loop of that
    interpreter, from several at once, too; cancelling the task that awaits cancels the call if it has not begun
    and nobody else waits for it.
    """

    def __await__(self):
        if not self.done():
            from . import _aio

            yield from _aio.until_over(self)
        if self.cancelled():
            import asyncio

            raise asyncio.CancelledError
        return self.result()
