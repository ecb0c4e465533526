"""What `prepare` does to a network: depthwise convolutions learn in 32 bits on a CPU."""

import copy

import pytest
import torch
from torch import nn

from kagglekit.data.input_transform import Plain
from kagglekit.train.network import FullPrecision, autocast, prepare


class Net(nn.Module):
    """A depthwise convolution of 8 channels between two others."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, 5, padding=2, groups=8)
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)

    def forward(self, images):
        """The last convolution's output."""
        return self.grouped(self.depthwise(self.first(images)))


@pytest.fixture
def prepared():
    """The network, as a CPU trains it."""
    return prepare(Net(), Plain(3), "cpu")


def images():
    return torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_only_depthwise_convolutions_are_changed_and_only_on_a_cpu(prepared):
    body = prepared.body
    assert [name for name, layer in body.named_modules() if isinstance(layer, FullPrecision)] == ["depthwise"]
    assert list(body.state_dict()) == list(Net().state_dict())
    assert type(prepare(body, Plain(3), "cpu").body.depthwise).__mro__.count(FullPrecision) == 1
    assert not isinstance(prepare(Net(), Plain(3), "meta").body.depthwise, FullPrecision)


def test_a_depthwise_convolution_learns_in_32_bits_and_answers_in_16(prepared):
    layer = prepared.body.depthwise
    inputs = torch.randn(2, 8, 9, 9).bfloat16().requires_grad_()
    with autocast("cpu", torch.bfloat16):
        output = layer(inputs)
        with torch.no_grad():
            assert torch.equal(layer(inputs), nn.Conv2d.forward(layer, inputs)), "without gradients nothing changes"
    output.float().square().sum().backward()
    exact = nn.Conv2d(8, 8, 5, padding=2, groups=8)
    exact.load_state_dict(layer.state_dict())
    wide = inputs.detach().float().requires_grad_()
    answer = exact(wide).to(torch.bfloat16)
    answer.float().square().sum().backward()
    assert output.dtype == torch.bfloat16
    assert torch.equal(output, answer)
    torch.testing.assert_close(layer.weight.grad, exact.weight.grad, rtol=1e-5, atol=1e-5)  # 16 bits miss by 1e-2
    torch.testing.assert_close(inputs.grad, wide.grad.bfloat16())


def test_a_network_in_32_bits_computes_what_it_computed_before(prepared):
    untouched = Net().to(memory_format=torch.channels_last)
    batch = prepared.take_in(images())
    assert torch.equal(prepared(images()), untouched(batch))


def test_a_copy_of_a_network_has_weights_of_its_own(prepared):
    twin = copy.deepcopy(prepared)
    before = prepared(images())
    with torch.no_grad():
        twin.body.depthwise.weight.zero_()
    assert torch.equal(prepared(images()), before)
    assert not torch.equal(twin(images()), before)
