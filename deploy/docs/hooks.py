"""What the site has that is not in docs/: README.md as its first page, the files of the repository that pages link to,
players for sounds, and a demo that needs no server, sampled while the site is built."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

import ancestral
from deploy.browser import site as browser

_HERE: Final = Path(__file__).parent
ROOT: Final = _HERE.parents[1]
_PAGE: Final = ROOT / "service/ancestral_service/api/web/page"
_MODULES: Final = ("ancestral.js", "api.js", "dom.js", "mouth.js", "store.js", "words.js")
"""Files of the page, which the demo is built on."""
_LINK: Final = re.compile(r"(\]\()([^)#\s]+)([^)\s]*\))")
_FOLDER: Final = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)\)")
_SOUND: Final = re.compile(r'<a href="([^"]+\.(?:flac|ogg|mp3|wav))">(.*?)</a>', re.DOTALL)
SAID: Final = (
    ("joe", "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background."),
    ("heart", "The station, at night. [voice:emma] Is this the last train? [voice:joe] I am afraid that it was."),
    ("dora", "La canoa de abedul se deslizó por las tablas lisas."),
    ("siwis", "Le canot de bouleau glissa sur les planches lisses."),
)
"""Voices of wavenet-multilingual, and what the demo has them say."""
DRAWN: Final = ("elf, robe", "orc", "human, red cloak", "any")
TRY: Final = "try"
"""The folder of the page that needs no server."""
_EACH: Final = 3
"""Sprites of every prompt."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the first page, the demo, and what pages link to outside docs/."""
    readme = _LINK.sub(lambda link: link[1] + _from_docs(link[2]) + link[3], (ROOT / "README.md").read_text())
    files.append(File.generated(config, "index.md", content=readme))
    linked = {ROOT / "docs" / link[2] for link in _LINK.finditer(readme)}
    for file in files.documentation_pages():
        if file.abs_src_path is not None:
            folder = Path(file.abs_src_path).parent
            linked |= {folder / link[2] for link in _LINK.finditer(Path(file.abs_src_path).read_text())}
    for path in sorted({path.resolve() for path in linked}):
        if path.is_file() and _is_outside(path):
            uri, level = _copied(path), InclusionLevel.INCLUDED
            files.append(File.generated(config, uri, abs_src_path=str(path), inclusion=level))
    demo = {name: (_PAGE / name).read_bytes() for name in _MODULES}
    demo["demo.js"] = (_HERE / "demo.js").read_bytes()
    for name, data in (demo | _samples()).items():
        files.append(File.generated(config, f"demo/{name}", content=data))
    files.append(File.generated(config, "demo/index.md", content=(_HERE / "demo.md").read_text()))
    # Only this one: mkdocs would make pages of the models' cards.
    files.append(File.generated(config, f"{TRY}/index.html", content=browser.files()["index.html"]))
    files.append(File.generated(config, "site.css", content=(_HERE / "site.css").read_text()))
    return files


def on_post_build(config: MkDocsConfig) -> None:
    """Write the page that speaks and draws without a server."""
    browser.write(Path(config.site_dir) / TRY)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files outside docs/ lead to their copies; a link to a folder is only its text."""
    folder = ROOT / "docs" / Path(page.file.src_uri).parent

    def moved(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        if ":" in link[2] or not _is_outside(target):
            return link[0]
        up = "../" * len(Path(page.file.src_uri).parent.parts)
        return f"{link[1]}{up}{_copied(target)})"

    return _LINK.sub(moved, _FOLDER.sub(lambda link: link[1] if (folder / link[2]).is_dir() else link[0], markdown))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Sounds have players."""
    return _SOUND.sub(r'<audio controls preload="none" src="\1" title="\2"></audio> \2', html)


def _from_docs(target: str) -> str:
    """A target of README.md, as a page in docs/ would name it."""
    return target if ":" in target else target.removeprefix("docs/") if target.startswith("docs/") else f"../{target}"


def _is_outside(path: Path) -> bool:
    return path.exists() and path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "docs")


def _copied(path: Path) -> str:
    """Where the site has a file of the repository; browsers show it as text, or as the picture that it is."""
    uri = f"repository/{path.relative_to(ROOT).as_posix()}"
    return uri if path.suffix in (".png", ".svg", ".jpg") else f"{uri}.txt"


def _samples() -> dict[str, bytes]:
    """Sounds with their times, in the shape of `/v1/jobs/{id}/timestamps`, and sprites; files of the demo by name."""
    found: dict[str, bytes] = {}
    said: list[dict[str, Any]] = []
    speaker = ancestral.load("wavenet-multilingual")
    for index, (voice, text) in enumerate(SAID):
        speech = speaker.voice(voice).speak(text, seed=7)
        several = len({word.speaker for word in speech.words}) > 1
        words = [
            {"start": word.start, "end": word.end, "text_start": word.span[0], "text_end": word.span[1]}
            | ({"speaker": word.speaker} if several else {})
            for word in speech.words
        ]
        visemes = [{"viseme": shape.text, "start": shape.start, "end": shape.end} for shape in speech.visemes]
        found[f"{index}.mp3"] = speech.encode("mp3")
        said.append(
            {"voice": voice, "sound": f"{index}.mp3"}
            | {"text": speech.text, "words": words, "visemes": visemes, "sample_rate": 1, "complete": True}
        )
    painter = ancestral.load("pixelcnn-sprites")
    drawn: list[dict[str, Any]] = []
    for prompt in DRAWN:
        pictures = painter.draw_many(prompt, _EACH, seed=7)
        for index, picture in enumerate(pictures):
            name = f"sprite-{len(drawn)}.png"
            found[name] = pictures.file(index, "png")
            drawn.append({"picture": name, "prompt": picture.prompt, "seed": picture.seed})
    found["samples.json"] = json.dumps({"said": said, "drawn": drawn}).encode()
    return found
