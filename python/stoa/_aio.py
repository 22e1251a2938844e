"""What the awaitable methods of queues, locks and the rest are: coroutines over the bell of the running event loop.

A wait is a ticket, which the C side leaves with the queue or lock; whoever completes it, in whichever interpreter or
thread, rings the loop's bell, an eventfd that the loop reads. So no await needs a thread, and a loop has one descriptor.
A task that is cancelled withdraws its ticket; what it had been given already goes back, or to the next who waits.
An interpreter that is being closed rings its loops' bells, and its tasks are told InterpreterGone; who begins to wait
afterwards finds it by the bell's check().
"""

import asyncio
import weakref

from . import _stoa

_bells = weakref.WeakKeyDictionary()  # event loop: its bell


def bell():
    """The bell of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _bells.get(loop)
    if found is None:
        found = _bells[loop] = _stoa._Bell()
        loop.add_reader(found.fileno(), found.deliver)
    return found


async def _settled(ticket):
    """Until the ticket is settled; cancels it when the task leaves in another way."""
    if ticket.waiting:
        ticket.future = asyncio.get_running_loop().create_future()
        try:
            bell().check()
            await ticket.future
        except BaseException:
            ticket.cancel()
            raise
    return ticket.take()


def until_over(future):
    """What Future.__await__ waits by."""
    wait = _stoa._await(bell(), future)
    if wait is None:
        return
    wait.future = asyncio.get_running_loop().create_future()
    if wait.by_callback:
        future.add_done_callback(wait.ring)
    try:
        bell().check()
        yield from wait.future.__await__()
    except BaseException:
        if wait.leave():  # nobody else waits for it
            future.cancel()
        raise
    wait.leave()


async def put(queue, item):
    await _settled(_stoa._ticket(bell(), queue, "put", item))


async def get(queue):
    return await _settled(_stoa._ticket(bell(), queue, "get"))


async def join(queue):
    await _settled(_stoa._ticket(bell(), queue, "join"))


async def acquire(lock, depth=None):
    lock = getattr(lock, "_lock", lock)  # a Condition's
    return await _settled(_stoa._ticket(bell(), lock, "acquire", depth))


async def release(lock, raised=None):
    lock.__exit__(raised, None, None)


async def event_wait(event):
    return await _settled(_stoa._ticket(bell(), event, "wait"))


async def _acquire_again(lock, depth):
    """Takes the lock back, whatever happens: the caller's `async with` will let go of it."""
    cancelled = None
    while True:
        try:
            await acquire(lock, depth)
            break
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def condition_wait(condition):
    lock = condition._lock
    if not lock.locked():
        raise RuntimeError("cannot wait on un-acquired lock")
    ticket = _stoa._ticket(bell(), condition, "wait")
    try:
        save = getattr(lock, "_release_save", None)
        depth = save() if save is not None else lock.release()
    except BaseException:
        ticket.cancel()
        raise
    try:
        result = await _settled(ticket)
    except BaseException:
        await _acquire_again(lock, depth)
        raise
    try:
        await _acquire_again(lock, depth)
    except BaseException:
        ticket.pass_on()  # it was ours, but somebody else can use it
        raise
    return result


async def condition_wait_for(condition, predicate):
    while not (result := predicate()):
        await condition_wait(condition)
    return result


async def barrier_wait(barrier):
    ticket = _stoa._ticket(bell(), barrier, "wait")
    if ticket.last:
        barrier._run(ticket.round)
    return await _settled(ticket)
