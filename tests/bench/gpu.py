"""Training speed on a GPU: `python tests/bench/gpu.py [--sizes 15M 60M] [--models 1 8]`.

Models side by side are processes, as a trial's are: bf16, compiled, the trainer's own
micro-batches, Muon, the size's own batch of random tokens. All begin at once, after their first
steps (which compile), and take steps for `--seconds`. MFU is model FLOPs
(`ModelConfig.flops_per_token`) a second over those of a bf16 matrix product of 8,192 rows and
columns, measured just before on the same device. `--device cpu --compile no` is for a look at the
script where there is no GPU.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from corpus_builder.train.loop import TrainConfig, _Run
from corpus_builder.train.machine import Precision
from corpus_builder.train.model import ModelConfig
from corpus_builder.train.optimizers import OptimizerConfig
from corpus_builder.train.schedule import Schedule
from corpus_builder.train.sizes import named_size

WARM = 3  # steps before the clock starts: they compile, and fill caches


def finish(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def timed(device: str, work: Callable[[], Any]) -> float:
    finish(device)
    start = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - start


def peak(device: str, rows: int, dtype: torch.dtype) -> float:
    """FLOPs a second of a matrix product: the median of ten, after three."""
    a, b = (torch.randn(rows, rows, device=device, dtype=dtype) for _ in range(2))
    took = [timed(device, lambda: a @ b) for _ in range(13)]
    return 2 * rows**3 / statistics.median(took[3:])


def model(name: str, device: str, *, compiled: bool) -> tuple[_Run, torch.Tensor]:
    size = named_size(name)
    precision: Precision = "bf16" if device.startswith("cuda") else "fp32"
    run = _Run(
        TrainConfig(
            model=ModelConfig(size.shape, size.vocab, size.sequence_length),
            optimizer=OptimizerConfig(1e-3, "muon"),
            schedule=Schedule((1000,)),
            precision=precision,
            device=device,
            compile=compiled,
        )
    )
    rows = size.sequences_per_step(size.sequence_length)
    tokens = torch.randint(size.vocab, (rows, size.sequence_length))
    return run, tokens.to(device)


def steps(
    name: str, device: str, compiled: bool, seconds: float, together: Any, found: Any
) -> None:
    """One process: tokens and seconds of its steps go to `found`."""
    torch.set_num_threads(1)
    run, tokens = model(name, device, compiled=compiled)
    for _ in range(WARM):
        run.advance(tokens, 1.0)
    together.wait()
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds or not done:
        run.advance(tokens, 1.0)
        done += tokens.numel()
    finish(device)
    found.put(done / (time.perf_counter() - start))


def side_by_side(name: str, models: int, options: argparse.Namespace) -> float:
    """Tokens a second of all of them together."""
    context = multiprocessing.get_context("spawn")
    together, found = context.Barrier(models), context.Queue()
    given = (name, options.device, options.compile == "yes", options.seconds, together, found)
    processes = [context.Process(target=steps, args=given) for _ in range(models)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes) and found.qsize() < models:
        time.sleep(0.1)
        if any(process.exitcode for process in processes):
            together.abort()  # the others would wait for it
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit(f"{models} models of {name}: a process failed, see above")
    return float(sum(found.get() for _ in processes))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=["15M", "60M"])
    parser.add_argument("--models", nargs="+", type=int, default=[1, 8], help="side by side")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", choices=["yes", "no"], default="yes")
    options = parser.parse_args()
    cuda = options.device.startswith("cuda")
    if cuda and not torch.cuda.is_available():
        raise SystemExit("no CUDA device is there; --device cpu --compile no shows the script")
    best = peak(options.device, *((8192, torch.bfloat16) if cuda else (1024, torch.float32)))
    where = torch.cuda.get_device_name() if cuda else "CPU, a thread each"
    print(f"{where}; a matrix product does {best / 1e12:,.2f} TFLOP/s", flush=True)
    for name in options.sizes:
        size = named_size(name)
        flops = size.shape.flops_per_token(size.vocab, size.sequence_length)
        for models in options.models:
            rate = side_by_side(name, models, options)
            shown = f"{rate:>12,.0f} tokens/s, MFU {rate * flops / best:.1%}"
            print(f"{name:>4}, {models} at once {shown}", flush=True)


if __name__ == "__main__":
    main()
