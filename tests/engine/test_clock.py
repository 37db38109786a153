"""The fake clock is exact and takes turns; the real one keeps its deadlines' order."""

import threading

import pytest

from engine.clock import FakeClock, RealClock


def test_time_moves_only_when_every_thread_waits():
    clock, log = FakeClock(), []

    def worker(name: str, step: float):
        def body() -> None:
            for _ in range(3):
                clock.sleep_until(clock.now() + step)
                log.append((name, round(clock.now(), 6)))

        return body

    tasks = [clock.spawn(worker("a", 0.4), "a"), clock.spawn(worker("b", 0.3), "b")]
    for task in tasks:
        task.join()
    assert log == [("b", 0.3), ("a", 0.4), ("b", 0.6), ("a", 0.8), ("b", 0.9), ("a", 1.2)]


def test_a_condition_wakes_at_once_and_times_out_exactly():
    clock, condition, box = FakeClock(), threading.Condition(), []

    def fill() -> None:
        clock.sleep_until(0.5)
        with condition:
            box.append(1)
            condition.notify_all()

    task = clock.spawn(fill, "fill")
    with condition:
        assert not clock.wait_for(condition, lambda: bool(box), 0.2)
        assert clock.now() == 0.2
        assert clock.wait_for(condition, lambda: bool(box), 9.0)
        assert clock.now() == 0.5
    task.join()


def test_a_sleep_into_the_past_does_not_turn_time_back():
    clock = FakeClock(start=5.0)
    clock.sleep_until(1.0)
    assert clock.now() == 5.0


def test_a_deadlock_is_an_error_and_no_hang():
    clock, condition = FakeClock(), threading.Condition()
    with condition, pytest.raises(AssertionError, match="deadlock"):
        clock.wait_for(condition, lambda: False)


def test_the_real_clock_never_wakes_early():
    clock = RealClock()
    for wait in (0.0, 0.0005, 0.003):
        target = clock.now() + wait
        clock.sleep_until(target)
        assert clock.now() >= target
    condition = threading.Condition()
    with condition:
        assert not clock.wait_for(condition, lambda: False, clock.now() + 0.001)
    done: list[int] = []
    clock.spawn(lambda: done.append(1), "t").join()
    assert done == [1]
