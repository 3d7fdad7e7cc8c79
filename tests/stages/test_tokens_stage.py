"""Token stores: exact packing in hash order, special strings as text, local disturbances."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from spine import Built, built, notes_recipe, write_jsonl
from tokenizers import Tokenizer, models, pre_tokenizers

from corpus_builder.stages.keys import ORDER_SALT, keyed_hash
from corpus_builder.stages.tokens import token_type
from corpus_builder.store.errors import RecipeError

CORPORA = ("web", "notes", "code")
LENGTH = 64


def stream(run: Built, corpus: str) -> np.ndarray:
    """All sequences of a token store, one a row."""
    manifest = run.manifests[f"{corpus}.tokens"]
    parts = []
    for unit in manifest.units:
        path = run.out / "stages" / manifest.stage / unit.files[0].path
        for batch in pa.ipc.open_stream(path):
            column = batch.column("input_ids")
            parts.append(column.flatten().to_numpy().reshape(-1, column.type.list_size))
    return np.concatenate(parts)


def encoded(run: Built, corpus: str) -> dict[bytes, list[int]]:
    """doc_id -> token ids."""
    manifest = run.manifests[f"{corpus}.encode"]
    found = {}
    for unit in manifest.units:
        path = run.out / "stages" / manifest.stage / unit.files[0].path
        for batch in pa.ipc.open_stream(path):
            rows = zip(
                batch.column("doc_id").to_pylist(), batch.column("tokens").to_pylist(), strict=True
            )
            found |= dict(rows)
    return found


def tokenizer_of(run: Built) -> Tokenizer:
    stage = run.out / "stages" / run.manifests["tokenizer"].stage
    return Tokenizer.from_file(str(stage / "data" / "tokenizer.json"))


def keys_of(ids: list[bytes]) -> np.ndarray:
    return keyed_hash(pa.array(ids, pa.binary(16)), ORDER_SALT)


@pytest.mark.parametrize("corpus", CORPORA)
def test_sequences_are_the_documents_in_hash_order_each_with_its_end(
    small: Built, corpus: str
) -> None:
    documents = encoded(small, corpus)
    assert set(documents) == {row["doc_id"] for row in small.rows(f"{corpus}.documents")}
    ids = sorted(documents, key=lambda identity: (int(keys_of([identity])[0]), identity))
    end = tokenizer_of(small).token_to_id("<|endoftext|>")
    flat = [token for identity in ids for token in [*documents[identity], end]]
    whole = len(flat) // LENGTH
    found = stream(small, corpus)
    assert found.dtype == np.uint16
    assert found.tolist() == np.array(flat[: whole * LENGTH]).reshape(whole, LENGTH).tolist()
    facts = small.manifests[f"{corpus}.tokens"].facts
    assert facts == {
        "documents": len(ids), "end_tokens": len(ids), "sequences": whole,
        "tokens": whole * LENGTH, "tail_tokens": len(flat) - whole * LENGTH,
        "text_bytes": sum(len(row["text"].encode()) for row in small.rows(f"{corpus}.documents")),
    }  # fmt: skip
    part = small.manifests["mix"].facts["corpora"][corpus]
    assert part["available_documents"] == facts["documents"]
    assert part["available_text_bytes"] == facts["text_bytes"]
    total = small.manifests[f"{corpus}.encode"].facts["tokens"]
    assert total + facts["end_tokens"] == facts["tokens"] + facts["tail_tokens"]


def test_the_places_of_documents_are_right(small: Built) -> None:
    sequences, documents = stream(small, "notes").reshape(-1), encoded(small, "notes")
    texts = {row["doc_id"]: len(row["text"].encode()) for row in small.rows("notes.documents")}
    cut = 0
    for row in small.rows("notes.tokens"):
        start = row["first_sequence"] * LENGTH + row["first_token"]
        here = sequences[start : start + row["tokens"]].tolist()
        end = tokenizer_of(small).token_to_id("<|endoftext|>")
        whole = [*documents[row["doc_id"]], end]
        assert here == whole[: row["tokens"]]
        assert row["tokens"] + row["cut"] == len(whole)
        assert row["text_bytes"] == texts[row["doc_id"]]
        cut += row["cut"]
    assert cut == small.manifests["notes.tokens"].facts["tail_tokens"]


@pytest.mark.parametrize("corpus", CORPORA)
def test_documents_decode_to_their_text_special_strings_and_all(small: Built, corpus: str) -> None:
    tokenizer, documents = tokenizer_of(small), encoded(small, corpus)
    end = tokenizer.token_to_id("<|endoftext|>")
    texts = {row["doc_id"]: row["text"] for row in small.rows(f"{corpus}.documents")}
    assert corpus != "notes" or any("<|endoftext|>" in text for text in texts.values())
    for identity, text in texts.items():
        assert end not in documents[identity], "only we end documents"
        assert tokenizer.decode(documents[identity], skip_special_tokens=False) == text


def word_level(path: Path, words: int, **special: Any) -> Path:
    """A tokenizer.json with one token a word."""
    vocab = {"</s>": 0, "[UNK]": 1} | {f"w{n}": n for n in range(2, words)}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.save(str(path))
    return path


def with_tokenizer(folder: Path, path: Path, rows: list[Mapping[str, Any]], **extra: Any) -> Built:
    write_jsonl(folder / "in" / "x.jsonl", [dict(row) for row in rows])
    blocks = {
        "tokenizer": {"path": str(path)},
        "mix": {"tokens": 800, "sequence_length": 8, "weights": {"notes": 1}},
    }
    return built(notes_recipe(folder / "in" / "*.jsonl", **blocks | extra), folder / "out")


@pytest.mark.parametrize(("words", "kind"), [(1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)])
def test_tokens_are_as_wide_as_the_vocabulary_needs(tmp_path: Path, words: int, kind: type) -> None:
    path = word_level(tmp_path / "tokenizer.json", words)
    rows = [
        {"text": " ".join(f"w{words - 1 - (n * 7 + k) % 50}" for k in range(60))} for n in range(30)
    ]
    run = with_tokenizer(tmp_path, path, rows)
    found = stream(run, "notes")
    assert found.dtype == kind
    assert found.max() == words - 1, "the last token of the vocabulary survives"
    import datasets

    feature = datasets.load_from_disk(str(run.out / "mix")).features["input_ids"]
    assert feature.feature.dtype == np.dtype(kind).name


def test_the_width_follows_the_vocabulary_at_its_border() -> None:
    assert (token_type(1 << 16), token_type((1 << 16) + 1)) == (pa.uint16(), pa.uint32())


def test_a_tokenizer_without_an_end_is_refused_with_its_special_tokens(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "[STOP]": 1}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[STOP]"])
    tokenizer.save(str(tmp_path / "t.json"))
    with pytest.raises(RecipeError, match=r"no end-of-document token.*\[STOP\].*eos: TOKEN"):
        with_tokenizer(tmp_path, tmp_path / "t.json", [{"text": "a b"}])


def test_the_end_token_that_a_recipe_names_is_used(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "[STOP]": 1, "</s>": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "t.json"))
    rows = [{"text": "x " * 100 + str(n)} for n in range(20)]
    named = {"tokenizer": {"path": str(tmp_path / "t.json"), "eos": "[STOP]"}}
    run = with_tokenizer(tmp_path, tmp_path / "t.json", rows, **named)
    assert set(np.unique(stream(run, "notes"))) == {0, 1}


def test_dropping_a_document_disturbs_the_sequences_of_its_block_only(tmp_path: Path) -> None:
    """Blocks are equal ranges of the order key, about one a MiB of the base text."""
    path = word_level(tmp_path / "tokenizer.json", 200)
    text = [" ".join(f"w{2 + (n * 31 + k * k) % 190}." for k in range(2200)) for n in range(440)]
    text[77] = " ".join(f"w{2 + k % 9}." for k in range(900))
    write_jsonl(tmp_path / "in" / "x.jsonl", [{"text": part} for part in text])
    runs = []
    for least in (100, 1000):
        content = notes_recipe(
            tmp_path / "in" / "x.jsonl",
            tokenizer={"path": str(path)},
            mix={"tokens": 6400, "sequence_length": 64, "weights": {"notes": 1}},
        )
        rules = tmp_path / "words.yaml"
        rules.write_text(
            "name: words\nversion: 1\ncite: none\nrules:\n"
            "  n: {keep: n_non_symbol_words >= min, min: 1}\n"
        )
        content["corpora"]["notes"]["stages"] = [{"filter": [{str(rules): {"n.min": least}}]}]
        content["corpora"]["notes"]["source"]["split_size"] = "1MB"
        runs.append(built(content, tmp_path / f"out{least}"))
    assert runs[1].lost("notes.filter") == {"words.n": 1}
    blocks, where = 4, [run.rows("notes.tokens") for run in runs]
    size = sum(len(part) for part in text)
    assert 4 << 20 <= size < 8 << 20, "so many bytes make four blocks"
    dropped = {row["doc_id"] for row in where[0]} - {row["doc_id"] for row in where[1]}
    (home,) = (int(key) >> 62 for key in keys_of(list(dropped)))
    for block in range(blocks):
        parts = [part_of(run, rows, block, blocks) for run, rows in zip(runs, where, strict=True)]
        assert len(parts[0]) > 100
        assert np.array_equal(*parts) == (block != home), block


def part_of(run: Built, where: list[dict[str, Any]], block: int, blocks: int) -> np.ndarray:
    """Sequences of one block."""
    home = (keys_of([row["doc_id"] for row in where]) // np.uint64(2**64 // blocks)).tolist()
    firsts = [
        row["first_sequence"] for row, place in zip(where, home, strict=True) if place == block
    ]
    below = [row["first_sequence"] for row, place in zip(where, home, strict=True) if place > block]
    sequences = stream(run, "notes")
    return sequences[min(firsts) : min(below, default=len(sequences))]
