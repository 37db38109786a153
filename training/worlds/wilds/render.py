"""Pictures: from land, air, camera and clock to RGB, for N cameras at once.

One march per column finds the ground, one lookup per pixel colours it, the sky is painted by
direction, cards are composited over both, water mirrors the result, and rain or snow falls before
it all. Everything is plain torch without a loop over cameras.

N cameras, W columns, H rows; pictures are column-major [3, N, W, H] until the last step.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.worlds.wilds import billboards, camera, noise, objects, precipitation, sky, weather
from training.worlds.wilds.camera import Camera, Hits, View
from training.worlds.wilds.terrain import CLOUDS, MICRO, Ground, Land, Place, spread
from training.worlds.wilds.weather import DIM, Air

CLOUD_HEIGHT = 230.0


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All that a picture depends on. `clock` float64 [N] seconds; the rest [N] or [N, columns]."""

    land: Land
    camera: Camera
    hour: Tensor
    clock: Tensor
    weather: Tensor
    snowpack: Tensor
    """How white the ground is, 0..1."""
    fire: Tensor
    """How high the campfires burn, 0..1."""

    def rows(self, part: slice) -> "Scene":
        """Some of the cameras."""
        return Scene(
            land=self.land.rows(part),
            camera=self.camera.rows(part),
            **{k: getattr(self, k)[part] for k in ("hour", "clock", "weather", "snowpack", "fire")},
        )


def fog_share(air: Air, distance: Tensor, height: Tensor, eye: Tensor) -> Tensor:
    """0..1: how much of a thing at that distance and height is lost in the air."""
    dims = distance.dim() - 1
    low = torch.exp(-(0.5 * (height + spread(eye, dims))).clamp(min=0) / 5.0)
    thick = spread(air.density, dims) * (1 + spread(air.mist, dims) * 5.0 * low)
    return 1 - torch.exp(-((distance * thick) ** 1.25))


def _ramp(x: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    q = ((x - low) / (high - low)).clamp(0, 1)
    return q * q * (3 - 2 * q)


def _lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    return a + t * (b - a)


def albedo(land: Land, g: Ground, grain: Tensor, ahead: Tensor, snowpack: Tensor) -> Tensor:
    """[3, N, W, H] colour of the ground under white light."""
    steep = (g.slope_x**2 + g.slope_z**2).sqrt()
    rgb = _lerp(
        land.mix("low", g.blend), land.mix("high", g.blend), (0.5 + 0.7 * g.small).clamp(0, 1)
    )
    rgb = _lerp(rgb, land.mix("patch", g.blend), _ramp(g.broad + 0.25 * g.ridged, 0.12, 0.5))
    wooded = (land.mix("tree_density", g.blend) * 1.3).clamp(max=0.85) * _ramp(ahead, 70, 190)
    rgb = _lerp(rgb, land.mix("canopy", g.blend), wooded * _ramp(g.height, 0.5, 2.5))
    top = land.mix("peak_at", g.blend)
    rgb = _lerp(rgb, land.mix("peak", g.blend), _ramp(g.height + 5 * g.small, top - 4, top + 4))
    rgb = _lerp(rgb, land.mix("rock", g.blend), _ramp(steep + 0.12 * g.small, 0.50, 0.85))
    rgb = _lerp(rgb, land.mix("shore", g.blend), 1 - _ramp(g.height + 0.35 * g.small, 0.25, 1.1))
    lying = spread(snowpack, 2) * (1 - _ramp(steep, 0.5, 1.0)) * _ramp(g.height, 0.05, 0.5)
    white = torch.tensor([0.90, 0.93, 0.98], device=rgb.device).view(3, 1, 1, 1)
    rgb = _lerp(rgb, white, 0.92 * lying)
    return rgb * (1 + 0.20 * land.mix("grain", g.blend) * (1 - 0.6 * lying) * grain)


def _footprint(view: View, ahead: Tensor, eye: Tensor) -> Tensor:
    """Metres of ground that one pixel covers, the geometric mean of across and along."""
    return ahead / view.focal * (ahead / eye[:, None, None].clamp(min=0.6)).sqrt()


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


def _light_ground(
    scene: Scene, place: Place, air: Air, view: View, hits: Hits, rays: sky.Rays, flames: Tensor
) -> Lit:
    """Sky, and ground lit and fogged."""
    land, eye = scene.land, scene.camera.eye
    ahead = hits.ahead
    dx, dz = view.ray_x[..., None] * ahead, view.ray_z[..., None] * ahead
    g = land.ground(place, dx, dz, camera.detail(ahead))
    tile = noise.tile(land.device)
    u0, v0 = (spread(t, 2) for t in place.micro)
    micro, mu, mv = noise.sample(
        tile[[noise.FBM, noise.FBM_U, noise.FBM_V]], u0 + dx / MICRO, v0 + dz / MICRO
    )
    foot = _footprint(view, ahead, eye)
    grain = torch.exp(-((foot / 0.55) ** 2))
    base = albedo(land, g, micro * grain, ahead, scene.snowpack)

    bump = grain * 0.012 * land.mix("grain", g.blend)
    sx, sz = g.slope_x + bump * mu, g.slope_z + bump * mv
    lx, ly, lz = (spread(t, 2) for t in air.lamp)
    norm = (1 + sx * sx + sz * sz).rsqrt()
    facing = ((ly - sx * lx - sz * lz) * norm).clamp(min=0)

    beat = spread((scene.clock % 1000.0).float() * 2.1, 2)
    haze = sky.haze(air, *_level(view))
    blue = sky.sky(air, rays, view.pixel)
    cloud = _clouds(scene, place, air, rays, dx, dz, hits)
    shade = 1 - 0.55 * cloud * (1 - spread(air.weather[:, DIM], 2))
    hollow = (0.94 + 0.14 * g.small).clamp(0.7, 1.1)
    skylit = (0.72 + 0.28 * norm) * hollow
    light = spread(air.light, 2) * (facing * shade) + spread(air.ambient, 2) * skylit
    d2 = (dx - spread(flames[0], 2)) ** 2 + (dz - spread(flames[1], 2)) ** 2
    warm = torch.tensor([1.0, 0.50, 0.18], device=base.device).view(3, 1, 1, 1)
    light = light + warm * (spread(flames[2], 2) * torch.exp(-d2 / 55) * 0.95)

    vein = torch.exp(-(((g.small + 0.07 * micro) / 0.055) ** 2)) * _ramp(g.broad, -0.25, 0.2)
    vein = vein * land.mix("lava", g.blend)
    ember = vein * (1 - spread(scene.snowpack, 2)) * (0.75 + 0.25 * torch.sin(g.small * 9 + beat))
    water = _ramp(-g.height, 0.0, 0.10) * hits.ground
    deep = 1 - torch.exp(g.height.clamp(max=0) * 0.8)
    wet = land.mix("water", g.blend) * (spread(air.ambient, 2) * 0.8 + spread(air.light, 2) * 0.35)
    lava = land.mix("lava", g.blend)
    skin = _ramp(micro * grain + g.ridged * camera.detail(ahead * 2) * 0.6, -0.1, 0.5)
    crust = _lerp(land.mix("water", g.blend), base * 0.5, skin)
    wet = _lerp(wet, crust + 0.15 * land.mix("water", g.blend), lava)
    seabed = (1 - 0.92 * deep) * (1 - lava)
    glowing = torch.tensor([1.0, 0.34, 0.06], device=base.device).view(3, 1, 1, 1)
    lit = _lerp(base * light + glowing * (0.85 * ember), wet, water * (1 - seabed))

    height = g.height.clamp(min=0)
    flat = ahead * (1 + view.tangent**2).sqrt()[:, None]
    fog = fog_share(air, flat, height, eye)
    lit = _lerp(lit, haze[..., None], fog * (1 - 0.3 * water * lava))
    above = sky.clouds(air, rays, cloud, blue)
    above = above + _extras(scene, air, rays, view)
    above = sky.ranges(land, air, rays, above, haze)
    above = _lerp(above, haze[..., None], sky.veil(air, rays))
    ripple = micro + 0.5 * torch.sin(mu * 0.05 + beat)
    return Lit(
        picture=_lerp(above, lit, hits.cover),
        sky=above,
        haze=haze,
        water=water * (1 - lava),
        ripple=ripple * grain,
        fog=fog,
    )


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
    # Water mirrors the sky above it, so its pixels take the sky's clouds, not the shadow.
    px = torch.where(hits.ground, dx + cx, rays.x * reach) / CLOUDS
    pz = torch.where(hits.ground, dz + cz, rays.z * reach) / CLOUDS
    u0, v0 = (spread(t, 2) for t in place.clouds)
    return sky.cloud_field(air, scene.clock, u0 + px, v0 + pz)


def _extras(scene: Scene, air: Air, rays: sky.Rays, view: View) -> Tensor:
    """Aurora and lightning, where any world has them."""
    out = torch.zeros(3, *rays.x.shape, device=rays.x.device)
    if bool((air.weather[:, weather.AURORA] * air.night > 0.01).any()):
        out = out + sky.aurora(air, rays, scene.clock)
    if bool((air.flash > 0.01).any()):
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
    seen = _lerp(torch.gather(picture, 3, index), torch.gather(picture, 3, index + 1), t)
    return torch.where(inside, seen, lit.sky)


def _waters(lit: Lit, over: billboards.Overlay, view: View, rays: sky.Rays) -> Tensor:
    """The picture with its water mirroring it, and the cards over both."""
    whole = lit.picture * over.through + over.colour
    if not bool((lit.water > 0).any()):
        return whole
    mirrored = _mirror(whole, lit, view)
    share = (0.10 + 0.80 * (1 - rays.y.abs()).clamp(0, 1) ** 4) * lit.water * (1 - lit.fog)
    return _lerp(lit.picture, mirrored, share) * over.through + over.colour


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
    lit = _light_ground(scene, place, air, view, hits, rays, flames)
    gust = (scene.clock % 1000.0).float()
    lighting = billboards.Lighting(haze=lit.haze, fire=flames, gust=gust)
    cards = billboards.cards(things, view)
    over = billboards.draw(cards, view, eye, hits.ahead, air, lighting)
    picture = _waters(lit, over, view, rays)
    picture = precipitation.fall(picture, view, air, scene.camera.yaw, scene.clock)
    return (_film(picture) * 255 + 0.5).to(torch.uint8).permute(1, 3, 2, 0).contiguous()
