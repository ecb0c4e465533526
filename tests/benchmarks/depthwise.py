"""What computing depthwise convolutions in 32 bits is worth on a CPU that has 16-bit floats: seconds of training steps.

    python tests/benchmarks/depthwise.py [--sides 64 128 256] [--decoders fpn unet/2 unetplusplus]

The demo of hair-seg on images of noise, batches of 8. All ways take turns in one process; medians are printed.
"""

import argparse
import statistics
import time
from unittest import mock

import torch

from kagglekit.cli.common import compose_recipe, registry
from kagglekit.plugin.solution import resolve
from kagglekit.train import network as networks
from kagglekit.train.fit import to_target

BATCH = 8


def stepper(side: int, decoder: str, precision: str, untouched: bool):
    """A function that trains one step and returns its seconds."""
    recipe, _, _ = compose_recipe(registry(), "hair-seg", "demo", (), (), [f"decoder={decoder}"], 0)
    solution = resolve(recipe, registry())
    input_transform, dtype = solution.input_transform(3, "uint8"), getattr(torch, precision)
    with mock.patch.object(networks, "in_full_precision", lambda kind: kind) if untouched else mock.MagicMock():
        network = networks.prepare(solution.model(3, pretrained=False), input_transform, "cpu")
    optimizer, loss = solution.optimizer(network.body), solution.loss()
    images = torch.randint(0, 256, (BATCH, 3, side, side), dtype=torch.uint8)
    target = to_target(torch.zeros((BATCH, side, side), dtype=torch.uint8), "binary")

    def step() -> float:
        started = time.perf_counter()
        with networks.autocast("cpu", dtype):
            output = network(images)
        loss(networks.full_precision(output), target).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - started

    step()
    return step


def main() -> None:
    """Parse, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--decoders", nargs="+", default=["fpn", "unet/2", "unetplusplus"])
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    for side in chosen.sides:
        for decoder in chosen.decoders:
            ways = {
                "all in 16 bits": stepper(side, decoder, "bfloat16", untouched=True),
                "all in 32 bits": stepper(side, decoder, "float32", untouched=True),
                "as kagglekit does it": stepper(side, decoder, "bfloat16", untouched=False),
            }
            rounds = [{name: step() for name, step in ways.items()} for _ in range(chosen.rounds)]
            medians = {name: statistics.median(one[name] for one in rounds) for name in ways}
            ours = medians["as kagglekit does it"]
            told = ", ".join(f"{name} {seconds:.3f} s ({seconds / ours:.2f})" for name, seconds in medians.items())
            print(f"{side} px, {decoder}: {told}", flush=True)


if __name__ == "__main__":
    main()
