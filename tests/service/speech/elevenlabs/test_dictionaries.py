"""`/v1/pronunciation-dictionaries`, and requests that name one."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock, Mock

import httpx
import pytest

from ancestral.errors import NotFound
from ancestral.models.text import PronunciationError
from ancestral.models.text.pronunciations import read_pls, write_pls
from ancestral.service.speech.elevenlabs.dictionaries import entries_in
from tests.service.servers import Server
from tests.service.speech.elevenlabs.support import FIRST, open_stream, say, spoken
from tests.service.ws_client import whole

RULES: list[dict[str, Any]] = [
    {"type": "alias", "string_to_replace": "UN", "alias": "United Nations"},
    {"type": "phoneme", "string_to_replace": "Nginx", "phoneme": "EH1 N JH IH0 N", "alphabet": "cmu-arpabet"},
    {"type": "phoneme", "string_to_replace": "New Haven", "phoneme": "həˈloʊ", "alphabet": "ipa",
     "case_sensitive": False},
    {"type": "alias", "string_to_replace": "UN", "alias": "never"},
]  # fmt: skip
SAID = "The UN has Nginx in new haven."
READ = "The United Nations has [[EH1 N JH IH0 N]] in [[həˈloʊ]]."
PCM = "output_format=pcm_16000"


class Dictionaries:
    """A caller's dictionaries on a server."""

    def __init__(self, server: Server, key: str = "") -> None:
        self.url = f"{server.url}/v1/pronunciation-dictionaries"
        self.key = {"xi-api-key": key}

    def add(self, **changes: Any) -> httpx.Response:
        body = {"name": "names", "rules": RULES} | changes
        return httpx.post(f"{self.url}/add-from-rules", json=body, headers=self.key)

    def add_file(self, document: str | bytes) -> httpx.Response:
        form: dict[str, Any] = {"files": {"file": ("a.pls", document)}, "data": {"name": "file"}}
        return httpx.post(f"{self.url}/add-from-file", **form, headers=self.key)

    def get(self, path: str = "", **query: Any) -> httpx.Response:
        return httpx.get(self.url + path, params=query, headers=self.key)

    def archive(self, name: str) -> httpx.Response:
        return httpx.patch(f"{self.url}/{name}", json={"archived": True}, headers=self.key)


def test_a_dictionary_is_a_lexicon_that_is_kept(server: Server) -> None:
    own = Dictionaries(server)
    added = own.add(description="of places").json()
    assert (added["name"], added["version_rules_num"], added["description"]) == ("names", 3, "of places")
    assert own.add().json()["id"] == added["id"] == added["version_id"]
    assert own.add(rules=RULES[:1]).json()["id"] != added["id"]
    name = added["id"]
    found = own.get(f"/{name}").json()
    assert found["latest_version_rules_num"] == 3
    assert [rule.get("alias") or rule["phoneme"] for rule in found["rules"]] == [
        "United Nations",
        "EH1 N JH IH0 N",
        "həˈloʊ",
    ]
    assert own.add(rules=[{k: v for k, v in r.items() if v is not None} for r in found["rules"]]).json()["id"] == name
    document = own.get(f"/{name}/{name}/download")
    assert document.headers["content-type"] == "application/pls+xml"
    assert own.add_file(document.content).json()["id"] == name
    assert [own.get(f"/{path}").status_code for path in ("dict_0", f"{name}/dict_0/download")] == [404, 404]

    expected = whole(server, READ)
    located = {"pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": name, "version_id": name}]}
    body = {"model_id": "tiny", "seed": 7, **located}
    answer = httpx.post(f"{server.url}/v1/text-to-speech/ann?{PCM}", json={"text": SAID} | body, timeout=60)
    assert answer.content == expected
    inputs = {"inputs": [{"voice_id": "ann", "text": SAID}]}
    assert httpx.post(f"{server.url}/v1/text-to-dialogue?{PCM}", json=inputs | body, timeout=60).content == expected
    with open_stream(server) as connection:
        say(connection, FIRST | located, {"text": SAID}, {"text": ""})
        assert spoken(connection).sound == expected
    manifest = httpx.get(f"{server.url}/v1/jobs/{answer.headers['x-job-id']}/manifest").json()
    assert list(manifest["request"]["pronunciations"]) == ["UN", "Nginx", "new haven"]
    others = own.add(rules=[RULES[3]]).json()["id"]
    both = {"pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": one} for one in (name, others)]}
    assert httpx.post(
        f"{server.url}/v1/text-to-speech/ann?{PCM}", json={"text": SAID} | body | both, timeout=60
    ).content == expected  # fmt: skip


def test_what_is_kept_is_listed_until_it_is_archived(keyed: Server, keys: dict[str, str]) -> None:
    (own, other) = (Dictionaries(keyed, keys[caller]) for caller in list(keys)[:2])
    names = [own.add(rules=[RULES[0] | {"alias": f"number {number}"}]).json()["id"] for number in range(3)]
    first = own.get(page_size=2).json()
    assert [found["id"] for found in first["pronunciation_dictionaries"]] == names[:0:-1]
    rest = own.get(page_size=2, cursor=first["next_cursor"]).json()
    assert ([found["id"] for found in rest["pronunciation_dictionaries"]], rest["has_more"]) == (names[:1], False)
    assert other.get().json()["pronunciation_dictionaries"] == []
    assert other.get(f"/{names[0]}").status_code == other.archive(names[0]).status_code == 404
    assert 0 < keyed.redis().ttl(f"ancestral:dictionary:{names[0]}") <= 30 * 86400
    assert own.archive(names[0]).json()["archived_time_unix"] > 0
    assert own.get(f"/{names[0]}").status_code == 404
    assert len(own.get().json()["pronunciation_dictionaries"]) == 2


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"rules": []}, "rules"),
        ({"rules": [RULES[0] | {"type": "other"}]}, "rules.0"),
        ({"rules": [RULES[0] | {"word_boundaries": False}]}, "rules.0.alias.word_boundaries"),
        ({"rules": [RULES[0] | {"string_to_replace": "un", "case_sensitive": True}]}, "rules.0.alias"),
        ({"rules": [RULES[0] | {"string_to_replace": "..."}]}, "rules"),
        ({"rules": [RULES[1] | {"alphabet": "ipa"}]}, "rules"),
        ({"rules": [RULES[1] | {"phoneme": "QQ"}]}, "rules"),
        ({"rules": [RULES[0] | {"string_to_replace": f"w{number}"} for number in range(501)]}, "rules"),
        ({"workspace_access": "admin"}, "workspace_access"),
        ({"name": None}, "name"),
    ],
)
def test_rules_that_cannot_be_used(server: Server, changes: dict[str, Any], param: str) -> None:
    refused = Dictionaries(server).add(**changes)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), refused.text


PLS = """<?xml version="1.0" encoding="UTF-8"?>
<lexicon version="1.0" xmlns="http://www.w3.org/2005/01/pronunciation-lexicon" alphabet="ipa" xml:lang="en-US">
  <metadata><lexicon><metadata><grapheme>no</grapheme></metadata></lexicon></metadata>
  <lexeme><grapheme>Ann &amp; Co</grapheme><grapheme>A&lt;B</grapheme>
    <alias>R and D</alias><alias>never</alias></lexeme>
  <lexeme role="noun"><grapheme>
    tomato</grapheme><phoneme>təˈmɑtoʊ</phoneme>
    <phoneme prefer="true" alphabet="x-arpabet">T AH0 M EY1 T OW0</phoneme><example>A tomato.</example></lexeme>
</lexicon>
"""


def test_pls() -> None:
    entries = {"Ann & Co": "alias:R and D", "A<B": "alias:R and D", "tomato": "T AH0 M EY1 T OW0"}
    assert read_pls(PLS) == read_pls("\ufeff" + PLS) == entries
    entries |= {"Ann": "æn", "fiancé": "alias:<b>"}
    assert read_pls(write_pls(entries)) == entries


BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("<lexicon", f'<!DOCTYPE lexicon [<!ENTITY a0 "a">{BOMB}]><lexicon', "document type"),
        ("<lexicon", '<!DOCTYPE lexicon SYSTEM "http://localhost/a.dtd"><lexicon', "document type"),
        ("<lexicon", '<!DOCTYPE lexicon [<!ENTITY a SYSTEM "file:///etc/passwd">]><lexicon', "document type"),
        ("&amp;", "&a;", "undefined entity"),
        ("<lexeme role", "<?php?><lexeme role", "processing instruction"),
        ("<example>", "<script>", "<script> in <lexeme>"),
        ("<lexeme role", "<phoneme/><lexeme role", "<phoneme> in <lexicon>"),
        ('alphabet="x-arpabet"', 'alphabet="x-sampa"', "x-sampa"),
        ('alphabet="x-arpabet"', "", "not written in the alphabet ipa"),
        ("<alias>R and D</alias><alias>never</alias>", "", "missing"),
        ("</lexicon>", "", "not well-formed"),
        ("Ann", "\ud800", "surrogate"),
        ("Ann", "A" * (1 << 20), "PLS may take"),
    ],
)
def test_pls_that_cannot_be_used(old: str, new: str, named: str) -> None:
    with pytest.raises(PronunciationError, match=named):
        read_pls(PLS.replace(old, new, 1))


def test_a_file_that_cannot_be_used_is_refused(server: Server) -> None:
    for document in (
        b"\xff\xfe<",
        b"<lexicon/>",
        b"",
        PLS.replace("A&lt;B", "..."),
        PLS.replace("A&lt;B", "a\u200bb"),
        PLS.replace("R and D", "R" * 257),
        PLS.replace("<example>A tomato.</example>", "".join(f"<grapheme>w{n}</grapheme>" for n in range(9000))),
    ):
        refused = Dictionaries(server).add_file(document)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "file"), refused.text


def test_a_dictionary_that_is_deleted_before_it_is_read_is_not_empty() -> None:
    state = Mock(broker=Mock(batches=Mock(data=AsyncMock(return_value=None))))
    with pytest.raises(NotFound, match=r"^a\.pronunciation_dictionary_id: "):
        asyncio.run(entries_in(state, {"id": "b"}, "a."))
