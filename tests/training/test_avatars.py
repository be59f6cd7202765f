"""Avatars: what is asked of the generators is what the labels say; people are not divided between training and test."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ancestral.training.corpora import CorpusError, avatars, build, expected
from ancestral.training.corpora.avatar_styles import DICEBEAR, FACES, LIBRARIES, STYLES
from ancestral.training.corpora.avatars import ATTRIBUTES, Person, colour_name, people, request, skin_name
from ancestral.training.corpora.packages import Package
from ancestral.training.corpora.vector import rendered
from ancestral.training.data.images import read_pictures


@pytest.fixture(scope="module")
def crowd() -> list[Person]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(avatars, "PEOPLE", 400)
        return list(people(np.random.default_rng(0)))


def named(person: Person) -> dict[str, str | None]:
    return {
        name: None if label < 0 else values[label]
        for (name, values), label in zip(ATTRIBUTES.items(), person.labels, strict=True)
    }


def test_names_of_values_are_unique() -> None:
    names = [name for values in ATTRIBUTES.values() for name in values]
    assert len(names) == len(set(names))
    assert set(ATTRIBUTES["hair"]) == {name for style in STYLES for name in style.hair}


def test_every_style_has_its_people(crowd: Sequence[Person]) -> None:
    assert [person.number for person in crowd] == list(range(400 * len(STYLES)))
    for style in STYLES:
        own = [named(person) for person in crowd if person.style is style]
        assert len(own) == 400
        assert {one["hair"] for one in own} == set(style.hair)
        assert {one["glasses"] for one in own} == {*style.glasses, "no glasses"}
        assert {one["beard"] for one in own} == {*style.beards, "no beard"}


def test_dicebear_is_asked_for_what_the_labels_say(crowd: Sequence[Person]) -> None:
    for person in crowd:
        if person.style is FACES:
            continue
        style, said = person.style, named(person)
        options = request(person, 1)["options"]
        hat = style.name == "pixel art" and said["hair"] == "hat"
        behind = style.name == "toon head" and said["hair"] in ("bob", "long hair")
        place = "hat" if hat else "rearHair" if behind else style.hair_option
        assert options[place] == [person.variant]
        assert person.variant in style.hair[str(said["hair"])]
        assert (options["hatProbability"], options["rearHairProbability"]) == (100 * hat, 100 * behind)
        for attribute, option, variants in (
            ("glasses", style.glasses_option, style.glasses),
            ("beard", style.beard_option, style.beards),
        ):
            wanted = variants.get(str(said[attribute]), ())
            if wanted:
                assert options[option][0] in wanted
                assert options[f"{option}Probability"] == 100
            elif option not in person.worn and option != "eyes":
                assert options[f"{option}Probability"] == 0
        assert options[style.skin_option] == [person.skin]


def test_facesjs_is_asked_for_what_the_labels_say(crowd: Sequence[Person]) -> None:
    for person in crowd:
        if person.style is not FACES:
            continue
        asked, said = request(person, 1), named(person)
        overrides = asked["overrides"]
        wearing = overrides["accessories"]["id"]
        assert (said["hair"] == "hat") == (wearing != "none")
        assert (overrides["glasses"]["id"] == "none") == (said["glasses"] == "no glasses")
        assert (overrides["facialHair"]["id"] == "none") == (said["beard"] == "no beard")
        assert (asked["gender"] == "female") == overrides["hair"]["id"].startswith("female")
        assert asked["seed"] == person.number


def test_a_person_stays_and_the_expression_changes(crowd: Sequence[Person]) -> None:
    face = crowd[-1]
    first, second = (request(face, picture)["overrides"] for picture in (0, 1))
    assert {k: first[k] for k in ("hair", "body", "glasses")} == {k: second[k] for k in ("hair", "body", "glasses")}
    assert any(request(face, n)["overrides"]["mouth"] != first["mouth"] for n in range(2, 6))
    one, other = (request(crowd[0], picture)["options"] for picture in (0, 1))
    assert one.pop("seed") != other.pop("seed")
    assert one == other


def test_hair_that_cannot_be_seen_has_no_colour(crowd: Sequence[Person]) -> None:
    for person in crowd:
        assert (named(person)["hair_colour"] is None) == (person.hair in ("bald", "hat"))
    afro = next(person for person in crowd if person.variant == "afro" and person.style.name == "open peeps")
    assert named(replace(afro, colour="f59797"))["hair_colour"] == "black hair", "it is drawn in black"


@pytest.mark.parametrize(
    ("colour", "name"),
    [("0e0e0e", "black hair"), ("562306", "brown hair"), ("e6d6a0", "blond hair"), ("c03020", "red hair"),
     ("a8a8a8", "grey hair"), ("3ea92c", "green hair"), ("8090f0", "purple hair")],
)  # fmt: skip
def test_colours_of_hair_have_names(colour: str, name: str) -> None:
    assert colour_name(colour) == name


def test_skin_has_four_names() -> None:
    assert [skin_name(c) for c in ("f2d3b1", "cb9e6e", "ae5d29", "5c3829")] == list(ATTRIBUTES["skin"])


def package(directory: Path, name: str, script: str) -> Package:
    """An npm package with one module, where the stand-in for npm finds it, and what pins it."""
    tarball = directory / f"{name.replace('/', '+')}.tgz"
    files = {"package.json": f'{{"name": "{name}", "type": "module", "exports": "./index.js"}}', "index.js": script}
    with tarfile.open(tarball, "w:gz") as tar:
        folder = tarfile.TarInfo("package")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for path, content in files.items():
            entry = tarfile.TarInfo(f"package/{path}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    return Package(name, "1.0.0", hashlib.sha256(tarball.read_bytes()).hexdigest())


# Drawn in one colour, which depends on everything that is asked.
DRAW = """
const draw = (name, asked) => {
  let sum = 7;
  for (const letter of name + JSON.stringify(asked)) sum = (Math.imul(sum, 31) + letter.charCodeAt(0)) >>> 0;
  const colour = "#" + (sum % 2 ** 24).toString(16).padStart(6, "0");
  const head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-20 0 600 600">';
  return `${head}<path fill="${colour}" d="M-99 -99h999v999h-999z"/></svg>`;
};
"""
CORE = f"{DRAW} export const createAvatar = (style, options) => draw(style.name, options);"
FACESJS = f"""{DRAW}
export const generate = (overrides, options) => [overrides, options, Math.random()];
export const faceToSvgString = (face) => draw("facesjs", face);
"""


@pytest.fixture
def generators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Generators that draw one colour; node is the real one, and no test needs a network."""
    pytest.importorskip("resvg_py")
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    styles = []
    for style in DICEBEAR:
        made = package(tmp_path, style.package.name, f"export const name = {style.name!r};")
        styles.append(replace(style, package=made))
    faces = replace(FACES, package=package(tmp_path, "facesjs", FACESJS))
    monkeypatch.setattr(avatars, "LIBRARIES", (package(tmp_path, "@dicebear/core", CORE),))
    for name, value in (("FACES", faces), ("DICEBEAR", tuple(styles)), ("STYLES", (*styles, faces))):
        monkeypatch.setattr(avatars, name, value)
    npm = tmp_path / "npm"
    npm.write_text(f'#!/bin/sh\ncp "{tmp_path}/$(echo "$3" | sed "s/@1.0.0//; s#/#+#").tgz" .\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(avatars, "PEOPLE", 5)
    return tmp_path


def test_avatars_are_built(generators: Path) -> None:
    told: list[int] = []
    made = build("avatars", generators / "out", 0, told.append)
    assert told == list(range(1, 5 * 8 * 4 + 1))
    assert expected("avatars") == expected("avatars-rgb") == told[-1]
    indexed, archive = read_pictures(generators / "out"), np.load(generators / "out" / "pictures.npz")
    identities = {part: set(archive[f"identity_{part}"].tolist()) for part in ("train", "valid", "test")}
    assert sum(map(len, identities.values())) == len(set().union(*identities.values())) == 40
    assert made == sum(len(archive[f"x_{part}"]) for part in identities) == 160
    assert indexed.attributes == tuple((name, tuple(values)) for name, values in ATTRIBUTES.items())
    assert len(indexed.palette) <= 256
    styles = {part: archive[f"identity_{part}"] // 5 for part in identities}
    assert all(np.array_equal(styles[part], archive[f"labels_{part}"][:, 0]) for part in identities)
    assert "Micah Lanier, CC-BY-4.0" in indexed.source
    assert build("avatars-rgb", generators / "rgb", 0) == made
    rgb = read_pictures(generators / "rgb")
    assert (rgb.palette, rgb.shape) == ((), (32, 32, 3))
    colours = np.array([[*bytes.fromhex(colour[1:])] for colour in indexed.palette])
    assert np.array_equal(colours[indexed.train.images[..., 0]], rgb.train.images), "so few colours are kept exactly"


def test_what_node_says_is_told(generators: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = package(generators, "@dicebear/core", "throw new Error('no avatars today');")
    monkeypatch.setattr(avatars, "LIBRARIES", (broken,))
    with pytest.raises(CorpusError, match=r"node failed: .*no avatars today"):
        build("avatars", generators / "out", 0)
    monkeypatch.setenv("PATH", str(generators / "nothing"))
    with pytest.raises(FileNotFoundError, match="node: not found"):
        build("avatars", generators / "out", 0)


@pytest.mark.slow
def test_the_real_generators_draw_what_is_asked(crowd: Sequence[Person]) -> None:
    pytest.importorskip("resvg_py")
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node or npm is not installed")
    chosen = [next(person for person in crowd if person.style is style) for style in STYLES]
    try:
        svgs = list(avatars._drawn([request(person, picture) for person in chosen for picture in (0, 1, 0)]))
    except CorpusError as error:
        if "npm pack failed" in str(error):
            pytest.skip(f"the packages cannot be had: {error}")
        raise
    images = [rendered(svg) for svg in svgs]
    for first, second, again in zip(images[::3], images[1::3], images[2::3], strict=True):
        assert np.array_equal(first, again)
        assert not np.array_equal(first, second)
        assert (first != 255).mean() > 0.2, "something is drawn"
    assert len(LIBRARIES) + len(STYLES) == 13
