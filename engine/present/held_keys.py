"""Which keys are down, so that a repeat is told from a press.

pygame calls both KEYDOWN. Its timer starts at a press, looks at the setting of repeats only then,
and fires once more after they were switched off, in whatever is open by then. Not here: what a
repeat may do (engine.present.window).

    held = HeldKeys(); again = held.repeats(event)
"""

import pygame


class HeldKeys:
    """Keys by their place on the keyboard, which no layout changes while one is held."""

    def __init__(self) -> None:
        self._down: set[int] = set()

    def repeats(self, event: pygame.event.Event) -> bool:
        """Whether this is a key that was down already. Wants to see every event once."""
        if event.type == pygame.WINDOWFOCUSLOST:
            self._down.clear()  # what is let go of elsewhere is not told here
        elif event.type == pygame.KEYUP:
            self._down.discard(_place(event))
        elif event.type == pygame.KEYDOWN:
            again = _place(event) in self._down
            self._down.add(_place(event))
            return again
        return False


def _place(event: pygame.event.Event) -> int:
    """The scan code; a key that has none, as from a remote desktop, goes by its name."""
    return event.scancode or -event.key
