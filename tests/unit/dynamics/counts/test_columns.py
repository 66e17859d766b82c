"""Texts as columns of the files that people have, tokenizers in files, and tables out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynamics import CoOccurrence, Examples, InputError
from dynamics.cli import run
from dynamics.counts.text.columns import cells

ENGLISH = ["the dog sleeps", "a cat sleeps", "the dog, again", 'a "cat" barks']
GERMAN = ["der Hund schläft", "eine Katze schläft", "der Hund wieder", "eine Katze bellt"]
ROWS = [{"en": a, "pair": {"de": b}, "id": k} for k, (a, b) in enumerate(zip(ENGLISH, GERMAN, strict=True))]


def jsonl(folder: Path) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n\n" for row in ROWS), "utf-8")
    return path


def zipped(folder: Path) -> Path:
    path = folder / "pairs.json.gz"
    path.write_bytes(gzip.compress(jsonl(folder).read_bytes()))
    return path


def table(folder: Path) -> Path:
    path = folder / "pairs.csv"
    quoted = ['"' + text.replace('"', '""') + '"' for text in ENGLISH]
    path.write_text(
        "id,en,pair.de\n" + "".join(f"{k},{a},{b}\n" for k, (a, b) in enumerate(zip(quoted, GERMAN, strict=True))),
        "utf-8",
    )
    return path


def tabs(folder: Path) -> Path:
    path = folder / "pairs.tsv"
    path.write_text("en\tpair.de\n" + "".join(f"{a}\t{b}\n" for a, b in zip(ENGLISH, GERMAN, strict=True)), "utf-8")
    return path


def parquet(folder: Path) -> Path:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (the extra data)")
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=2)
    return path


def folder_of_parquet(folder: Path) -> Path:
    path = folder / "hub"
    path.mkdir()
    parquet(folder).rename(path / "train-00000-of-00001.parquet")
    return path


def saved_dataset(folder: Path) -> Path:
    """As ``datasets.Dataset.save_to_disk`` lays it out: streams of Arrow, and a list of them."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed (the extra data)")
    path = folder / "dataset"
    path.mkdir()
    names = []
    for k, rows in enumerate((ROWS[:3], ROWS[3:])):
        names.append(f"data-{k:05d}-of-00002.arrow")
        made = pa.Table.from_pylist(rows)
        with pa.OSFile(str(path / names[-1]), "wb") as file, pa.ipc.new_stream(file, made.schema) as stream:
            stream.write_table(made)
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": n} for n in names]}))
    return path


@pytest.mark.parametrize("made", [jsonl, zipped, table, tabs, parquet, folder_of_parquet, saved_dataset])
def test_columns_are_counted_as_texts_are(made: Any, tmp_path: Path) -> None:
    path = made(tmp_path)
    found = CoOccurrence.from_parallel_text(f"{path}:en", f"{path}:pair.de")
    whole = CoOccurrence.from_parallel_text(ENGLISH, GERMAN)
    assert (found.inputs, found.outputs) == (whole.inputs, whole.outputs)
    np.testing.assert_array_equal(found.C, whole.C)
    assert found.attrs["source_file"] == f"{path.name}:en"
    assert len(str(found.attrs["source_sha256"])) == 64


def test_columns_as_many_files_and_as_labels(tmp_path: Path) -> None:
    path = jsonl(tmp_path)
    found = CoOccurrence.from_parallel_files([f"{path}:en"] * 2, [f"{path}:pair.de"] * 2)
    np.testing.assert_allclose(found.C, CoOccurrence.from_parallel_text(ENGLISH, GERMAN).C, rtol=1e-14)
    with pytest.raises(InputError, match="as labels="):
        CoOccurrence.from_labelled_text(f"{path}:en")
    labelled = Examples.from_labelled_text(f"{path}:en", f"{path}:id")
    assert labelled.labels is not None
    assert labelled.labels[1] == ("0", "1", "2", "3")


def test_the_command_line_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path)
    assert run(["cooccurrence", "pairs.jsonl:en", "pairs.jsonl:pair.de", "-o", "counts.csv"]) == 0
    assert run(["solve", "pairs.jsonl:en", "pairs.jsonl:pair.de", "--time", "10", "--figures", "none"]) == 0
    written = CoOccurrence.load("counts.csv")
    np.testing.assert_allclose(written.C, CoOccurrence.from_parallel_text(ENGLISH, GERMAN).C, rtol=1e-14)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"en": "a"}\n{"de": "b"}\n', "line 2: there is no column 'en'; it has de"),
        ('{"en": "a"}\n{"en": null}\n', "line 2: 'en' is missing"),
        ('{"en": "a"}\n{"en": ["b"]}\n', "line 2: 'en' is of type list"),
        ('{"en": "a"}\n{"en": \n', "line 2: no JSON"),
        ('["en"]\n', "line 1: list where an object"),
        ('{"en": "a\\u0000"}\n', "NUL character"),
        ("\n", "the file has no rows"),
    ],
)
def test_bad_rows_are_named(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        list(cells(path, "en"))


def test_missing_files_and_columns_are_named(tmp_path: Path) -> None:
    path = table(tmp_path)
    with pytest.raises(InputError, match=r"does not exist; did you mean 'pairs\.csv'"):
        CoOccurrence.from_parallel_text(str(tmp_path / "pair.csv:en"), ["a"])
    with pytest.raises(InputError, match="there is no column 'eng'; did you mean 'en'"):
        CoOccurrence.from_parallel_text(f"{path}:eng", f"{path}:pair.de")
    (tmp_path / "short.csv").write_text("en,de\na\n")
    with pytest.raises(InputError, match="line 2: 1 cells where the heading has 2"):
        list(cells(tmp_path / "short.csv", "en"))


def test_folders_that_cannot_be_read_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dataset and no Parquet file"):
        list(cells(tmp_path, "en"))
    (tmp_path / "dataset_dict.json").write_text("{}")
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match="name one of its folders, train"):
        list(cells(tmp_path, "en"))
    (tmp_path / "state.json").write_text('{"_data_files": [], "_indices_files": [1]}')
    with pytest.raises(InputError, match="flatten_indices"):
        list(cells(tmp_path, "en"))
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 no")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (the extra data)")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        list(cells(broken, "en"))


def test_a_cell_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"en": "two\nlines", "n": 3}))
    assert list(cells(path, "en")) == ["two lines"]
    assert list(cells(path, "n")) == ["3"]


def test_a_file_with_a_colon_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv:b"
    path.write_text("a dog\n")
    assert CoOccurrence.from_parallel_text(path, ["ein hund"]).inputs == ("a", "dog")


def test_a_tokenizer_in_a_file(tmp_path: Path) -> None:
    library = pytest.importorskip("tokenizers", reason="tokenizers is not installed (the extra data)")
    made = library.Tokenizer(library.models.WordLevel({"dog": 0, "##s": 1, "[UNK]": 2, "[CLS]": 3}, unk_token="[UNK]"))
    made.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
    made.post_processor = library.processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 3)])
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    found = CoOccurrence.from_parallel_text(["DOG ##s what"], ["dog"], tokenizer=str(path))
    assert found.inputs == ("##s", "[UNK]", "dog")
    path.write_text("{}")
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(InputError, match="not a tokenizer of Hugging Face"):
        CoOccurrence.from_parallel_text(["dog"], ["dog"], tokenizer=str(other))
    with pytest.raises(InputError, match="does not exist"):
        CoOccurrence.from_parallel_text(["dog"], ["dog"], tokenizer=str(tmp_path / "none.json"))


def test_data_frames_bring_their_labels(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame([[3, 1], [0, 4]], index=["Hund", "Katze"], columns=["dog", "cat"])
    found = CoOccurrence.from_counts(frame)
    pd.testing.assert_frame_equal(found.to_frame() * 8, frame.astype(float), check_names=False)
    texts = pd.DataFrame({"en": ENGLISH, "de": GERMAN})
    np.testing.assert_array_equal(
        CoOccurrence.from_parallel_text(texts["en"], texts["de"]).C, CoOccurrence.from_parallel_text(ENGLISH, GERMAN).C
    )


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@pytest.mark.parametrize("sparse", [False, True])
def test_tables_out_are_read_back_to_the_bit(suffix: str, sparse: bool, tmp_path: Path) -> None:
    import scipy.sparse

    counts = np.array([[3.0, 0, 1], [0, 7, 0]])
    words = ['"', "a,b"] if suffix == "tsv" else ['quo"te', "a,b"]
    given = CoOccurrence.from_counts(
        scipy.sparse.csr_array(counts) if sparse else counts, inputs=words, outputs=["x", "y", "z"]
    )
    given.to_csv(tmp_path / f"counts.{suffix}")
    with pytest.raises(InputError, match="a table is written as"):
        given.to_csv(tmp_path / "counts.xls")
    again = CoOccurrence.load(tmp_path / f"counts.{suffix}")
    assert (again.inputs, again.outputs) == (given.inputs, given.outputs)
    np.testing.assert_allclose(again.to_frame(), given.to_frame(), rtol=1e-15)
