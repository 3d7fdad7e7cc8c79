"""The decoder: causal, rotary, normalised, equal to its plain formulas in value and gradient."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from corpus_builder.train import formulas, fused
from corpus_builder.train.model import Z_WEIGHT, Decoder, ModelConfig, rotary_turns
from corpus_builder.train.sizes import Shape

SHAPES = [(1, 5, 16, 1), (3, 17, 32, 2), (2, 33, 48, 3)]  # batch, length, width, heads


def busy(model: Decoder, generator: torch.Generator) -> Decoder:
    """The model with no zero weights, so that every path carries signal and gradient."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.2, generator=generator)
    return model


def tokens_of(config: ModelConfig, rows: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(config.vocab, (rows, config.sequence_length), generator=generator)


def straightforward(model: Decoder, tokens: torch.Tensor) -> torch.Tensor:
    """Logits by the published equations in float64, a head at a time, attention written out."""
    shape = model.config.shape
    weights = {name: w.detach().double() for name, w in model.named_parameters()}

    def norm(x):
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-8).sqrt()

    def turned(x):
        out, size = x.clone(), x.shape[-1]
        for place in range(x.shape[1]):
            for i in range(size // 2):
                angle = place * 10_000 ** (-2 * i / size)
                a, b = x[:, place, i], x[:, place, size // 2 + i]
                out[:, place, i] = a * math.cos(angle) - b * math.sin(angle)
                out[:, place, size // 2 + i] = a * math.sin(angle) + b * math.cos(angle)
        return out

    x = norm(weights["embedding"][tokens])
    hide = torch.full((tokens.shape[1],) * 2, -math.inf, dtype=torch.float64).triu(1)
    for layer in range(shape.layers):
        qkv = norm(x) @ weights[f"blocks.{layer}.qkv"].T
        q, k, v = (part.split(shape.head_width, -1) for part in qkv.split(shape.width, -1))
        heads = []
        for one_q, one_k, one_v in zip(q, k, v, strict=True):
            match = turned(norm(one_q)) @ turned(norm(one_k)).mT / math.sqrt(shape.head_width)
            heads.append((match + hide).softmax(-1) @ one_v)
        x = x + torch.cat(heads, -1) @ weights[f"blocks.{layer}.out"].T
        hidden = (norm(x) @ weights[f"blocks.{layer}.up"].T).clamp(min=0) ** 2
        x = x + hidden @ weights[f"blocks.{layer}.down"].T
    return norm(x) @ weights["embedding"].T


@pytest.mark.parametrize("pieces", [formulas, fused])
def test_logits_and_losses_are_those_of_the_equations(tiny, generator, pieces):
    model = busy(Decoder(tiny, 0, pieces), generator)
    tokens = tokens_of(tiny, 3, generator)
    expected = straightforward(model, tokens)
    torch.testing.assert_close(model(tokens).double(), expected, rtol=1e-4, atol=1e-4)
    flat, targets = expected[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()
    entropy = F.cross_entropy(flat, targets, reduction="none")
    z = Z_WEIGHT * flat.logsumexp(-1).pow(2).sum()
    loss, plain = model.loss_sums(tokens)
    assert float(plain) == pytest.approx(float(entropy.sum()), rel=1e-5)
    assert float(loss.detach()) == pytest.approx(float(entropy.sum() + z), rel=1e-5)
    losses = model.token_losses(tokens)
    assert losses.shape == (3, tiny.sequence_length - 1)
    torch.testing.assert_close(losses.flatten().double(), entropy, rtol=1e-4, atol=1e-4)


def gradients(pieces, call, inputs):
    leaves = [x.clone().requires_grad_() for x in inputs]
    result = call(pieces, *leaves)
    results = result if isinstance(result, tuple) else (result,)
    torch.autograd.backward(
        results, [torch.ones_like(r) * torch.linspace(-1, 2, r.numel()).view_as(r) for r in results]
    )
    return [*results, *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize(("batch", "length", "width", "heads"), SHAPES)
@pytest.mark.parametrize("piece", ["rms_norm", "add_attention", "add_mlp"])
def test_hand_written_gradients_are_those_of_the_formulas(
    piece, batch, length, width, heads, generator
):
    def drawn(*shape):
        return torch.randn(*shape, generator=generator)

    turns = rotary_turns(40, width // heads)
    inputs, call = {
        "rms_norm": ([drawn(batch, length, width)], lambda p, x: p.rms_norm(x)),
        "add_attention": (
            [drawn(batch, length, width), drawn(3 * width, width), drawn(width, width)],
            lambda p, x, w, out: p.add_attention(x, w, out, turns, heads),
        ),
        "add_mlp": (
            [drawn(batch, length, width), drawn(4 * width, width), drawn(width, 4 * width)],
            lambda p, x, up, down: p.add_mlp(x, up, down),
        ),
    }[piece]
    plain, ours = (gradients(p, call, inputs) for p in (formulas, fused))
    for expected, found in zip(plain, ours, strict=True):
        torch.testing.assert_close(
            found, expected, rtol=2e-4, atol=2e-4 * float(expected.detach().abs().max())
        )


@pytest.mark.parametrize(("name", "value"), [("SHORT", 39), ("QUERIES", 7), ("QUERIES", 20)])
def test_attention_is_the_same_however_it_is_computed(name, value, monkeypatch, generator):
    """Through the library's kernel, or in blocks of queries, the last of them not a whole one."""
    turns, shapes = rotary_turns(40, 16), [(2, 40, 48), (144, 48), (48, 48)]
    inputs = [torch.randn(*shape, generator=generator) for shape in shapes]
    at_once = gradients(fused, lambda p, *x: p.add_attention(*x, turns, 3), inputs)
    monkeypatch.setattr(fused, name, value)
    otherwise = gradients(fused, lambda p, *x: p.add_attention(*x, turns, 3), inputs)
    for expected, found in zip(at_once, otherwise, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("place", ["hidden", "head"])
def test_a_loss_of_what_is_not_a_number_is_none(place, generator):
    hidden, head = torch.randn(5, 8, generator=generator), torch.randn(9, 8, generator=generator)
    {"hidden": hidden, "head": head}[place][3, 2] = math.nan
    for dtype in (torch.float32, torch.bfloat16):
        _, entropy = fused.loss_sums(hidden.to(dtype), head.to(dtype), torch.arange(5), 0.1)
        assert math.isnan(float(entropy))


@pytest.mark.parametrize("size", [0.0, 1e-5, 1e-3])
def test_both_norms_are_softened_alike_near_zero(size, generator):
    x = size * torch.randn(5, 32, generator=generator)
    torch.testing.assert_close(fused.rms_norm(x), formulas.rms_norm(x), rtol=1e-5, atol=0)


@pytest.mark.parametrize("rows", [1, 255, 256, 600])
@pytest.mark.parametrize(("z_weight", "size"), [(0.0, 1.0), (0.05, 1.0), (0.05, 4.0)])
def test_the_loss_in_blocks_is_the_loss_at_once(rows, z_weight, size, generator):
    hidden = (size * torch.randn(rows, 24, generator=generator)).requires_grad_()
    head = torch.randn(91, 24, generator=generator).requires_grad_()
    bound = float(hidden.detach().norm(dim=1).max() * head.detach().norm(dim=1).max())
    assert (bound < fused.SMALL) == (size == 1)  # both ways of taking the softmax
    targets = torch.randint(91, (rows,), generator=generator)
    found = []
    for pieces in (formulas, fused):
        loss, entropy = pieces.loss_sums(hidden, head, targets, z_weight)
        assert not entropy.requires_grad  # a running sum of it must not keep graphs alive
        found.append([loss, entropy, *torch.autograd.grad(3 * loss, (hidden, head))])
    for expected, ours in zip(*found, strict=True):
        rounding = 1e-4 + 1e-5 * float(expected.detach().abs().max())
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=rounding)


def test_the_loss_is_exact_for_a_target_without_a_chance():
    """Softmax underflows to 0 there; the loss must be the difference of logits, 300 nats."""
    hidden = torch.tensor([[300.0, 0.0]])
    head = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    _, entropy = fused.loss_sums(hidden, head, torch.tensor([1]), 0.0)
    assert float(entropy) == pytest.approx(300.0)


def test_a_later_token_never_changes_earlier_logits(tiny, generator):
    model = busy(Decoder(tiny, 0), generator)
    tokens = tokens_of(tiny, 1, generator)
    before = model(tokens)
    for place in range(1, tiny.sequence_length):
        changed = tokens.clone()
        changed[0, place] = (changed[0, place] + 1) % tiny.vocab
        after = model(changed)
        assert torch.equal(after[:, :place], before[:, :place])
        assert not torch.equal(after[:, place], before[:, place])


def test_rotation_makes_attention_depend_on_distance_alone(generator):
    """q at place i times k at place j is the same for all i - j: the property of RoPE."""
    turns = rotary_turns(30, 16)
    q, k = (torch.randn(16, generator=generator).expand(1, 30, 1, 16) for _ in range(2))
    match = formulas.rotate(q, turns)[0, :, 0] @ formulas.rotate(k, turns)[0, :, 0].T
    for distance in range(-29, 30):
        along = match.diagonal(distance)
        torch.testing.assert_close(along, along[:1].expand_as(along), rtol=1e-4, atol=1e-4)
    assert match[0].std() > 0.1  # and it does depend on distance


def test_queries_and_keys_have_unit_size_whatever_the_weights(tiny, generator):
    x = torch.randn(2, 7, 32, generator=generator)
    weight = 50 * torch.randn(96, 32, generator=generator)
    q, k, v = formulas.attention_inputs(x, weight, Decoder(tiny, 0).turns, 2)
    assert q.shape == k.shape == v.shape == (2, 2, 7, 16)
    for part in (q, k):
        torch.testing.assert_close(part.square().mean(-1), torch.ones(2, 2, 7))
    assert v.square().mean() > 100


def test_a_new_model_knows_nothing_and_its_blocks_do_nothing(tiny, generator):
    model = Decoder(tiny, 0)
    tokens = tokens_of(tiny, 2, generator)
    x = formulas.rms_norm(model.embedding[tokens])
    torch.testing.assert_close(model.hidden(tokens), x, rtol=1e-4, atol=1e-4)
    loss = model.token_losses(tokens).mean()
    assert float(loss) == pytest.approx(math.log(tiny.vocab), abs=0.5)


def test_weights_follow_from_the_seed_alone(tiny):
    torch.manual_seed(1)
    one = Decoder(tiny, 5).state_dict()
    torch.manual_seed(2)
    same, other = Decoder(tiny, 5).state_dict(), Decoder(tiny, 6).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["embedding"], other["embedding"])
    assert "turns" not in one


def test_bf16_is_near_fp32(generator):
    config = ModelConfig(Shape(2, 64, 4), 61, 16)
    tokens = tokens_of(config, 4, generator)
    model = busy(Decoder(config, 0), generator)
    losses, slopes = [], []
    for dtype in (torch.float32, torch.bfloat16):
        model.zero_grad()
        loss = model.loss_sums(tokens, dtype)[0]
        loss.backward()
        losses.append(float(loss.detach()))
        slopes.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())
    assert float(F.cosine_similarity(*slopes, dim=0)) > 0.999
