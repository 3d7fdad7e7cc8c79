"""Training speed on one core: `python tests/bench/trainer.py [--size 1M] [--compile] [--bf16]`.

Same work on both sides: shapes, vocabulary, batch, micro-batch, AdamW (fused), clipping, number
format. Peers: nanoGPT's model, written again here from its published shape (learned positions,
LayerNorm, GELU, tied head, no biases, weights of deviation 0.02), and HF Trainer with LlamaConfig
where `transformers` and `accelerate` are installed. Processes are fresh, take turns, and are pinned
to one core; figures are medians of tokens per CPU-second. The matmul peak is measured in each turn.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
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


def run_hf(options: argparse.Namespace, size: Any) -> Any:
    """HF Trainer and LlamaForCausalLM of as many parameters: CPU seconds of steps but the first.

    Its setting up is left out, as is that of the others.
    """
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

    class Clock(TrainerCallback):
        """Notes when each step ends."""

        def __init__(self) -> None:
            self.ends: list[float] = []

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.ends.append(time.process_time())

    def loop(rows: Any, steps: int) -> float:
        clock = Clock()
        data = [{"input_ids": row, "labels": row} for row in rows]
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder, max_steps=steps + 1, per_device_train_batch_size=MICRO_SEQUENCES,
                gradient_accumulation_steps=options.sequences // MICRO_SEQUENCES,
                learning_rate=RATE, weight_decay=DECAY, adam_beta2=BETAS[1], max_grad_norm=CLIP,
                optim="adamw_torch_fused", use_cpu=True, bf16=options.bf16, report_to=[],
                save_strategy="no", logging_strategy="no", disable_tqdm=True,
            )  # fmt: skip
            Trainer(model, arguments, train_dataset=data, callbacks=[clock]).train()
        return clock.ends[-1] - clock.ends[0]

    return loop


def peak(options: argparse.Namespace) -> float:
    """FLOP a CPU-second of a square product, the best of several."""
    import torch

    kind = torch.bfloat16 if options.bf16 else torch.float32
    one, best = torch.randn(1024, 1024).to(kind), 0.0
    for _ in range(8):
        start = time.process_time()
        torch.mm(one, one)
        best = max(best, 2 * 1024**3 / (time.process_time() - start))
    return best


def one(options: argparse.Namespace) -> dict[str, float]:
    """Tokens per CPU-second of one trainer in this process, and the peak beside it."""
    import torch

    from corpus_builder.train.sizes import named_size

    torch.set_num_threads(1)
    torch.manual_seed(0)
    size = named_size(options.size)
    tokens = random_tokens(size.vocab, options.sequences, size.sequence_length)
    if options.who == "hf":
        spent = run_hf(options, size)(tokens, options.steps)
    else:
        torch.set_flush_denormal(True)
        step = (run_ours if options.who == "ours" else run_gpt)(options, size)
        step(tokens)
        start = time.process_time()
        for _ in range(options.steps):
            step(tokens)
        spent = time.process_time() - start
    return {"speed": options.steps * tokens.numel() / spent, "peak": peak(options)}


def turn(who: str, options: argparse.Namespace) -> dict[str, float]:
    """`one` in a fresh process."""
    flags = [f"--{name}" for name in ("compile", "bf16") if getattr(options, name)]
    command = [sys.executable, __file__, "--who", who, "--size", options.size, *flags]
    numbers = ["--steps", str(options.steps), "--sequences", str(options.sequences)]
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(
        command + numbers, env=environment, capture_output=True, text=True, check=True
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(options: argparse.Namespace) -> None:
    from corpus_builder.train.sizes import named_size

    peers = ["gpt"]
    if all(importlib.util.find_spec(name) for name in ("transformers", "accelerate")):
        peers.append("hf")
    turns: dict[str, list[dict[str, float]]] = {who: [] for who in ["ours", *peers]}
    for _ in range(options.pairs):
        for who, results in turns.items():
            results.append(turn(who, options))
    size = named_size(options.size)
    cost = size.shape.flops_per_token(size.vocab, size.sequence_length)
    print(f"{size.name}, {'bf16' if options.bf16 else 'fp32'}, {options.pairs} turns each", end="")
    print(f", {'compiled' if options.compile else 'eager'}; {cost / 1e6:.1f} MFLOP a token")
    for who, results in turns.items():
        speed = statistics.median(r["speed"] for r in results)
        share = statistics.median(r["speed"] * cost / r["peak"] for r in results)
        top = statistics.median(r["peak"] for r in results)
        print(f"{who:5} {speed:8,.0f} tokens/CPU-s, {share:.0%} of {top / 1e9:.0f} GFLOP/s", end="")
        ratios = [o["speed"] / r["speed"] for o, r in zip(turns["ours"], results, strict=True)]
        spread = f"{min(ratios):.2f}..{max(ratios):.2f}"
        print("" if who == "ours" else f"    ratio {statistics.median(ratios):.2f} ({spread})")
        if who == "ours":
            print()
    for who in {"hf"} - {*peers}:
        print(f"{who}: transformers and accelerate are not installed; left out")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="1M")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--sequences", type=int, default=16, help="in a batch")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--who", choices=["ours", "gpt", "hf"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if given.who:
        print(json.dumps(one(given)))
    else:
        compare(given)
