"""The layers at the ends compute what torch's own do: forward, gradients, gradients of gradients, in both layouts."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ganforge.models.convolutions import Doubled, FirstMap, Halved, LastMap, doubling, halving

LAYERS: dict[str, tuple[Callable[[bool], nn.Module], type[nn.Module], tuple[int, ...]]] = {
    "first map": (lambda bias: FirstMap(5, 6, 4, bias=bias), nn.ConvTranspose2d, (3, 5, 1, 1)),
    "last map": (lambda bias: LastMap(6, 1, 4, bias=bias), nn.Conv2d, (3, 6, 4, 4)),
    "last map of several": (lambda bias: LastMap(6, 2, 3, bias=bias), nn.Conv2d, (3, 6, 3, 3)),
    "doubling to RGB": (lambda bias: doubling(6, 3, 4, bias), nn.ConvTranspose2d, (2, 6, 5, 7)),
    "doubling to grey": (lambda bias: doubling(6, 1, 4, bias), nn.ConvTranspose2d, (2, 6, 4, 4)),
    "halving RGB": (lambda bias: halving(3, 6, 4, bias), nn.Conv2d, (2, 3, 10, 14)),
    "halving grey": (lambda bias: halving(1, 6, 4, bias), nn.Conv2d, (2, 1, 8, 8)),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
every_layout = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])


def layer_and_input(name: str, bias: bool, layout: torch.memory_format) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    make, _, shape = LAYERS[name]
    layer = make(bias).double().to(memory_format=layout)  # pyright: ignore[reportCallIssue]  # not in torch's stubs
    return layer, torch.randn(shape, dtype=torch.float64).to(memory_format=layout).requires_grad_()


@every_layer
@every_layout
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_values_gradients_and_their_gradients_are_those_of_torchs_own_layer(
    name: str, bias: bool, layout: torch.memory_format
) -> None:
    layer, maps = layer_and_input(name, bias, layout)
    _, plain, _ = LAYERS[name]
    wanted = [maps, *layer.parameters()]
    results = []
    for forward in (layer, lambda seen: plain.forward(layer, seen)):
        made = forward(maps)
        gradients = torch.autograd.grad(made.square().sum(), wanted, create_graph=True)
        penalty = torch.stack([gradient.square().sum() for gradient in gradients]).sum()
        results.append([made, *gradients, *torch.autograd.grad(penalty, wanted)])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


@every_layer
@every_layout
def test_layouts_stay_so_that_no_layer_after_or_optimizer_has_to_reorder(
    name: str, layout: torch.memory_format
) -> None:
    layer, maps = layer_and_input(name, True, layout)
    made = layer(maps)
    made.square().sum().backward()
    for tensor in (made, maps.grad, layer.weight.grad):
        assert isinstance(tensor, Tensor)
        assert tensor.is_contiguous(memory_format=layout)


@pytest.mark.parametrize(("channels", "shape"), [(3, (2, 6, 4, 4)), (1, (2, 6, 4, 4))])
def test_both_functions_differentiate_to_any_order(channels: int, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    maps = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, channels, 4, 4, dtype=torch.float64, requires_grad=True)
    pictures = torch.randn(2, channels, 8, 8, dtype=torch.float64, requires_grad=True)
    for function, input, made in ((Doubled, maps, channels), (Halved, pictures, 6)):
        bias = torch.randn(made, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(function.apply, (input, weight, bias))
        assert torch.autograd.gradgradcheck(function.apply, (input, weight, bias))


def test_only_four_by_four_kernels_of_pictures_take_another_form() -> None:
    assert type(doubling(8, 3, 5, False)) is nn.ConvTranspose2d
    assert type(doubling(8, 8, 4, False)) is nn.ConvTranspose2d
    assert type(halving(3, 8, 5, False)) is nn.Conv2d
    assert type(halving(8, 8, 4, False)) is nn.Conv2d


@every_layer
def test_a_cpu_computes_no_convolution_of_torchs_own(name: str) -> None:
    layer, maps = layer_and_input(name, True, torch.channels_last)
    made = layer(maps)
    assert made.grad_fn is not None
    assert made.grad_fn.name() != "ConvolutionBackward0"


@every_layer
def test_a_program_that_is_exported_holds_torchs_own_operation(name: str) -> None:
    layer, maps = layer_and_input(name, True, torch.channels_last)
    program = torch.export.export(layer.eval(), (maps.detach(),))
    called = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    (operation,) = called
    assert operation.startswith(("aten.conv2d", "aten.conv_transpose2d"))


@every_layer
def test_autocast_is_left_to_torchs_own_layer(name: str) -> None:
    layer, maps = layer_and_input(name, True, torch.channels_last)
    layer, maps = layer.float(), maps.detach().float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(maps)
        assert made.dtype == torch.bfloat16
        assert torch.equal(made, LAYERS[name][1].forward(layer, maps))
