"""Weights as an int8 file holds them, in training."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(("bits", "levels"), [(7, 64), (8, 127)])
def test_weights_lie_on_the_grid_of_their_channel(bits: int, levels: int) -> None:
    from depthrt_training.model.quantisation_aware import round_weights

    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    rounded = round_weights(weight, bits)
    largest = weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True)
    steps = (rounded / largest * levels).detach()
    assert torch.allclose(steps, steps.round(), atol=1e-4)
    assert steps.abs().max() == pytest.approx(levels, rel=1e-5)
    assert (rounded - weight).abs().max() <= largest.max() / levels / 2 + 1e-6
    (rounded * torch.arange(weight.numel()).reshape(weight.shape)).sum().backward()
    assert torch.equal(weight.grad, torch.arange(weight.numel()).reshape(weight.shape).float())


def test_a_rounded_network_is_another_one_but_for_its_last_convolution() -> None:
    from depthrt_training.model.network import DepthNet
    from depthrt_training.model.quantisation_aware import predict, round_weights

    torch.manual_seed(0)
    network = DepthNet().eval()
    pixels = torch.randn(1, 3, 32, 64)
    with torch.no_grad():
        exact, rounded = (predict(network, pixels, True, bits) for bits in (0, 7))
        assert torch.equal(exact, network.signed(pixels))
        for name, value in network.named_parameters():
            if value.dim() == 4 and name != "head.2.weight":
                value.copy_(round_weights(value, 7))
        assert torch.allclose(rounded, network.signed(pixels), atol=1e-6)
    assert not torch.equal(exact, rounded)
