"""Finished runs that all tests of exports share."""

from __future__ import annotations

import pytest
from exported import Run, build
from tokenizers import Tokenizer, models, pre_tokenizers

WIDE_VOCAB = 70_000


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose tokens are 16 bits wide."""
    words = ["".join(chr(97 + (k * j) % 26) for j in range(1, 2 + k % 8)) for k in range(1, 500)]
    folder = tmp_path_factory.mktemp("narrow")
    return build(folder, {"train": {"vocab": 512}}, lambda dice: dice.choice(words))


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose tokens need 32 bits: words w0 to w69998, many of them above 65,535."""
    folder = tmp_path_factory.mktemp("wide")
    vocab = {f"w{n}": n for n in range(WIDE_VOCAB - 1)} | {"<|endoftext|>": WIDE_VOCAB - 1}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(folder / "given.json"))
    given = {"path": str(folder / "given.json")}
    return build(folder, given, lambda dice: f"w{dice.randrange(1, WIDE_VOCAB - 1)}")


@pytest.fixture(params=["narrow", "wide"])
def run(request: pytest.FixtureRequest) -> Run:
    """Both runs."""
    found: Run = request.getfixturevalue(request.param)
    return found
