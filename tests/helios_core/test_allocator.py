"""Freed memory stays with a process that asked for it, and is used again."""

import json
import platform
import subprocess
import sys

import pytest

from helios_core import allocator

CHILD = """
import json, resource, sys
import torch
from helios_core.allocator import keep_freed_memory
torch.set_num_threads(1)
kept = sys.argv[1] == "keep" and keep_freed_memory()

def work(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for i in range(rounds):
        tensors = [torch.ones(n << 20) for n in (1, 3 + i % 3, 12)]  # 4, 12 to 20 and 48 MB
        tensors.append(sum(t.sum() for t in tensors))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def peak():
    # Not ru_maxrss: a child inherits its parent's.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

work(6)
before = peak()
faults = work(60)
grown = peak() - before
print(json.dumps({"kept": kept, "faults": faults, "grown_mb": grown / 1024}))
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


def _child(how: str) -> dict:
    command = [sys.executable, "-c", CHILD, how]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@glibc
def test_the_same_tensors_cost_no_new_pages_and_memory_does_not_grow():
    plain, kept = _child("plain"), _child("keep")
    assert kept["kept"] and not plain["kept"]
    # The kept heap grows by up to four of the largest tensor until all fit beside each other.
    assert kept["faults"] < plain["faults"] / 10, (plain, kept)
    assert kept["grown_mb"] < 250, "more than four of the largest tensors"


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: pytest.fail("touched the C library"))
    assert allocator.keep_freed_memory() is False
