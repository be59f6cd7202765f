"""`ancestral.batch.Mapper`, with bundled models: rows are what single calls make, whoever passes them."""

import hashlib
import io
import pickle

import numpy as np
import pytest
import soundfile
from PIL import Image

import ancestral
from ancestral.batch import Mapper
from ancestral.catalog.seeds import digest_seed

pa = pytest.importorskip("pyarrow", reason="the extra batch")

ROWS = [
    {"key": "a", "text": "Yes.", "voice": "joe", "speed": 1.5, "seed": None},
    {"key": "b", "text": "No. Perhaps.", "voice": None, "speed": None, "seed": 7},
    {"key": "c", "text": "No.", "voice": "nobody", "speed": None, "seed": None},
    {"key": "d", "text": None, "voice": "joe", "speed": None, "seed": None},
    {"key": "e", "text": "Late.", "voice": "heart(2)+joe(1)", "speed": 99.0, "seed": None},
    {"key": "f", "text": "Late.", "voice": "heart(2)+joe(1)", "speed": 2.0, "seed": None},
]


@pytest.fixture(scope="module")
def spoken():
    """The results of the rows, by key."""
    made = Mapper("wavenet-en", seed=3)(pa.Table.from_pylist(ROWS))
    assert made.column("key").to_pylist() == [row["key"] for row in ROWS]
    return {row["key"]: row for row in made.to_pylist()}


def test_a_row_is_what_speak_makes_of_it_and_errors_name_the_column(spoken):
    model = ancestral.load("wavenet-en")
    for key, seed in (("a", digest_seed(3, "a")), ("b", 7), ("f", digest_seed(3, "f"))):
        row = spoken[key]
        speed = {} if row["speed"] is None else {"speed": row["speed"]}
        alone = model.voice(row["voice"]).speak(row["text"], seed=seed, **speed)
        assert (row["seed"], row["error"], row["seconds"]) == (seed, None, alone.duration)
        assert row["audio"] == alone.encode("flac")
        assert row["sha256"] == hashlib.sha256(row["audio"]).hexdigest()
        words = [(word["text"], word["start"], word["end"]) for word in row["words"]]
        assert words == [(word.text, word.start, word.end) for word in alone.words]
    for key, column in (("c", "voice"), ("d", "text"), ("e", "speed")):
        assert spoken[key]["error"].startswith(f"{column}: ")
        assert spoken[key]["audio"] is spoken[key]["sha256"] is None


def test_the_bytes_depend_on_the_row_alone(spoken):
    columns = {name: [row[name] for row in reversed(ROWS[:2])] for name in ROWS[0]}
    made = Mapper("wavenet-en", seed=3, threads=2)(columns)
    assert made["audio"] == [spoken["b"]["audio"], spoken["a"]["audio"]]
    assert made["voice"] == [None, "joe"]
    again = Mapper("wavenet-en", seed=4)(columns)
    assert again["audio"][0] == spoken["b"]["audio"]  # its seed is its own
    assert again["audio"][1] != spoken["a"]["audio"]


def test_a_row_without_a_key_has_one_of_its_content():
    mapper = Mapper("wavenet-en", keep=["id"])
    first, second, third = mapper.map_rows([{"text": "Yes.", "id": 1}, {"id": 2, "text": "Yes."}, {"text": "No."}])
    keys = {number: (row["key"], row["sha256"]) for number, row in (first, second, third)}
    assert keys[0] == keys[1]
    assert keys[2] != keys[0]


def test_pictures_of_many_rows_are_those_of_single_ones():
    model = ancestral.load("pixelcnn-digits")
    rows = {"prompt": np.array(["7", "any", "eleven", "3"]), "seed": np.array([1, 2, 3, 4])}
    made = Mapper("pixelcnn-digits")(rows)
    for number in (0, 1, 3):
        alone = model.draw_many(str(rows["prompt"][number]), seed=number + 1)
        assert made["image"][number] == alone.file(0, "png")
        assert made["shown"][number] == (", ".join(alone.attributes(0).values()) or None)
        assert made["bits"][number] == alone[0].bits
    assert made["error"][2].startswith("prompt: ")
    assert made["image"][2] is made["bits"][2] is None


def test_pictures_and_recordings_are_scored(tmp_path):
    model, voice = ancestral.load("pixelcnn-digits"), ancestral.load("wavenet-en").voice("joe")
    png = model.draw_many("7", seed=1).file(0, "png")
    made = Mapper("pixelcnn-digits", score=True)({"image": [png, b"GIF"], "prompt": ["7", None]})
    assert made["symbols"][0] == model.score(png, "7")["dims"]
    assert made["bits"][0] == pytest.approx(model.score(png, "7")["bits_per_dim"] * made["symbols"][0], rel=1e-5)
    assert made["error"][1].startswith("image: ")

    sound = voice.speak("Yes.", seed=1)
    sound.save(tmp_path / "a.flac")
    address = (tmp_path / "a.flac").as_uri()
    short = io.BytesIO()
    soundfile.write(short, np.zeros(160, np.float32), 16000, format="WAV")
    wrong = ["file:///nowhere.flac", 5, b"nothing", short.getvalue()]
    rows = {"recording": [address, *wrong, address], "voice": ["joe"] * 6}
    rows["text"] = ["Yes."] * 4 + ["It snowed all day long.", 5]
    heard = Mapper("wavenet-en", score=True)(rows)
    found = voice.score((tmp_path / "a.flac").read_bytes(), "Yes.")
    assert heard["bits"][0] == pytest.approx(found["bits_per_sample"] * found["samples"], rel=1e-5)
    assert [word["bits"] for word in heard["words"][0]] == [word["bits"] for word in found["words"]]
    assert heard["words"][0][0]["start"] == found["words"][0]["start"] / 16000
    assert [error.partition(":")[0] for error in heard["error"][1:]] == ["recording"] * 4 + ["text"]


def test_what_cannot_be_fetched_stops_no_other_row(monkeypatch):
    """File systems raise errors of their own: aiohttp's for a status of 403 is no OSError."""
    png = ancestral.load("pixelcnn-digits").draw_many("7", seed=1).file(0, "png")

    def refuse(address, mode):
        raise RuntimeError("403, message='Forbidden'")

    monkeypatch.setattr("fsspec.open", refuse)
    made = Mapper("pixelcnn-digits", score=True)({"image": ["https://example.com/a.png", png]})
    assert made["error"] == ["image: https://example.com/a.png: 403, message='Forbidden'", None]


def test_a_column_of_no_use_is_refused():
    for model, columns, param, said in (
        ("wavenet-en", {"text": ["Yes."], "sped": [1.0]}, "sped", "sped: .* uses no such column, but key, text, voice"),
        ("wavenet-babble", {"text": ["Yes."]}, "model", None),
    ):
        with pytest.raises(ancestral.InvalidRequest, match=said) as refused:
            Mapper(model)(columns)
        assert refused.value.param == param


def test_a_mapper_can_be_pickled_and_takes_record_batches():
    mapper = Mapper("pixelcnn-digits", seed=5)
    first = pickle.loads(pickle.dumps(mapper))({"prompt": ["7"]})["sha256"]
    assert mapper({"prompt": ["7"]})["sha256"] == first
    assert pickle.loads(pickle.dumps(mapper))({"prompt": ["7"]})["sha256"] == first
    (batch,) = pa.table({"prompt": ["7", "1"]}).to_batches()
    made = mapper(batch)
    assert isinstance(made, pa.RecordBatch)
    assert mapper(batch.replace_schema_metadata({"k": "v"})).schema.metadata == {b"k": b"v"}
    assert (mapper(batch.slice(0, 0)).num_rows, mapper(batch.slice(0, 0)).schema) == (0, made.schema)
    assert Image.open(io.BytesIO(made.column("image")[1].as_py())).size == (28, 28)


@pytest.mark.slow
def test_datasets_and_dask_take_it_as_it_is(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"prompt": ["7", "1", "any"], "key": ["a", "b", "c"]})
    mapper = Mapper("pixelcnn-digits", seed=5)
    alone = mapper(pa.Table.from_pandas(frame)).column("sha256").to_pylist()
    found = mapper(frame.set_axis([9, 4, 2]))
    assert dict(found["sha256"]) == dict(zip([9, 4, 2], alone, strict=True)), "the index is kept"
    wide = pd.DataFrame({"prompt": ["7", "eleven"], "seed": [2**53 + 1, 1]})  # the second one has no seed afterwards
    assert int(mapper(wide)["seed"][0]) == 2**53 + 1

    dask = pytest.importorskip("dask.dataframe")
    meta = dict.fromkeys(["prompt", "sha256"], "str")
    parts = dask.from_pandas(frame, npartitions=2).map_partitions(lambda part: mapper(part)[list(meta)], meta=meta)
    assert list(parts.compute(scheduler="sync")["sha256"]) == alone

    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict(frame.to_dict("list"))
    assert rows.map(mapper, batched=True, batch_size=2, cache_file_name=str(tmp_path / "a"))["sha256"] == alone
