"""What two frames of a scene of known depth and motion teach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch")
HEIGHT, WIDTH = 96, 128
FORWARD = (0.3, -0.2, -0.8)  # the scene comes nearer, and to the right
TURN = (0.01, -0.015, 0.008)


@dataclass(frozen=True)
class Scene:
    """Inverse depth and flow of the first frame, and both pictures, exact to rounding."""

    inverse: Any
    batch: Any

    def rigid(self, p: Any) -> Any:
        from depthrt_training.losses.camera_motion import rigid_motion

        return rigid_motion(p, self.batch.flow, self.batch.valid, self.batch.camera)


def texture(x: Any, y: Any) -> Any:
    """A pattern that is defined between the pixels too: N,H,W -> N,3,H,W."""
    waves = [
        torch.sin(0.35 * x + 0.11 * y) + torch.sin(0.09 * x - 0.41 * y + 1),
        torch.sin(0.52 * y + 2) + torch.sin(0.23 * x + 0.31 * y),
        torch.sin(0.45 * x - 0.2 * y) + torch.sin(0.17 * y + 3),
    ]
    return 128 + 55 * torch.stack(waves, dim=1)


def draw(
    translation: tuple[float, float, float],
    rotation: tuple[float, float, float] = TURN,
    moving: bool = False,
) -> Scene:
    """A slope with a bump and a box before it, seen by a crop of a larger frame.

    The second picture is the texture, and the first is what the flow makes of it.
    """
    from depthrt_training.losses.motion_loss import PairBatch

    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    inverse = 0.5 + 1.2 * y / HEIGHT + 0.4 * torch.sin(x / 11)
    inverse = inverse + 1.2 * torch.exp(-((x - 40) ** 2 + (y - 40) ** 2) / 300)
    inverse[50:80, 80:110] = 3.0
    fx, fy, cx, cy = 130.0, 120.0, 50.0, 60.0
    u, v = (x - cx) / fx, (y - cy) / fy
    (tx, ty, tz), (wx, wy, wz) = translation, rotation
    depth = 30 / inverse
    along = (tx - u * tz) / depth + wy * (1 + u * u) - wx * u * v - wz * v
    down = (ty - v * tz) / depth - wx * (1 + v * v) + wy * u * v + wz * u
    flow = torch.stack([fx * along, fy * down])[None]
    if moving:
        flow[:, :, 10:35, 85:120] += torch.tensor([3.0, -2.0])[None, :, None, None]
    place_x, place_y = x + flow[:, 0], y + flow[:, 1]
    valid = (place_x > 0.5) & (place_x < WIDTH - 0.5) & (place_y > 0.5) & (place_y < HEIGHT - 0.5)
    camera = torch.tensor([[fx, fy, cx, cy]])
    pictures = texture(place_x, place_y), texture(x[None], y[None])
    return Scene(inverse[None], PairBatch(*pictures, flow, valid, camera, torch.tensor([True])))


def photometric(scene: Scene, p: Any) -> Any:
    from depthrt_training.losses.motion_loss import motion_terms

    return motion_terms(p, p, scene.batch).photometric


@pytest.mark.parametrize("translation", [FORWARD, (1.2, 0.3, 0.1)])
def test_the_fit_finds_the_flow_of_depth_of_any_scale_and_shift(
    translation: tuple[float, float, float],
) -> None:
    scene = draw(translation)
    assert scene.batch.flow.norm(dim=1).mean() > 1.5
    for scale, shift in ((1.0, 0.0), (0.2, 3.0), (7.0, -4.0)):
        rigid = scene.rigid(scale * scene.inverse + shift)
        assert (rigid.flow - scene.batch.flow).abs().max() < 0.01
        assert rigid.residual.max() < 0.02
        assert rigid.parallax.all()
        assert rigid.parallax_px > 0.3


def test_true_depth_explains_the_second_picture_better_than_other_depth() -> None:
    scene = draw(FORWARD)
    p = scene.inverse
    true, flat = photometric(scene, p), photometric(scene, torch.ones_like(p))
    inverted = photometric(scene, 5 - p)
    assert true < 0.01
    assert flat > 5 * true
    assert inverted > 5 * true


def test_depth_the_wrong_way_round_does_not_explain_the_flow() -> None:
    scene = draw(FORWARD)
    right, wrong = scene.rigid(scene.inverse), scene.rigid(5 - scene.inverse)
    assert wrong.residual.mean() > 20 * right.residual.mean()


@pytest.mark.parametrize("term", ["photometric", "flow"])
def test_descent_brings_depth_nearer_to_the_truth(term: str) -> None:
    from depthrt_training.losses.depth_loss import invariant_error
    from depthrt_training.losses.motion_loss import motion_terms

    scene = draw(FORWARD)
    y, x = torch.arange(HEIGHT)[:, None], torch.arange(WIDTH)
    dent = torch.exp(-((x - 85) ** 2 + (y - 55) ** 2) / 400)
    p = (scene.inverse - 0.7 * dent).requires_grad_()
    everywhere = torch.ones_like(scene.batch.valid)

    def error() -> float:
        return float(invariant_error(p.detach(), scene.inverse, everywhere))

    optimiser = torch.optim.Adam([p], lr=0.05)
    losses, before = [], error()
    for _ in range(16):
        loss = getattr(motion_terms(p, p, scene.batch), term)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert error() < 0.8 * before


def test_what_moves_by_itself_is_left_out() -> None:
    from depthrt_training.losses.camera_motion import static_mask

    scene = draw(FORWARD, moving=True)
    rigid = scene.rigid(scene.inverse)
    static = static_mask(rigid.residual, scene.batch.valid)
    still = scene.batch.valid.clone()
    still[:, 10:35, 85:120] = False
    assert not static[:, 10:35, 85:120].any()
    assert static[still].float().mean() > 0.99
    assert rigid.residual[still].max() < 0.1


@pytest.mark.parametrize("rotation", [TURN, (0.0, 0.0, 0.0)])
def test_without_parallax_only_flicker_counts(rotation: tuple[float, float, float]) -> None:
    from depthrt_training.losses.motion_loss import motion_terms

    scene = draw((0.0, 0.0, 0.0), rotation)
    scene.batch.flow.add_(0.1 * torch.randn(scene.batch.flow.shape, generator=seeded()))
    p = scene.inverse.clone().requires_grad_()
    terms = motion_terms(p, 1.2 * p, scene.batch)
    assert not scene.rigid(p).parallax.any()
    assert terms.photometric == 0
    assert terms.flow == 0
    assert terms.temporal > 0.05
    torch.stack(terms).sum().backward()
    assert p.grad.isfinite().all()


def test_a_pair_without_a_believed_pixel_costs_nothing_and_has_a_graph() -> None:
    from dataclasses import replace

    from depthrt_training.losses.motion_loss import motion_terms

    scene = draw(FORWARD)
    nothing = replace(scene.batch, valid=torch.zeros_like(scene.batch.valid))
    p = scene.inverse.clone().requires_grad_()
    terms = motion_terms(p, p + 1, nothing)
    assert [float(term.detach()) for term in terms] == [0, 0, 0]
    torch.stack(terms).sum().backward()
    assert (p.grad == 0).all()


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_flat_depth_has_finite_losses_and_gradients(value: float) -> None:
    from depthrt_training.losses.motion_loss import motion_terms

    scene = draw(FORWARD)
    p = torch.full_like(scene.inverse, value).requires_grad_()
    terms = motion_terms(p, p, scene.batch)
    torch.stack(terms).sum().backward()
    assert all(term.isfinite() for term in terms)
    assert p.grad.isfinite().all()


def test_depth_that_moves_with_the_picture_does_not_flicker() -> None:
    from depthrt_training.losses.motion_loss import temporal_loss

    later = torch.arange(WIDTH).float().repeat(1, HEIGHT, 1) / 20
    flow = torch.zeros(1, 2, HEIGHT, WIDTH)
    flow[:, 0] = 3.5
    earlier = (later + 3.5 / 20).requires_grad_()
    valid = torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool)
    assert temporal_loss(earlier, later, flow, valid) == 0
    other = (1.1 * later).requires_grad_()
    loss = temporal_loss(earlier, other, flow, valid)
    # Mean of 0.1 (x + 3.5) / 20 over the mean deviation, a quarter of the range; less the zone.
    reach = (WIDTH - 4) / 20
    assert loss.item() == pytest.approx((0.1 * (reach + 7 / 20) / 2) / (reach / 4) - 0.01, rel=0.02)
    loss.backward()
    assert earlier.grad.abs().sum() > 0
    assert other.grad.abs().sum() > 0


def test_warping_looks_where_the_pixel_went() -> None:
    from depthrt_training.losses.motion_loss import warp

    values = torch.rand(1, 2, 20, 30, generator=seeded())
    flow = torch.zeros(1, 2, 20, 30)
    flow[:, 0], flow[:, 1] = 3, -2
    moved, inside = warp(values, flow)
    assert torch.allclose(moved[:, :, 2:, :27], values[:, :, :18, 3:], atol=1e-5)
    assert inside[:, 2:, :27].all()
    assert inside.sum() == 18 * 27


def test_half_the_resolution_is_the_same_scene() -> None:
    scene = draw(FORWARD)
    half = scene.batch.halved()
    assert half.flow.shape == (1, 2, HEIGHT // 2, WIDTH // 2)
    p = torch.nn.functional.avg_pool2d(scene.inverse[None], 2)[0]
    rigid = Scene(p, half).rigid(p)
    assert (rigid.flow - half.flow)[half.valid[:, None].expand(-1, 2, -1, -1)].abs().max() < 0.05


def seeded() -> Any:
    return torch.Generator().manual_seed(0)
