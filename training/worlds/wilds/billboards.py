"""Things brought to the screen: upright cards that turn to the camera, lit by their normals.

Per column the nearest few cards are composited front to back; only covered pixels are touched, so
the cost follows what is seen. Not here: what stands where (objects), what it looks like (sprites).

N cameras, K cards, W columns, H rows, M layers, P covered pixels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from training.worlds.wilds.camera import View
from training.worlds.wilds.noise import constant
from training.worlds.wilds.objects import Things
from training.worlds.wilds.sky import fog_share
from training.worlds.wilds.sprites import LEVELS, NAMES, TILE, atlas, sizes
from training.worlds.wilds.weather import WIND, Air

CARDS, LAYERS = 112, 6
"""Cards kept per camera, and cards composited per column."""
SUNK = 0.035
"""Share of a card's height that stands in the ground."""


@dataclass(frozen=True, kw_only=True)
class Cards:
    """The nearest visible things, in order of depth; every field [N, K]."""

    ahead: Tensor
    """Metres ahead; infinite for an empty slot."""
    side: Tensor
    """Metres to the right."""
    foot: Tensor
    half: Tensor
    """Half the width in metres."""
    height: Tensor
    kind: Tensor
    tint: Tensor
    fade: Tensor
    sway: Tensor


def cards(things: Things, view: View) -> Cards:
    """Projects things and keeps the nearest CARDS that the camera can see."""
    width, height, _, sway = sizes(str(things.dx.device))[:, things.kind.clamp(min=0)]
    (fx, fz), (rx, rz) = view.forward, view.right
    ahead = things.dx * fx[:, None] + things.dz * fz[:, None]
    side = things.dx * rx[:, None] + things.dz * rz[:, None]
    distance = (ahead * ahead + side * side).sqrt()
    fade = ((things.far - distance) / (things.far * 0.22)).clamp(0, 1)
    arrived = ((distance - things.near) / (things.near * 0.2 + 1e-3)).clamp(0, 1)
    fade = fade * torch.where(things.near > 0, arrived, 1.0)
    fade = fade * ((ahead - 0.45) / 0.4).clamp(0, 1)
    half = width * things.scale / 2
    seen = (things.kind >= 0) & (fade > 0.01)
    seen &= side.abs() < ahead * view.edge + half
    key = torch.where(seen, ahead, torch.inf)
    near, index = torch.topk(key, min(CARDS, key.shape[1]), dim=1, largest=False, sorted=True)
    pick = [torch.gather(t, 1, index) for t in (side, half, height * things.scale, fade, sway)]
    kept = things.take(index)
    return Cards(
        ahead=near,
        side=pick[0],
        half=pick[1],
        height=pick[2],
        fade=pick[3],
        sway=pick[4],
        foot=kept.foot - SUNK * pick[2],
        kind=kept.kind.clamp(min=0),
        tint=kept.tint,
    )


def _layers(c: Cards, view: View) -> tuple[Tensor, Tensor]:
    """[N, W, M] which card each layer of a column shows, and where across it the column is."""
    u = (view.tangent[:, None] * c.ahead[:, None] - c.side[:, None]) / c.half[:, None]
    overlap = (u.abs() < 1) & torch.isfinite(c.ahead)[:, None]
    rank = overlap.to(torch.int16).cumsum(2)
    slot = torch.where(overlap & (rank <= LAYERS), rank - 1, LAYERS).long()
    n, w, k = u.shape
    which = torch.full((n, w, LAYERS + 1), -1, device=u.device, dtype=torch.long)
    which.scatter_(2, slot, torch.arange(k, device=u.device).expand(n, w, k))
    which = which[..., :LAYERS]
    return which, torch.gather(u, 2, which.clamp(min=0))


def _lookup(kind: Tensor, u: Tensor, v: Tensor, level: Tensor) -> Tensor:
    """[7, P] atlas values at u in -1..1, v in 0..1 of a kind's tile at a level."""
    planes = atlas(str(u.device))
    rows, columns = planes.shape[1:]
    size = TILE * torch.exp2(-level.float())
    x = ((u + 1) / 2 * size).clamp(min=0.5)
    y = ((1 - v) * size).clamp(min=0.5)
    x = torch.minimum(x, size - 0.5) + kind * size
    y = torch.minimum(y, size - 0.5) + 2 * TILE - 2 * size
    grid = torch.stack([x * (2 / columns) - 1, y * (2 / rows) - 1], -1)[None, None]
    return F.grid_sample(planes[None], grid, mode="bilinear", align_corners=False)[0, :, 0]


@dataclass(frozen=True, kw_only=True)
class Lighting:
    """What a card needs to know to be lit, besides the air."""

    haze: Tensor
    """[3, N, W] colour it fades to."""
    fire: Tensor
    """[3, N]: metres east and north of the nearest fire, and its strength."""
    gust: Tensor
    """[N] seconds, for swaying and flickering."""


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """Cards as a layer over the picture: light added [3, N, W, H], light let through [N, W, H]."""

    colour: Tensor
    through: Tensor


def draw(
    c: Cards, view: View, eye: Tensor, ahead: Tensor, air: Air, lit: Lighting, steady: bool
) -> Overlay:
    """Composites cards before ground that lies `ahead` metres ahead [N, W, H].

    A `steady` picture shades every pixel of each layer, whether a card covers it or not.
    """
    n, w, h = ahead.shape
    which, across = _layers(c, view)
    colour = torch.zeros(3, n * w * h, device=ahead.device)
    through = torch.ones(n * w * h, device=ahead.device)
    table = _per_card(c, view, eye, air, lit)
    world = torch.arange(n, device=ahead.device)[:, None]
    everywhere = torch.arange(n * w * h if steady else 0, device=ahead.device)
    for layer in range(LAYERS):
        card = which[:, :, layer]
        near = torch.where(card >= 0, table["ahead"][world, card.clamp(min=0)], torch.inf)
        open_ = through.view(n, w, h) > 0.02
        v = (
            view.slope[:, None] * near[..., None]
            + eye[:, None, None]
            - table["foot"][world, card.clamp(min=0)][..., None]
        )
        v = v / table["height"][world, card.clamp(min=0)][..., None]
        # A card may touch the slope it stands on: let it win by a little.
        covered = (v > 0) & (v < 1) & (near[..., None] < ahead + 0.35) & open_
        covered = covered.reshape(-1)
        spot = everywhere if steady else covered.nonzero()[:, 0]
        high = v.reshape(-1)[spot]
        if steady:
            high = torch.where(covered, high, 0.5)
        column = torch.div(spot, h, rounding_mode="floor")
        owner = torch.div(column, w, rounding_mode="floor") * c.ahead.shape[1]
        owner = owner + card.clamp(min=0).reshape(-1)[column]
        value = _shade(
            table,
            owner,
            column,
            w,
            across[:, :, layer].reshape(-1)[column],
            high,
            lit,
        )
        if steady:
            value = torch.where(covered, value, 0.0)
        before = through[spot]
        colour[:, spot] += before * value[:3]
        through[spot] = before * (1 - value[3])
    return Overlay(colour=colour.view(3, n, w, h), through=through.view(n, w, h))


def _per_card(c: Cards, view: View, eye: Tensor, air: Air, lit: Lighting) -> dict[str, Tensor]:
    """Everything about a card that does not change within it; [N, K] or [3, N, K]."""
    forward, right = view.forward, view.right
    lx = air.lamp[0] * right[0] + air.lamp[2] * right[1]
    lz = -(air.lamp[0] * forward[0] + air.lamp[2] * forward[1])
    span = torch.maximum(c.height, 2 * c.half)
    level = torch.log2(TILE * c.ahead / (span * view.focal)).round().clamp(0, LEVELS - 1)
    flat = (c.ahead**2 + c.side**2).sqrt()
    mid = c.foot + c.height * 0.4
    fog = fog_share(air, flat, mid, eye)
    east = c.side * right[0][:, None] + c.ahead * forward[0][:, None]
    north = c.side * right[1][:, None] + c.ahead * forward[1][:, None]
    glow = lit.fire[2][:, None] * torch.exp(
        -((east - lit.fire[0][:, None]) ** 2 + (north - lit.fire[1][:, None]) ** 2) / 70
    )
    bend = (
        c.sway
        * torch.sin(lit.gust[:, None] * 1.7 + c.tint * 40)
        * (0.4 + 1.6 * air.weather[:, WIND])[:, None]
    )
    flame = c.kind == NAMES.index("flame")
    flicker = 0.05 * torch.sin(lit.gust * 11)[:, None] + 0.03 * torch.sin(lit.gust * 23)[:, None]
    height = torch.where(flame, c.height * (1 + 2 * flicker), c.height)
    bend = torch.where(flame, 0.6 * flicker, bend)
    shape = c.ahead.shape
    return {
        "ahead": c.ahead, "foot": c.foot, "height": height, "level": level,
        "kind": c.kind, "tint": c.tint, "fade": c.fade * torch.isfinite(c.ahead), "bend": bend,
        "fog": fog, "glow": glow,
        "lx": lx[:, None].expand(shape), "ly": air.lamp[1][:, None].expand(shape),
        "lz": lz[:, None].expand(shape),
        "light": air.light[..., None].expand(3, *shape),
        "ambient": air.ambient[..., None].expand(3, *shape),
        "night": air.night[:, None].expand(shape),
    }  # fmt: skip


def _shade(
    table: dict[str, Tensor], owner: Tensor, column: Tensor, w: int, u: Tensor, v: Tensor,
    lit: Lighting,
) -> Tensor:  # fmt: skip
    """[4, P] premultiplied colour and coverage of covered pixels."""
    t = {k: x.reshape(-1)[owner] if x.dim() == 2 else x.reshape(3, -1)[:, owner]
         for k, x in table.items()}  # fmt: skip
    u = u + t["bend"] * v * v
    r, g, b, a, nx, ny, glow = _lookup(t["kind"], u, v, t["level"])
    nz = (a * a - nx * nx - ny * ny).clamp(min=0).sqrt()
    facing = nx * t["lx"] + ny * t["ly"] + nz * t["lz"]
    direct = (facing * 0.78 + 0.30 * a).clamp(min=0)
    skylit = a * 1.0 + 0.3 * ny
    light = t["light"] * direct + t["ambient"] * skylit
    warm = constant(str(u.device), 1.0, 0.52, 0.20)[:, None]
    light = light + warm * (t["glow"] * a)
    rgb = torch.stack([r, g, b])
    flat = rgb / a.clamp(min=1e-3) * t["tint"]
    shine = glow.clamp(max=1)
    colour = flat * light * (1 - (shine / a.clamp(min=1e-3)).clamp(max=1)) + rgb * (
        shine / a.clamp(min=1e-3)
    ).clamp(max=1) * (0.72 + 0.38 * t["night"])
    haze = lit.haze.reshape(3, -1)[:, column]
    fog = t["fog"] * (1 - 0.45 * (shine / a.clamp(min=1e-3)).clamp(max=1))
    colour = colour * (1 - fog) + haze * (a * fog)
    return torch.cat([colour, a[None]]) * t["fade"]
