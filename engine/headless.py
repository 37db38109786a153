"""Play without a window: as fast as the world allows, the same frames every time.

Time here is world time: the input of a chunk is latched at the time its first frame has in the
world, so a scene or a script gives what it gives in a window. Not here: a display, threads,
pacing.

    result = play_headless(maker, intake, sources=[script], stage=stage, frames=200)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.director import EndSession, JumpScene, LatchPlan
from engine.input.events import InputSource
from engine.intake import Intake
from engine.maker import Begun, ChunkMaker
from engine.stage import Stage


@dataclass(frozen=True, kw_only=True)
class HeadlessResult:
    """How a headless run ended."""

    frames: int
    """Frames presented."""
    jump: str = ""
    """The scene that comes next, if the scene asked for one."""
    ended: bool = False
    """The scene or a command ended the run before its frames were up."""


def play_headless(
    maker: ChunkMaker,
    intake: Intake,
    *,
    sources: Sequence[InputSource],
    stage: Stage,
    frames: int | None,
    on_frame: Callable[[int], None] = lambda done: None,
) -> HeadlessResult:
    """Present `frames` frames, or until the scene ends when None. `maker` has a place already.

    Where a device decodes beside its other work, a chunk is begun before the last one is shown.
    """
    info, done, begun = maker.world.info, 0, 0
    under_way: Begun | None = None

    def show() -> None:
        nonlocal done, under_way
        if under_way is None:
            return
        chunk, under_way = under_way.finish(), None
        count = info.chunk_frames if frames is None else min(info.chunk_frames, frames - done)
        for offset in range(count):
            stage.present(chunk, offset, age_ms=1000.0 * offset / info.fps)
            done += 1
            on_frame(done)

    end: str | None = None
    while frames is None or begun < frames:
        now = maker.first_frame / info.fps
        events = [event for source in sources for event in source.poll(now)]
        if any(command.name == "quit" for command in intake.take(events)):
            end = ""
            break
        window, typed = intake.latch(now, frames=info.chunk_frames, first_frame=maker.first_frame)
        chunk = maker.begin(window, typed_prompt=typed, now=now)
        show()
        end = ending(chunk.plan)
        if end is not None:
            break
        under_way, begun = chunk, begun + info.chunk_frames
        if chunk.ready:
            show()
    show()
    return HeadlessResult(frames=done, jump=end or "", ended=end is not None)


def ending(plan: LatchPlan) -> str | None:
    """The scene to jump to if the plan's effects end this one ("" for none), else None."""
    for effect in plan.effects:
        if isinstance(effect, JumpScene):
            return effect.path
        if isinstance(effect, EndSession):
            return ""
    return None
