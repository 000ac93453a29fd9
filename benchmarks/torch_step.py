"""Time of a training step and a prediction, compared with PyTorch on the same cores.

    python benchmarks/torch_step.py --torch-python /path/to/venv/bin/python

Each framework runs in a separate process, on the same number of cores, and repeats its work a few
times in turn; the wall time of the fastest turn is reported, which is least affected by other work
on the machine. Both train the same network (channels-last, binary cross-entropy, Adam) without
augmentation, the package with the batch divided among devices of the CPU, as its trainings do.
PyTorch is not a dependency of the package. The times are written to docs/results/torch_step.json.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from results import write_results

LEVELS, BATCH, EDGE_PX, OUTPUTS = 4, 4, 256, 1
TURNS = 9


def jax_work(base: int) -> dict[str, Callable[[], None]]:
    """Return a training step and a prediction of the network of this package."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    from flax import nnx

    from nanorender.execution.memory import keep_freed_memory
    from unet.devices import divide_cpu, divided, on_all, training_mesh
    from unet.losses import cross_entropy
    from unet.model import abstract_model, initial_weights, set_weights
    from unet.presets import Architecture

    keep_freed_memory()
    divide_cpu(BATCH)
    architecture = Architecture(tuple(base * 2**level for level in range(LEVELS)), OUTPUTS, 1)
    rng = np.random.default_rng(0)
    network = set_weights(abstract_model(architecture), initial_weights(architecture, rng))
    graph, parameters, statistics = nnx.split(network, nnx.Param, nnx.BatchStat)
    optimizer = optax.adam(1e-3)
    images = jnp.asarray(rng.random((BATCH, EDGE_PX, EDGE_PX, 1), np.float32))
    mesh = training_mesh(BATCH)
    batch = jax.device_put((images, (images > 0.5).astype(np.float32)), divided(mesh))

    @jax.jit
    def step(parameters, statistics, state, images, targets):
        def loss(parameters):
            network = nnx.merge(graph, parameters, statistics, copy=True)
            network.train()
            losses = cross_entropy(network(images), targets, jnp.ones(images.shape[:3]))
            return losses.mean(), nnx.state(network, nnx.BatchStat)

        gradients, statistics = jax.grad(loss, has_aux=True)(parameters)
        updates, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), statistics, state

    @jax.jit
    def forward(parameters, statistics, images):
        network = nnx.merge(graph, parameters, statistics, copy=True)
        network.eval()
        return jax.nn.sigmoid(network(images))

    def predict() -> None:
        jax.block_until_ready(forward(parameters, statistics, images))

    held = list(on_all(mesh, (parameters, statistics, optimizer.init(parameters))))

    def train() -> None:
        held[:] = jax.block_until_ready(step(*held, *batch))

    return {"train": train, "predict": predict}


def torch_work(base: int) -> dict[str, Callable[[], None]]:
    """Return a training step and a prediction of the same network in PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(len(os.sched_getaffinity(0)))

    def convolutions(inputs: int, outputs: int) -> nn.Sequential:
        layers = []
        for a in (inputs, outputs):
            layers += [nn.Conv2d(a, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)]
            layers += [nn.ReLU(inplace=True)]
        return nn.Sequential(*layers)

    class UNet(nn.Module):
        def __init__(self, channels: list[int]):
            super().__init__()
            self.encoder = nn.ModuleList(convolutions(a, b) for a, b in pairwise([1, *channels]))
            self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in pairwise(channels))
            self.decoder = nn.ModuleList(convolutions(2 * a, a) for a in channels[:-1])
            self.head = nn.Conv2d(channels[0], OUTPUTS, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            skips = []
            for level, encode in enumerate(self.encoder):
                x = encode(nn.functional.max_pool2d(x, 2) if level else x)
                skips.append(x)
            for level in reversed(range(len(self.up))):
                x = torch.cat([skips[level], self.up[level](x)], dim=1)
                x = self.decoder[level](x)
            return self.head(x)

    torch.manual_seed(0)
    network = UNet([base * 2**level for level in range(LEVELS)])
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    images = torch.rand(BATCH, 1, EDGE_PX, EDGE_PX).to(memory_format=torch.channels_last)
    targets = (images > 0.5).float()

    def train() -> None:
        network.train()
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(network(images), targets)
        loss.backward()
        optimizer.step()

    def predict() -> None:
        network.eval()
        with torch.inference_mode():
            torch.sigmoid(network(images))

    return {"train": train, "predict": predict}


def work(framework: str, base: int) -> None:
    """Read names and repetitions from standard input; answer with the seconds of one."""
    works = {"jax": jax_work, "torch": torch_work}[framework](base)
    for function in works.values():
        function()
    print("ready", flush=True)
    for line in sys.stdin:
        what, repetitions = line.split()
        begun = time.perf_counter()
        for _ in range(int(repetitions)):
            works[what]()
        print((time.perf_counter() - begun) / int(repetitions), flush=True)


class Worker:
    """Framework running in a separate process."""

    def __init__(self, python: str, framework: str, base: int):
        command = [python, __file__, "--work", framework, "--base", str(base)]
        root = str(Path(__file__).parents[1])
        self.process = subprocess.Popen(
            command, env=os.environ | {"PYTHONPATH": root}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        if self.process.stdout.readline() != "ready\n":
            sys.exit(f"{framework} does not run in {python}; give --torch-python")

    def seconds(self, what: str, repetitions: int) -> float:
        """Return the seconds of one repetition."""
        self.process.stdin.write(f"{what} {repetitions}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def compare(torch_python: str, bases: list[int], cores: int) -> None:
    """Print and write the times of both, for networks of several widths."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    cores = len(os.sched_getaffinity(0))  # fewer than asked for on a smaller machine
    print(f"{BATCH} images of {EDGE_PX} px, {LEVELS} levels, seconds on {cores} cores")
    rows = []
    for base in bases:
        workers = [Worker(sys.executable, "jax", base), Worker(torch_python, "torch", base)]
        for what in ("train", "predict"):
            turns = [[each.seconds(what, 2) for each in workers] for _ in range(TURNS)]
            ours, theirs = (min(times) for times in zip(*turns, strict=True))
            ratio = f"{ours / theirs:.2f}"
            print(f"{base:3} channels, {what:8} JAX {ours:.3f}, PyTorch {theirs:.3f}: {ratio}")
            rows.append({"channels": base, "work": what, "jax_s": ours, "torch_s": theirs})
        for each in workers:
            each.process.stdin.close()
            each.process.wait()
    asked = [torch_python, "-c", "import torch; print(torch.__version__)"]
    results = {
        "torch": subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip(),
        "batch": BATCH,
        "edge_px": EDGE_PX,
        "levels": LEVELS,
        "cores_used": cores,
        "times": rows,
    }
    print(write_results("torch_step", results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--base", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--work", choices=["jax", "torch"])
    options = parser.parse_args()
    if options.work:
        work(options.work, options.base[0])
    else:
        compare(options.torch_python, options.base, options.cores)
