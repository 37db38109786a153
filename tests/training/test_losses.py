"""Every loss against a value computed the slow way."""

import math

import numpy as np
import pytest
import torch

from training.losses.adversarial import Head, critic_loss, generator_loss, smoothness
from training.losses.distribution import matching_gradient, matching_loss
from training.losses.flow import (
    TimeConfig,
    clean_from_velocity,
    flow_loss,
    mix,
    sample_sigma,
)
from training.losses.reconstruction import gradient_difference, psnr, reconstruction
from training.trainer.draw import Draw


def rand(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_flow_loss_is_the_squared_distance_to_noise_minus_clean():
    clean, noise, velocity = (rand(2, 3, 1, 2, 2, seed=i) for i in range(3))
    expected = [np.mean((velocity[b] - (noise[b] - clean[b])).numpy() ** 2) for b in range(2)]
    assert np.allclose(flow_loss(velocity, clean, noise), expected, rtol=1e-6)


def test_the_true_velocity_leads_back_to_the_clean_latents():
    clean, noise = rand(2, 3, 1, 2, 2), rand(2, 3, 1, 2, 2, seed=1)
    sigma = torch.tensor([0.3, 1.0])
    noisy = mix(clean, noise, sigma)
    assert torch.allclose(noisy[0], 0.7 * clean[0] + 0.3 * noise[0])
    assert torch.allclose(noisy[1], noise[1])
    assert torch.allclose(clean_from_velocity(noisy, noise - clean, sigma), clean, atol=1e-6)


def test_noise_levels_are_logit_normal_with_a_share_at_one():
    config = TimeConfig(mean=0.8, spread=1.0, pure=0.1, low=0.05)
    sigma = sample_sigma(20000, config, Draw(0, 0))
    pure = (sigma == 1).float().mean()
    assert abs(float(pure) - 0.1) < 0.01
    inner = torch.logit(sigma[(sigma < 1) & (sigma > 0.05)])
    assert abs(float(inner.mean()) - 0.8) < 0.03 and abs(float(inner.std()) - 1) < 0.03
    assert float(sigma.min()) >= 0.05


def test_matching_gradient_is_fake_minus_real_over_the_distance_to_real():
    x, real, fake = (rand(2, 3, 1, 2, 2, seed=i) for i in range(3))
    for b in range(2):
        scale = np.mean(np.abs((x[b] - real[b]).numpy().astype(np.float64)))
        expected = (fake[b] - real[b]).numpy() / scale
        assert np.allclose(matching_gradient(x, real, fake)[b], expected, rtol=1e-5)


def test_matching_loss_has_the_matching_gradient():
    x, real, fake = (rand(2, 3, 1, 2, 2, seed=i) for i in range(3))
    x.requires_grad_(True)
    matching_loss(x, real, fake).backward()
    expected = matching_gradient(x.detach(), real, fake) / x.numel()
    assert torch.allclose(x.grad.double(), expected, rtol=1e-4)


def test_adversarial_losses_are_softplus_means():
    real, fake = [rand(5), rand(5, seed=1)], [rand(5, seed=2), rand(5, seed=3)]

    def soft(v):
        return math.log1p(math.exp(v))

    generator = np.mean([np.mean([soft(-v) for v in f.tolist()]) for f in fake])
    heads = np.mean([
        np.mean([soft(-v) for v in r.tolist()]) + np.mean([soft(v) for v in f.tolist()])
        for r, f in zip(real, fake, strict=True)
    ])  # fmt: skip
    assert float(generator_loss(fake)) == pytest.approx(generator, rel=1e-5)
    assert float(critic_loss(real, fake)) == pytest.approx(heads, rel=1e-5)
    rough = np.mean([np.mean((r - f).numpy() ** 2) for r, f in zip(real, fake, strict=True)])
    assert float(smoothness(real, fake)) == pytest.approx(rough, rel=1e-5)


def test_a_head_learns_to_tell_two_sets_apart():
    torch.manual_seed(0)
    head = Head(8, 8)
    real, fake = rand(32, 4, 8) + 0.5, rand(32, 4, 8, seed=1)
    optimiser = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        critic_loss([head(real, (1, 2, 2))], [head(fake, (1, 2, 2))]).backward()
        optimiser.step()
    right = (head(real, (1, 2, 2)) > 0).sum() + (head(fake, (1, 2, 2)) < 0).sum()
    assert int(right) >= 60


def test_reconstruction_terms():
    made, truth = rand(1, 3, 2, 4, 5), rand(1, 3, 2, 4, 5, seed=1)
    error = (made - truth).numpy()
    edges = np.abs(np.diff(error, axis=-1)).mean() + np.abs(np.diff(error, axis=-2)).mean()
    assert float(gradient_difference(made, truth)) == pytest.approx(edges, rel=1e-5)
    total = reconstruction(made, truth, absolute=2.0, squared=3.0, gradient=0.5)
    expected = 2 * np.abs(error).mean() + 3 * (error**2).mean() + 0.5 * edges
    assert float(total) == pytest.approx(expected, rel=1e-5)


def test_psnr_of_a_known_error():
    truth = torch.zeros(1, 3, 1, 4, 4)
    assert float(psnr(truth + 0.2, truth)) == pytest.approx(20.0, abs=1e-4)  # peak to peak is 2
