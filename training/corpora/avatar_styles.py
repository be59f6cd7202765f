"""The eight styles of avatars: which options of DiceBear and facesjs make which hair, glasses and beard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ancestral.training.corpora.packages import Package

Options = Mapping[str, tuple[str, ...]]
"""Names of variants, by value of an attribute."""

HAIR = ("short hair", "bob", "long hair", "curly hair", "bun", "pigtails", "mohawk", "bald", "hat")
HAIR_COLOURS: Mapping[str, tuple[str, ...]] = {
    "black hair": ("000000", "2c1b18", "362c47", "272421"),
    "brown hair": ("603a14", "83623b", "6a4e35", "724133", "4a312c", "77311d", "71472d", "6c4545", "3d2314", "796a45"),
    "blond hair": ("e5d7a3", "d6b370", "f4d150", "cab188", "e2ba87", "e9b729", "b9a05f", "ecdcbf", "ffeba4"),
    "red hair": ("cb6820", "ab2a18", "a55728", "c93305", "d56c0c", "f27d65", "f29c65", "b55239", "bd1700", "e15c66"),
    "grey hair": ("afafaf", "808080"),
    "white hair": ("ffffff", "dee1f5", "e8e1e1"),
    "blue hair": ("85c2c6", "605de4", "6bd9e9", "009bbd"),
    "green hair": ("3eac2c", "238d80", "91cb15"),
    "pink hair": ("dba3be", "f59797", "fc909f", "e16381"),
    "purple hair": ("592454", "9287ff"),
}
"""Examples of each; another colour has the name of the nearest one."""
GLASSES = ("glasses", "sunglasses", "no glasses")
BEARDS = ("beard", "moustache", "no beard")
SKINS = {"light skin": 200, "tan skin": 160, "brown skin": 110, "dark skin": 0}
"""Lowest brightness of each skin, of 255."""


@dataclass(frozen=True)
class Style:
    """One way to draw people."""

    name: str
    package: Package
    credit: str
    hair: Options
    hair_colours: tuple[str, ...]
    skins: tuple[str, ...]
    glasses: Options = field(default_factory=dict)
    beards: Options = field(default_factory=dict)
    hair_option: str = "hair"
    skin_option: str = "skinColor"
    glasses_option: str = "glasses"
    beard_option: str = "facialHair"
    colour_option: str = "hairColor"
    fixed: Mapping[str, object] = field(default_factory=dict)
    """Further options of all its avatars."""
    black: tuple[str, ...] = ()
    """Hair that is black in whatever colour is asked for."""


def _numbered(name: str, numbers: str) -> tuple[str, ...]:
    return tuple(f"{name}{number}" for number in numbers.split())


def _dicebear(name: str, sha256: str) -> Package:
    return Package(f"@dicebear/{name}", "9.4.3", sha256)


CORE = _dicebear("core", "6ca7dae651c74ad547e548fbe7c41f49aaa377cf4617259277518389bf6b1a3d")
LIBRARIES = (
    CORE,
    Package("dlv", "1.1.3", "7c316193a4d49e70b3f552e4d52573ecb5b8154075f049cb30c9c2dc9ebb7c90"),
    Package("dset", "3.1.4", "ea5753352be6a2416c35f0f23831db3a9986c6d9183c339fbb3f11f94d4c8357"),
    Package("svg-path-bbox", "2.1.0", "da7b6b61601dbb9613407ea39e87c955c52434f9604990529e3d5de79f4fa45b"),
    Package("svgpath", "2.6.0", "800acf61f8659853d6f46c133a2a0c056943572840407c3db63fdaf731f12f81"),
)
"""What the styles need to run."""
FACES = Style(
    "faces",
    Package("facesjs", "5.0.3", "5dcd38542f674a7df9d85dae2bade41dc99bdb317f6f723f1b4923aa0d0e4dda"),
    "facesjs (its contributors, Apache-2.0)",
    {
        "short hair": ("crop", "crop-fade", "emo", "hair", "high", "juice", "messy", "messy-short", "middle-part",
                       "parted", "shaggy1", "short", "short2", "short3", "spike", "spike2", "tall-fade"),
        "bob": _numbered("female", "1 5 6 12"),
        "long hair": _numbered("female", "7 9 10"),
        "curly hair": ("afro", "afro2", "blowoutFade", "curly", "curly2", "curly3", "curlyFade1", "curlyFade2"),
        "bun": _numbered("female", "3 8"),
        "mohawk": ("faux-hawk", "fauxhawk-fade"),
        "bald": ("bald", "short-bald"),
        "hat": ("hat", "hat2", "hat3"),
    },
    ("272421", "3d2314", "5a3825", "cc9966", "b55239", "e9c67b"),
    ("f2d6cb", "ddb7a0", "fedac7", "eab687", "bb876f", "a67358", "ad6453", "74453d", "5c3937"),
    {"glasses": ("glasses1-primary", "glasses1-secondary", "glasses2-black", "glasses2-primary")},
    {
        "beard": ("beard-point", *_numbered("beard", "1 2 3 4"), "fullgoatee", "fullgoatee2", "honest-abe", "wilt",
                  "chin-strapStache"),
        "moustache": ("mustache1", "harley1"),
    },
)  # fmt: skip
DICEBEAR = (
    Style(
        "adventurer",
        _dicebear("adventurer", "6edeac04f94ef6177c946918dce012e530200dfcc274b4f954239e33ecbe590c"),
        "Adventurer (Lisa Wischofsky, CC-BY-4.0)",
        {
            "short hair": _numbered("short", "01 02 04 06 07 08 09 10 11 14 16"),
            "bob": _numbered("long", "01 04 05 20 21 24 25 26"),
            "long hair": _numbered("long", "06 07 08 09 17 18 22"),
            "curly hair": _numbered("short", "03 17 18"),
            "bun": ("short05", *_numbered("long", "10 11 12 13 23")),
            "pigtails": _numbered("long", "14 15 16"),
            "mohawk": ("short15",),
            "bald": ("short19",),
        },
        ("ac6511", "cb6820", "ab2a18", "e5d7a3", "b9a05f", "6a4e35", "562306", "0e0e0e", "afafaf", "3eac2c", "85c2c6",
         "dba3be", "592454"),
        ("f2d3b1", "ecad80", "9e5622", "763900"),
        {"glasses": _numbered("variant", "01 02 03 04 05")},
        {"moustache": ("mustache",)},
        beard_option="features",
        fixed={"earringsProbability": 0, "scale": 110},
    ),
    Style(
        "micah",
        _dicebear("micah", "b948931f01e97147ce8cdcfc4dfdad5c029bcb1ad57420dc0b22bc0aeb1d3fa7"),
        "Micah, Avatar Illustration System (Micah Lanier, CC-BY-4.0)",
        {
            "short hair": ("fonze", "dannyPhantom"), "bob": ("pixie",), "long hair": ("full",), "mohawk": ("mrT",),
            "bald": ("dougFunny", "mrClean"), "hat": ("turban",),
        },
        ("000000", "77311d", "f4d150", "ffeba4", "fc909f", "9287ff", "6bd9e9", "ffffff"),
        ("f9c9b6", "ac6651", "77311d"),
        {"glasses": ("round", "square")},
        {"beard": ("beard",)},
        skin_option="baseColor",
        fixed={"glassesColor": ["000000"]},
    ),
    Style(
        "toon head",
        _dicebear("toon-head", "b9cd3b5def9fb2c37a9acba2e4b9bd00268b6eaff705d596756e8d921a4580c8"),
        "ToonHead (Johan Melin, CC-BY-4.0)",
        {
            "short hair": ("sideComed", "undercut", "spiky"), "bob": ("shoulderHigh", "neckHigh"),
            "long hair": ("longStraight", "longWavy"), "bun": ("bun",),
        },
        ("2c1b18", "a55728", "b58143", "d6b370", "724133"),
        ("f1c3a5", "c68e7a", "b98e6a", "a36b4f", "5c3829"),
        beards={"beard": ("fullBeard", "longBeard", "chinMoustache"), "moustache": ("moustacheTwirl",)},
        beard_option="beard",
    ),
    Style(
        "open peeps",
        _dicebear("open-peeps", "65b664ec00dc69c068051461f2b5bd97c8335af676e36c284e906a3017c23d4f"),
        "Open Peeps (Pablo Stanley, CC0-1.0)",
        {
            "short hair": ("flatTop", "flatTopLong", "grayShort", "pomp", "shaved1", "shaved2",
                           *_numbered("short", "1 2 3 4 5")),
            "bob": ("bangs", "bangs2", "grayMedium", "medium1"),
            "long hair": ("long", "longBangs", "medium2", "medium3", "mediumBangs", "mediumBangs3", "mediumStraight"),
            "curly hair": ("afro", "dreads1", "dreads2", "longAfro", "longCurly", "twists", "twists2"),
            "bun": ("bun", "bun2", "grayBun"),
            "mohawk": ("mohawk", "mohawk2"),
            "bald": ("noHair1", "noHair2"),
            "hat": ("hatBeanie", "hatHip", "hijab", "turban"),
        },
        ("2c1b18", "e8e1e1", "d6b370", "f59797", "a55728", "724133", "c93305"),
        ("ffdbb4", "edb98a", "d08b5b", "ae5d29", "694d3d"),
        {"glasses": ("glasses", *_numbered("glasses", "2 3 4 5")), "sunglasses": ("sunglasses", "sunglasses2")},
        {
            "beard": ("chin", "full", "full2", "full3", "goatee1", "goatee2"),
            "moustache": _numbered("moustache", "2 3 5 6 7"),
        },
        hair_option="head",
        glasses_option="accessories",
        colour_option="headContrastColor",
        fixed={"maskProbability": 0},
        black=("flatTop", "flatTopLong", "pomp", "shaved1", "shaved2", *_numbered("short", "1 2 3 5"), "bangs2",
               "medium1", "long", "longBangs", "medium2", "medium3", "mediumBangs", "mediumBangs3", "mediumStraight",
               "afro", "dreads1", "dreads2", "longAfro", "longCurly", "twists", "twists2", "bun", "bun2"),
    ),
    Style(
        "pixel art",
        _dicebear("pixel-art", "1252d798c632c20f194e7d8b2fbc18b23ad76b2511e668668d0051084bfaa754"),
        "Pixel Art (DiceBear, CC0-1.0)",
        {
            "short hair": _numbered("short", "01 02 03 04 06 08 09 10 14 15 16 17 19 22 24"),
            "bob": _numbered("long", "04 11 16"),
            "long hair": _numbered("long", "01 02 03 07 08 09 12 13 17 20 21"),
            "curly hair": ("short11", "short13", "long15"),
            "bun": ("long05", "long14"),
            "pigtails": _numbered("long", "06 18 19"),
            "mohawk": ("short05", "short21"),
            "bald": ("short18", "short23"),
            "hat": _numbered("variant", "01 02 03 04 05 06 07 08 09 10"),
        },
        ("cab188", "603a14", "83623b", "a78961", "611c17", "28150a", "009bbd", "bd1700", "91cb15"),
        ("ffdbac", "f5cfa0", "eac393", "e0b687", "cb9e6e", "b68655", "a26d3d", "8d5524"),
        {
            "glasses": _numbered("light", "01 02 03 04 05 06 07"),
            "sunglasses": _numbered("dark", "01 02 03 04 05 06 07"),
        },
        fixed={"accessoriesProbability": 0, "beardProbability": 0},
    ),
    Style(
        "big smile",
        _dicebear("big-smile", "8dbd7b96c9ceaf9dd7c280cdae4f0bb3e43ab2798b7bedbe355fbb3ce30e87bb"),
        "Big Smile, Custom Avatar (Ashley Seo, CC-BY-4.0)",
        {
            "short hair": ("shortHair", "bowlCutHair", "shavedHead", "halfShavedHead"),
            "bob": ("wavyBob", "straightHair"), "long hair": ("bangs",), "curly hair": ("curlyBob", "curlyShortHair"),
            "bun": ("bunHair", "froBun"), "mohawk": ("mohawk",),
        },
        ("220f00", "3a1a00", "71472d", "e2ba87", "605de4", "238d80", "d56c0c", "e9b729"),
        ("ffe4c0", "f5d7b1", "efcc9f", "e2ba87", "c99c62", "a47539", "8c5a2b", "643d19"),
        {"glasses": ("glasses",), "sunglasses": ("sunglasses",)},
        {"moustache": ("mustache",)},
        glasses_option="accessories",
        beard_option="accessories",
    ),
    Style(
        "personas",
        _dicebear("personas", "6f5b4765c4d54444ab0330c4a89da53636662de3b04118b827f005a31332d002"),
        "Personas (Draftbit, CC-BY-4.0)",
        {
            "short hair": ("shortCombover", "shortComboverChops", "fade"), "bob": ("bobCut", "bobBangs"),
            "long hair": ("long", "extraLong"), "curly hair": ("curlyHighTop", "curly"),
            "bun": ("curlyBun", "bunUndercut", "straightBun"), "pigtails": ("pigtails",), "bald": ("bald", "balding"),
            "hat": ("cap", "beanie"),
        },
        ("362c47", "6c4545", "e15c66", "e16381", "f27d65", "f29c65", "dee1f5"),
        ("eeb4a4", "e7a391", "e5a07e", "d78774", "b16a5b", "92594b", "623d36"),
        {"glasses": ("glasses",), "sunglasses": ("sunglasses",)},
        {"beard": ("beardMustache", "goatee"), "moustache": ("walrus", "pyramid")},
        glasses_option="eyes",
    ),
)  # fmt: skip
STYLES = (*DICEBEAR, FACES)
