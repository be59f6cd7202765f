"""`model.json`: read strictly, refused by the name of the field."""

import json

import pytest

from ancestral.models.checkpoint import load
from ancestral.models.entries import PLAIN, ModelEntry, ModelError, Sampling, Voice, discover
from tests.models.random_models import ZOO

VOICE = {"id": "ann", "name": "Ann", "language": "en", "gender": "female", "description": "", "license": "CC0-1.0"}
MODEL = {
    "id": "a", "kind": "speech", "created": 1, "owned_by": "us", "description": "", "temperature": 1.0,
    "voices": [VOICE],
}  # fmt: skip

IMAGE = {name: value for name, value in MODEL.items() if name != "voices"} | {"kind": "image", "guidance": 1.5}
SHEET = {"rows": ["n", "s"], "animations": {"idle": ["{row}"], "run": ["{row} 1", "{row} 2"]}, "frames_per_second": 8}


def write(directory, data, name="a"):
    (directory / name).mkdir()
    text = data if isinstance(data, str) else json.dumps(data)
    (directory / name / "model.json").write_text(text)


def test_what_is_there_is_found(tmp_path):
    write(tmp_path, MODEL | {"id": "b"}, "b")
    write(tmp_path, MODEL)
    (tmp_path / "no-model").mkdir()
    (tmp_path / "README.md").write_text("")
    first, second = discover(tmp_path)
    assert (first.id, second.id) == ("a", "b")
    assert first.voices == (Voice(**VOICE),)


def test_the_checkpoints_of_each_kind(tmp_path):
    write(tmp_path, MODEL)
    write(tmp_path, MODEL | {"id": "b", "kind": "audio"}, "b")
    write(tmp_path, IMAGE | {"id": "c"}, "c")
    for path in ("a/wavenet", "a/acoustic", "b/anything", "c/pixelcnn"):
        (tmp_path / path).mkdir()
    reads, babbles, draws = discover(tmp_path)
    assert (draws.sampled, draws.acoustic, draws.voices) == (tmp_path / "c" / "pixelcnn", None, ())
    assert (reads.guidance, draws.guidance) == (1.0, 1.5)
    assert (reads.sampled, reads.acoustic) == (tmp_path / "a" / "wavenet", tmp_path / "a" / "acoustic")
    assert (babbles.sampled, babbles.acoustic) == (tmp_path / "b" / "anything", None)


def test_a_classifier_is_not_sampled(tmp_path):
    write(tmp_path, IMAGE)
    (tmp_path / "a" / "pixelcnn").mkdir()
    (entry,) = discover(tmp_path)
    assert entry.classifier is None
    (tmp_path / "a" / "classifier").mkdir()
    assert (entry.classifier, entry.sampled) == (tmp_path / "a" / "classifier", tmp_path / "a" / "pixelcnn")


def test_how_a_voice_is_sampled(tmp_path):
    shaped = {"voiced_temperature": 0.8, "min_p": 0.03}
    write(tmp_path, MODEL | {"voices": [VOICE | {"sampling": shaped}, VOICE | {"id": "bob"}]})
    (entry,) = discover(tmp_path)
    assert [voice.sampling for voice in entry.voices] == [Sampling(voiced_temperature=0.8, min_p=0.03), PLAIN]


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ([], "a: voices: sampling: expected a JSON object"),
        ({"top_p": 0.9}, "a: voices: sampling: top_p: unknown key"),
        ({"min_p": 0}, "a: voices: sampling: min_p: expected float, found int"),
        ({"min_p": 1.5}, "a: voices: sampling: min_p: must lie in 0"),
        ({"low_shelf_db": -13.0}, "a: voices: sampling: low_shelf_db: must lie in -12"),
        ({"mel_correction": 1.5}, "a: voices: sampling: mel_correction: must lie in 0"),
        ({"mel_correction": "1"}, "a: voices: sampling: mel_correction: expected float, found str"),
        ({"mel_correction": True}, "a: voices: sampling: mel_correction: expected float, found bool"),
        ({"voiced_temperature": 0.0}, "a: voices: sampling: voiced_temperature: must lie above 0"),
    ],
)
def test_sampling_that_is_wrong(tmp_path, sampling, message):
    write(tmp_path, MODEL | {"voices": [VOICE | {"sampling": sampling}]})
    with pytest.raises(ModelError, match=message):
        ModelEntry.read(tmp_path / "a")


def test_without_frames_there_is_no_voicing(tmp_path):
    babble = MODEL | {"kind": "audio"}
    write(tmp_path, babble | {"voices": [VOICE | {"sampling": {"min_p": 0.03}}]})
    assert discover(tmp_path)[0].voices[0].sampling == Sampling(min_p=0.03)
    write(tmp_path, babble | {"id": "b", "voices": [VOICE | {"sampling": {"voiced_temperature": 0.8}}]}, "b")
    with pytest.raises(ModelError, match="b: voices: sampling: temperatures by voicing need frames"):
        ModelEntry.read(tmp_path / "b")


def test_the_checkpoint_to_sample_must_be_the_only_one(tmp_path):
    write(tmp_path, MODEL)
    (tmp_path / "a" / "acoustic").mkdir()
    (entry,) = discover(tmp_path)
    with pytest.raises(ModelError, match="a: needs one directory with the checkpoint to sample; there are: none"):
        _ = entry.sampled
    for name in ("wavenet", "older"):
        (tmp_path / "a" / name).mkdir()
    with pytest.raises(ModelError, match="there are: older, wavenet"):
        _ = entry.sampled


def test_what_ships_can_be_read():
    """Speech models have an acoustic model, others none."""
    shipped = {entry.id: entry for entry in discover(ZOO.parent)}
    assert shipped["wavenet-en"].kind == "speech"
    pictures = ("pixelcnn", "pixelcnn-autoencoder", "pixelrnn")
    for entry in shipped.values():
        assert load(entry.sampled).spec.kind in (pictures if entry.kind == "image" else ("wavenet",))
        assert (entry.path / "acoustic").is_dir() == (entry.acoustic is not None)


def test_a_sheet_has_every_frame_of_every_row(tmp_path):
    write(tmp_path, IMAGE | {"sheets": {"run": SHEET}})
    (entry,) = discover(tmp_path)
    layout = entry.sheets["run"]
    assert (layout.columns, layout.frames_per_second) == (3, 8)
    assert layout.prompts == ["n", "n 1", "n 2", "s", "s 1", "s 2"]
    assert layout.tags == [("idle n", 0, 1), ("run n", 1, 2), ("idle s", 3, 1), ("run s", 4, 2)]


def test_a_directory_that_is_not_there_holds_nothing(tmp_path):
    assert discover(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "a: model.json cannot be read"),
        ("\udcff", "a: model.json cannot be read"),
        ([], "a: model.json cannot be read as JSON (not a JSON object)".replace("(", ".").replace(")", ".")),
        ({key: value for key, value in MODEL.items() if key != "kind"}, "a: kind: missing"),
        (MODEL | {"path": "/"}, "a: path: unknown key"),
        (MODEL | {"created": "now"}, "a: created: expected int, found str"),
        (MODEL | {"created": True}, "a: created: expected int, found bool"),
        (MODEL | {"temperature": 1}, "a: temperature: expected float, found int"),
        (MODEL | {"temperature": 2.5}, "a: temperature: must lie in 0"),
        (MODEL | {"guidance": 1.0}, "a: guidance: unknown key"),
        (IMAGE | {"guidance": 1}, "a: guidance: expected float, found int"),
        (IMAGE | {"guidance": 10.5}, "a: guidance: must lie in 0"),
        (IMAGE | {"voices": [VOICE]}, "a: voices: unknown key"),
        (MODEL | {"synonyms": {}}, "a: synonyms: unknown key"),
        (IMAGE | {"synonyms": ["x"]}, "a: synonyms: expected a JSON object of lists"),
        (IMAGE | {"synonyms": {"shoe": "Boot"}}, "a: synonyms: expected a JSON object of lists"),
        (IMAGE | {"synonyms": {"shoe": []}}, "a: synonyms: shoe: expected"),
        (IMAGE | {"synonyms": {"Shoe": ["Boot"]}}, "a: synonyms: Shoe: expected"),
        (IMAGE | {"synonyms": {"shoe": [1]}}, "a: synonyms: shoe: expected"),
        (MODEL | {"sheets": {}}, "a: sheets: unknown key"),
        (IMAGE | {"sheets": []}, "a: sheets: expected a JSON object"),
        (IMAGE | {"sheets": {"run": []}}, "a: sheets: run: expected a JSON object"),
        (IMAGE | {"sheets": {"run": SHEET | {"fps": 1}}}, "a: sheets: run: fps: unknown key"),
        (IMAGE | {"sheets": {"run": {"rows": ["n"]}}}, "a: sheets: run: animations: missing"),
        (IMAGE | {"sheets": {"run": SHEET | {"rows": "n"}}}, "a: sheets: run: rows: expected"),
        (IMAGE | {"sheets": {"run": SHEET | {"rows": ["n", "n"]}}}, "a: sheets: run: rows: expected"),
        (IMAGE | {"sheets": {"run": SHEET | {"animations": {}}}}, "a: sheets: run: animations: expected"),
        (IMAGE | {"sheets": {"run": SHEET | {"animations": {"a": [1]}}}}, "a: sheets: run: animations: expected"),
        (
            IMAGE | {"sheets": {"run": SHEET | {"animations": {"a": ["b"] * 129}}}},
            "a: sheets: run: animations: at most",
        ),
        (IMAGE | {"sheets": {"run": SHEET | {"frames_per_second": 0}}}, "a: sheets: run: frames_per_second: must"),
        (IMAGE | {"sheets": {"run": SHEET | {"frames_per_second": 1.5}}}, "a: sheets: run: frames_per_second: must"),
        (MODEL | {"id": "../a"}, "a: id: "),
        (MODEL | {"id": "A"}, "a: id: "),
        (MODEL | {"kind": "video"}, "a: kind: expected speech, audio, image, found 'video'"),
        (MODEL | {"voices": []}, "a: voices: at least one"),
        (MODEL | {"voices": [VOICE, VOICE]}, "a: voices: at least one, each id once"),
        (MODEL | {"voices": ["ann"]}, "a: voices: expected a JSON object"),
        (MODEL | {"voices": [VOICE | {"age": 7}]}, "a: voices: age: unknown key"),
        (MODEL | {"voices": [VOICE | {"name": None}]}, "a: voices: name: expected str"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, data, message):
    if data == "\udcff":
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "model.json").write_bytes(b"\xff")
    else:
        write(tmp_path, data)
    with pytest.raises(ModelError, match=message.replace("'", ".")):
        ModelEntry.read(tmp_path / "a")


def test_what_cannot_be_used_is_left_out_and_logged(tmp_path, caplog):
    write(tmp_path, MODEL)
    write(tmp_path, MODEL, "b")
    write(tmp_path, "{", "c")
    assert [entry.path.name for entry in discover(tmp_path)] == ["a"]
    assert ["b: a has the id a" in caplog.text, "c: model.json cannot be read" in caplog.text] == [True, True]
