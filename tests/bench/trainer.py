"""Training speed on one core: `python tests/bench/trainer.py [--size 1M] [--compile] [--bf16]`.

Same work on both sides: shapes, vocabulary, batch, micro-batch, AdamW (fused), clipping, number
format. Peers: nanoGPT's model, written again here from its published shape (learned positions,
LayerNorm, GELU, tied head, no biases, weights of deviation 0.02), and HF Trainer with LlamaConfig
where `transformers` and `accelerate` are installed. All are processes pinned to one core that take
turns, an optimizer step each, as does a matrix product for the peak: a core's speed changes from
minute to minute. Figures are medians over all rounds, of tokens per CPU-second and of the ratios in
a round, with the quartiles; processes are fresh a few times, the first steps of each not counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CLIP, RATE, DECAY, BETAS = 1.0, 1e-3, 0.1, (0.9, 0.95)
MICRO_SEQUENCES = 4
PEAK = 1024  # rows and columns of the product
WARM = 3  # steps that a process is not timed in: it compiles, and fills its caches
TURN = "cpu-seconds"


def random_tokens(vocab: int, rows: int, length: int) -> Any:
    import torch

    return torch.randint(vocab, (rows, length), generator=torch.Generator().manual_seed(0))


def gpt(vocab: int, length: int, layers: int, width: int, heads: int) -> Any:
    """nanoGPT's model, with its training forward: token ids -> mean cross-entropy."""
    import torch
    import torch.nn.functional as F  # noqa: N812
    from torch import nn

    def linear(rows: int, columns: int, deviation: float = 0.02) -> nn.Linear:
        made = nn.Linear(rows, columns, bias=False)
        nn.init.normal_(made.weight, 0, deviation)
        return made

    def norm() -> nn.LayerNorm:
        return nn.LayerNorm(width, bias=False)

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            small = 0.02 / (2 * layers) ** 0.5
            self.before_attention, self.before_mlp = norm(), norm()
            self.qkv, self.out = linear(width, 3 * width), linear(width, width, small)
            self.up, self.down = linear(width, 4 * width), linear(4 * width, width, small)

        def forward(self, x: Any) -> Any:
            shape = (*x.shape[:2], heads, width // heads)
            parts = self.qkv(self.before_attention(x)).split(width, 2)
            q, k, v = (part.view(shape).transpose(1, 2) for part in parts)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).contiguous().view_as(x))
            return x + self.down(F.gelu(self.up(self.before_mlp(x))))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(vocab, width), nn.Embedding(length, width)
            self.layers = nn.Sequential(*(Layer() for _ in range(layers)))
            self.last, self.head = norm(), linear(width, vocab)
            self.tokens.weight = self.head.weight
            nn.init.normal_(self.places.weight, 0, 0.02)

        def forward(self, tokens: Any, targets: Any) -> Any:
            x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
            logits = self.head(self.last(self.layers(x)))
            return F.cross_entropy(logits.view(-1, vocab), targets.reshape(-1))

    return GPT()


def run_gpt(options: argparse.Namespace, size: Any) -> Any:
    """One optimizer step as nanoGPT's train.py takes it."""
    import torch

    shape = size.shape
    model = gpt(size.vocab, size.sequence_length, shape.layers, shape.width, shape.heads)
    forward = torch.compile(model) if options.compile else model
    groups: list[list[Any]] = [[], []]
    for weight in model.parameters():
        groups[weight.dim() < 2].append(weight)
    optimizer = torch.optim.AdamW(
        [{"params": groups[0], "weight_decay": DECAY}, {"params": groups[1], "weight_decay": 0.0}],
        lr=RATE, betas=BETAS, fused=True,
    )  # fmt: skip

    def step(tokens: Any) -> None:
        parts = tokens.split(MICRO_SEQUENCES)
        for part in parts:
            with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
                loss = forward(part[:, :-1], part[:, 1:]) / len(parts)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def run_ours(options: argparse.Namespace, size: Any) -> Any:
    """One step of the training loop, with its checks and its curve, as a worker takes it."""
    from corpus_builder.train.loop import TrainConfig, _Run
    from corpus_builder.train.machine import keep_memory
    from corpus_builder.train.model import ModelConfig
    from corpus_builder.train.optimizers import OptimizerConfig
    from corpus_builder.train.schedule import Schedule

    keep_memory()
    run = _Run(
        TrainConfig(
            model=ModelConfig(size.shape, size.vocab, size.sequence_length),
            optimizer=OptimizerConfig(RATE, weight_decay=DECAY, clip=CLIP),
            schedule=Schedule((1000,)),
            precision="bf16" if options.bf16 else "fp32",
            micro_tokens=MICRO_SEQUENCES * size.sequence_length,
            compile=options.compile,
        )
    )
    return lambda tokens: run.advance(tokens, 1.0)


def run_hf(options: argparse.Namespace, size: Any, tokens: Any) -> None:
    """HF Trainer and LlamaForCausalLM of as many parameters, a step whenever it is its turn."""
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    shape = size.shape
    config = LlamaConfig(
        vocab_size=size.vocab, hidden_size=shape.width, num_hidden_layers=shape.layers,
        intermediate_size=-(-8 * shape.width // 3 // 16) * 16, num_attention_heads=shape.heads,
        max_position_embeddings=size.sequence_length, tie_word_embeddings=True, use_cache=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)

    class Turns(TrainerCallback):
        """Ends a turn with each step."""

        def __init__(self) -> None:
            self.start = time.process_time()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            say(time.process_time() - self.start)
            if not sys.stdin.readline():
                sys.exit()
            self.start = time.process_time()

    data = [{"input_ids": row, "labels": row} for row in tokens]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=10**6, per_device_train_batch_size=MICRO_SEQUENCES,
            gradient_accumulation_steps=options.sequences // MICRO_SEQUENCES,
            learning_rate=RATE, weight_decay=DECAY, adam_beta2=BETAS[1], max_grad_norm=CLIP,
            optim="adamw_torch_fused", use_cpu=True, bf16=options.bf16, report_to=[],
            torch_compile=options.compile, save_strategy="no", logging_strategy="no",
            disable_tqdm=True,
        )  # fmt: skip
        sys.stdin.readline()
        Trainer(model, arguments, train_dataset=data, callbacks=[Turns()]).train()


def run_peak(options: argparse.Namespace, _: Any) -> Any:
    """A square product."""
    import torch

    one = torch.randn(PEAK, PEAK).to(torch.bfloat16 if options.bf16 else torch.float32)
    return lambda tokens: torch.mm(one, one)


def say(seconds: float) -> None:
    print(TURN, seconds, flush=True)


def serve(options: argparse.Namespace) -> None:
    """One side: a step and its CPU seconds for each line of standard input."""
    import torch

    from corpus_builder.train.sizes import named_size

    torch.set_num_threads(1)
    torch.manual_seed(0)
    size = named_size(options.size)
    tokens = random_tokens(size.vocab, options.sequences, size.sequence_length)
    if options.who == "hf":
        run_hf(options, size, tokens)
        return
    torch.set_flush_denormal(True)
    step = {"ours": run_ours, "gpt": run_gpt, "peak": run_peak}[options.who](options, size)
    while sys.stdin.readline():
        start = time.process_time()
        step(tokens)
        say(time.process_time() - start)


def started(who: str, options: argparse.Namespace) -> subprocess.Popen[str]:
    """A side in a fresh process."""
    flags = [f"--{name}" for name in ("compile", "bf16") if getattr(options, name)]
    command = [sys.executable, __file__, "--who", who, "--size", options.size, *flags]
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    return subprocess.Popen(
        [*command, "--sequences", str(options.sequences)],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def turn(side: subprocess.Popen[str]) -> float:
    """CPU seconds of a side's next step."""
    if side.stdin is None or side.stdout is None:
        raise TypeError("a side has pipes")
    side.stdin.write("go\n")
    side.stdin.flush()
    for line in side.stdout:
        if line.startswith(TURN):
            return float(line.split()[1])
    raise RuntimeError(f"{side.args} ended")


def rounds(names: list[str], options: argparse.Namespace) -> list[dict[str, float]]:
    """CPU seconds of each side's steps, round by round, of one set of processes."""
    sides = {who: started(who, options) for who in names}
    try:
        found = [
            {who: turn(side) for who, side in sides.items()} for _ in range(WARM + options.rounds)
        ]
    finally:
        for side in sides.values():
            side.kill()
            side.wait()
    return found[WARM:]


def compare(options: argparse.Namespace) -> None:
    from corpus_builder.train.sizes import named_size

    peers = ["gpt"]
    if all(importlib.util.find_spec(name) for name in ("transformers", "accelerate")):
        peers.append("hf")
    names = ["ours", *peers, "peak"]
    seen = [one for _ in range(options.sets) for one in rounds(names, options)]
    size = named_size(options.size)
    tokens = options.sequences * size.sequence_length
    cost = size.shape.flops_per_token(size.vocab, size.sequence_length)
    top = statistics.median(2 * PEAK**3 / one["peak"] for one in seen)
    print(f"{size.name}, {'bf16' if options.bf16 else 'fp32'}", end="")
    print(
        f", {'compiled' if options.compile else 'eager'}; {cost / 1e6:.1f} MFLOP a token; ", end=""
    )
    print(f"{options.sets} sets of {options.rounds} rounds; peak {top / 1e9:.0f} GFLOP/s")
    for who in names[:-1]:
        speed = statistics.median(tokens / one[who] for one in seen)
        share = statistics.median(
            tokens * cost / one[who] / (2 * PEAK**3 / one["peak"]) for one in seen
        )
        print(f"{who:5} {speed:8,.0f} tokens/CPU-s, {share:.0%} of the peak", end="")
        low, middle, high = statistics.quantiles((one[who] / one["ours"] for one in seen), n=4)
        print("" if who == "ours" else f"    ratio {middle:.2f} ({low:.2f} to {high:.2f})")
    for who in {"hf"} - {*peers}:
        print(f"{who}: transformers and accelerate are not installed; left out")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="1M")
    parser.add_argument("--sets", type=int, default=3, help="of fresh processes")
    parser.add_argument("--rounds", type=int, default=12, help="steps of each side in a set")
    parser.add_argument("--sequences", type=int, default=16, help="in a batch")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--who", choices=["ours", "gpt", "hf", "peak"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if given.who:
        serve(given)
    else:
        compare(given)
