"""Rendering in worker processes ends with the process that asked for it."""

import multiprocessing
import time
from multiprocessing.connection import Connection

import pytest

from training.data.render import _begin_worker


def _work(pipe: Connection) -> None:
    _begin_worker()
    pipe.send("working")
    time.sleep(60)


def _parent(pipe: Connection) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=_work, args=(pipe,))
    worker.start()
    time.sleep(60)


@pytest.mark.timeout(60)
def test_workers_end_when_their_parent_is_killed():
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    parent = context.Process(target=_parent, args=(theirs,))
    parent.start()
    theirs.close()
    assert ours.recv() == "working"
    parent.kill()
    assert ours.poll(20), "the worker goes on"
    with pytest.raises(EOFError):
        ours.recv()  # nobody holds the other end any more
