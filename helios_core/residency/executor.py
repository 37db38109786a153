"""Carries out a residency plan: who has its turn comes to the device, blocks stream in groups.

`turn(name)` is what `helios_core.world` wraps every use of a part in. While blocks stream, the
next group is copied beside the computation of this one, and the first group of the next pass
beside the last of this.

    residency = Residency(plan, parts, model.blocks, CudaDevice(device))
    parts = Parts(..., turn=residency.turn)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from helios_core.residency.device import Device
from helios_core.residency.flat import Flat
from helios_core.residency.plan import SLOTS, ResidencyPlan

FLAT_BYTES = 256 * 2**20
"""Weights move in buffers of about this size: building them never needs a part twice over."""


class Visitor:
    """A part that takes turns: on the device from when it is first needed until it is sent off."""

    def __init__(self, tensors: Iterable[Tensor], device: Device) -> None:
        self._flats = [Flat(some, pin=device.pin) for some in _portions(tensors)]
        self._device = device
        self._buffers: list[Tensor] = []

    def bring(self) -> None:
        if self._buffers:
            return
        for flat in self._flats:
            buffer = self._device.allocate(flat.bytes)
            event = self._device.copy(flat.host, buffer, self._device.mark())
            self._device.wait(event)
            flat.point(buffer)
            self._buffers.append(buffer)

    def send_off(self) -> None:
        for flat in self._flats:
            flat.home()
        for buffer in self._buffers:
            self._device.free(buffer)
        self._buffers = []

    def settle(self) -> None:
        """Come to the device for good: the host's copy is dropped."""
        self.bring()
        for flat in self._flats:
            flat.drop_host()


def _portions(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Tensors in lists of about FLAT_BYTES."""
    portions: list[list[Tensor]] = [[]]
    room = FLAT_BYTES
    for tensor in tensors:
        if room <= 0:
            portions.append([])
            room = FLAT_BYTES
        portions[-1].append(tensor)
        room -= tensor.numel() * tensor.element_size()
    return portions


class Streamer:
    """Groups of blocks that pass through a few device buffers, in order, again and again.

    Only the matrices of linear layers stream: they are nearly all of a block, and every use of
    one calls its layer, whichever way the model goes through the block.
    """

    def __init__(self, blocks: Sequence[nn.Module], group: int, device: Device) -> None:
        self._device = device
        self._groups: list[Flat] = []
        for place, first in enumerate(range(0, len(blocks), group)):
            layers = [layer for block in blocks[first : first + group] for layer in linear(block)]
            self._groups.append(Flat(weights_of(layers), pin=device.pin))
            for layer in layers:
                layer.register_forward_pre_hook(self._entering(place))
        most = max(flat.bytes for flat in self._groups)
        self._slots = [device.allocate(most) for _ in range(min(SLOTS, len(self._groups)))]
        self._free = [device.mark() for _ in self._slots]
        self._fetched: dict[int, tuple[int, Any]] = {}
        self._current: int | None = None

    def _entering(self, place: int) -> Any:
        return lambda layer, inputs: self.enter(place)

    def enter(self, place: int) -> None:
        """Group `place` is about to compute: leave the one before, fetch the one after."""
        if place == self._current:
            return
        if self._current is not None and len(self._slots) < len(self._groups):
            self._leave(self._current)
        self._fetch(place)
        self._current = place
        slot, event = self._fetched[place]
        self._device.wait(event)
        self._groups[place].point(self._slots[slot])
        self._fetch((place + 1) % len(self._groups))

    def _leave(self, place: int) -> None:
        self._groups[place].home()
        slot, _ = self._fetched.pop(place)
        self._free[slot] = self._device.mark()

    def _fetch(self, place: int) -> None:
        """Begin to copy a group into an idle slot, or over one that was fetched in vain."""
        if place in self._fetched:
            return
        if len(self._fetched) == len(self._slots):
            self._fetched.pop(next(other for other in self._fetched if other != self._current))
        taken = {slot for slot, _ in self._fetched.values()}
        slot = next(slot for slot in range(len(self._slots)) if slot not in taken)
        event = self._device.copy(self._groups[place].host, self._slots[slot], self._free[slot])
        self._fetched[place] = (slot, event)


def linear(block: nn.Module) -> list[nn.Linear]:
    """The linear layers of a block."""
    return [layer for layer in block.modules() if isinstance(layer, nn.Linear)]


def weights_of(modules: Sequence[nn.Module]) -> list[Tensor]:
    """Parameters and buffers of modules."""
    return [t for module in modules for t in (*module.parameters(), *module.buffers())]


class Residency:
    """The parts of a world under a plan."""

    def __init__(
        self,
        plan: ResidencyPlan,
        parts: Mapping[str, nn.Module],
        blocks: nn.ModuleList,
        device: Device,
    ) -> None:
        """`parts` are text_encoder, transformer and codec, all of them on the host."""
        self.plan = plan
        self._visitors: dict[str, Visitor] = {}
        streaming: list[nn.Module] = []
        if plan.transformer == "streams":
            streaming = [*blocks][plan.staying_blocks :]
        self._streamer = Streamer(streaming, plan.group, device) if streaming else None
        streamed = {id(t) for block in streaming for t in weights_of(linear(block))}
        for name, module in parts.items():
            if getattr(plan, name) == "host":
                continue
            tensors = [t for t in weights_of([module]) if id(t) not in streamed]
            visitor = Visitor(tensors, device)
            if self._visits(name):
                self._visitors[name] = visitor
            else:
                visitor.settle()

    def _visits(self, name: str) -> bool:
        """Whether a part comes and goes."""
        place = getattr(self.plan, name)
        return place == "turns" or (place == "streams" and self.plan.alone)

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """While this lasts, the part is on the device (or on the host, if it lives there)."""
        if not self._visits(name):
            yield
            return
        if self.plan.alone:
            for other, visitor in self._visitors.items():
                if other != name and not self._together(name, other):
                    visitor.send_off()
        self._visitors[name].bring()
        try:
            yield
        finally:
            # The transformer's turn is the next chunk's again: it leaves only for another.
            if not (self.plan.alone and name == "transformer"):
                self._visitors[name].send_off()

    def _together(self, name: str, other: str) -> bool:
        """A streaming transformer and the codec are small enough to be there at once."""
        return self.plan.transformer == "streams" and "text_encoder" not in (name, other)
