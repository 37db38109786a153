"""What a worker process of a pool does first, so that it ends with whoever asked for its work.

    ProcessPoolExecutor(4, context, initializer=end_with_parent)

Not here: the pools (engine.rollouts.generate, training.data.render).
"""

import multiprocessing
import os
import signal
import threading


def end_with_parent() -> None:
    """A worker would end a piece of work at Ctrl-C and begin the next, and wait for ever for a
    parent that was killed, with all its memory."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a shell's background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has a parent"
    parent.join()
    os._exit(1)
