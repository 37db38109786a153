"""Pictures: from land, air, camera and clock to RGB, for N cameras at once.

One march per column finds the ground, one lookup per pixel colours it, the sky is painted by
direction, cards are composited over both, water mirrors the result, and rain or snow falls before
it all. Everything is plain torch without a loop over cameras.

N cameras, W columns, H rows; pictures are column-major [3, N, W, H] until the last step.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.worlds.wilds import (
    billboards,
    camera,
    ground,
    objects,
    precipitation,
    sky,
    weather,
)
from training.worlds.wilds.camera import Hits, View
from training.worlds.wilds.ground import lerp
from training.worlds.wilds.scene import Scene
from training.worlds.wilds.terrain import CLOUDS, Place, spread
from training.worlds.wilds.weather import Air

CLOUD_HEIGHT = 230.0


@dataclass(frozen=True, kw_only=True)
class Lit:
    """The picture without cards, and what is needed to mirror it."""

    picture: Tensor
    sky: Tensor
    haze: Tensor
    water: Tensor
    """0..1 where still water is seen."""
    ripple: Tensor
    fog: Tensor


def _flames(scene: Scene, sites: objects.Sites) -> Tensor:
    """[3, N]: the nearest campfire (east, north) and how strongly it burns now."""
    fire = sites.which == objects.LANDMARKS.index("campfire")
    d2 = torch.where(fire, sites.cells.dx**2 + sites.cells.dz**2, 1e9)
    best = d2.argmin(1, keepdim=True)
    dx, dz = (torch.gather(t, 1, best)[:, 0] for t in (sites.cells.dx, sites.cells.dz))
    t = (scene.clock % 1000.0).float()
    flicker = 0.86 + 0.09 * torch.sin(t * 9.0) + 0.05 * torch.sin(t * 21.0 + 1)
    return torch.stack([dx, dz, scene.fire * flicker * (d2.amin(1) < 1e8)])


def _land_and_sky(
    scene: Scene, place: Place, air: Air, view: View, hits: Hits, rays: sky.Rays, flames: Tensor
) -> Lit:
    """The sky, and the ground lit and lost in the air, joined along the skyline."""
    land, eye = scene.land, scene.camera.eye
    beat = spread((scene.clock % 1000.0).float() * 2.1, 2)
    s = ground.surface(land, place, view, hits.ahead, eye)
    cloud = _clouds(scene, place, air, rays, s.dx, s.dz, hits)
    light = ground.light(land, s, air, cloud, flames)
    coat = ground.coat(land, s, air, light, scene.snowpack, beat, hits.ground)
    haze = sky.haze(air, *_level(view))
    flat = hits.ahead * (1 + view.tangent**2).sqrt()[:, None]
    fog = sky.fog_share(air, flat, s.g.height.clamp(min=0), eye)
    lit = lerp(coat.colour, haze[..., None], fog * (1 - 0.3 * coat.water * coat.lava))
    above = _sky(scene, air, rays, view, cloud, haze)
    return Lit(
        picture=lerp(above, lit, hits.cover),
        sky=above,
        haze=haze,
        water=coat.water * (1 - coat.lava),
        ripple=(s.micro + 0.5 * torch.sin(s.micro_u * 0.05 + beat)) * s.grain,
        fog=fog,
    )


def _sky(scene: Scene, air: Air, rays: sky.Rays, view: View, cloud: Tensor, haze: Tensor) -> Tensor:
    """[3, N, W, H] everything above the ground, and below it what water would mirror."""
    above = sky.clouds(air, rays, cloud, sky.sky(air, rays, view.pixel, scene.steady))
    above = above + _extras(scene, air, rays, view)
    above = sky.ranges(scene.land, air, rays, above, haze)
    return lerp(above, haze[..., None], sky.veil(air, rays))


def _level(view: View) -> tuple[Tensor, Tensor]:
    """[N, W] unit horizontal directions of the columns."""
    scale = (1 + view.tangent**2).rsqrt()
    return view.ray_x * scale, view.ray_z * scale


def _clouds(
    scene: Scene, place: Place, air: Air, rays: sky.Rays, dx: Tensor, dz: Tensor, hits: Hits
) -> Tensor:
    """Cloud density overhead for sky pixels, cloud shadow for ground pixels: one lookup."""
    reach = CLOUD_HEIGHT / (rays.y.abs() + 0.07)
    sun_y = air.lamp[1].clamp(min=0.25)
    cx, cz = (spread(CLOUD_HEIGHT * air.lamp[k] / sun_y, 2) for k in (0, 2))
    # Water that mirrors sky from outside the picture shows these shadows for clouds; ripples
    # hide the difference.
    px = torch.where(hits.ground, dx + cx, rays.x * reach) / CLOUDS
    pz = torch.where(hits.ground, dz + cz, rays.z * reach) / CLOUDS
    u0, v0 = (spread(t, 2) for t in place.clouds)
    return sky.cloud_field(air, scene.clock, u0 + px, v0 + pz)


def _extras(scene: Scene, air: Air, rays: sky.Rays, view: View) -> Tensor:
    """Aurora and lightning, where any world has them."""
    out = torch.zeros(3, *rays.x.shape, device=rays.x.device)
    if scene.steady or bool((air.weather[:, weather.AURORA] * air.night > 0.01).any()):
        out = out + sky.aurora(air, rays, scene.clock)
    if scene.steady or bool((air.flash > 0.01).any()):
        out = out + 0.9 * sky.bolt(air, rays, scene.clock, scene.land.seeds, view.pixel)
    return out


def _mirror(picture: Tensor, lit: Lit, view: View) -> Tensor:
    """What still water shows at every pixel: the picture's mirrored row, or the sky beyond it."""
    h = picture.shape[-1]
    rows = torch.arange(h, device=picture.device) + 0.5
    row = (2 * view.horizon[:, None, None] - rows) - 0.5 + lit.ripple * (h * 0.045)
    inside = (row >= 0) & (row <= h - 1)
    row = row.clamp(0, h - 1)
    r0 = row.floor().clamp(max=h - 2)
    t = row - r0
    index = r0.long().expand(3, *lit.ripple.shape)
    seen = lerp(torch.gather(picture, 3, index), torch.gather(picture, 3, index + 1), t)
    return torch.where(inside, seen, lit.sky)


def _waters(lit: Lit, over: billboards.Overlay, view: View, rays: sky.Rays, steady: bool) -> Tensor:
    """The picture with its water mirroring it, and the cards over both."""
    whole = lit.picture * over.through + over.colour
    if not (steady or bool((lit.water > 0).any())):
        return whole
    mirrored = _mirror(whole, lit, view)
    share = (0.10 + 0.80 * (1 - rays.y.abs()).clamp(0, 1) ** 4) * lit.water * (1 - lit.fog)
    return lerp(lit.picture, mirrored, share) * over.through + over.colour


def _rays(view: View) -> sky.Rays:
    x, z = view.ray_x[..., None], view.ray_z[..., None]
    y = view.slope[:, None, :]
    norm = (x * x + z * z + y * y).rsqrt()
    return sky.Rays(x=x * norm, y=y * norm, z=z * norm)


def surroundings(scene: Scene, place: Place) -> tuple[objects.Things, objects.Sites]:
    """Everything near the cameras that could be seen."""
    land, x, z = scene.land, scene.camera.x, scene.camera.z
    sites = objects.sites(land, place, x, z, 2)
    parts = [
        objects.woods(land, place, x, z, 8),
        objects.tufts(land, place, x, z, 6),
        objects.groves(land, place, x, z, 8),
        objects.landmarks(land, place, sites, scene.fire),
    ]
    return objects.Things.join(parts), sites


def _film(picture: Tensor) -> Tensor:
    """Rolls highlights off softly instead of clipping them."""
    knee = 0.72
    over = (picture - knee).clamp(min=0) / (1 - knee)
    return picture.clamp(0, knee) + (1 - knee) * (1 - torch.exp(-over))


def picture_of(scene: Scene, height: int, width: int) -> Tensor:
    """uint8 [N, H, W, 3]."""
    land, eye = scene.land, scene.camera.eye
    place = land.anchor(scene.camera.x, scene.camera.z)
    here = torch.zeros_like(eye)
    blend = land.ground(place, here, here).blend
    air = weather.air(land, scene.hour, scene.weather, scene.clock, blend)
    view = camera.view(scene.camera, height, width)
    z = camera.depths(eye.device)
    surface = land.height(
        place, view.ray_x[..., None] * z, view.ray_z[..., None] * z, camera.detail(z)
    )
    hits = camera.resolve(surface.clamp(min=0), eye, view.slope, view.pixel)
    rays = _rays(view)
    things, sites = surroundings(scene, place)
    flames = _flames(scene, sites)
    lit = _land_and_sky(scene, place, air, view, hits, rays, flames)
    gust = (scene.clock % 1000.0).float()
    lighting = billboards.Lighting(haze=lit.haze, fire=flames, gust=gust)
    cards = billboards.cards(things, view)
    over = billboards.draw(cards, view, eye, hits.ahead, air, lighting, scene.steady)
    picture = _waters(lit, over, view, rays, scene.steady)
    picture = precipitation.fall(picture, view, air, scene.camera.yaw, scene.clock, scene.steady)
    return (_film(picture) * 255 + 0.5).to(torch.uint8).permute(1, 3, 2, 0).contiguous()
