"""The locks: what the images install is what pyproject.toml asks for, by hash, and no torch."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.deploy.support import ROOT

FORBIDDEN = {"torch", "triton", "piper-tts"}
PYTHONS = ("3.11", "3.12", "3.13")


def locked(name):
    """The entries of a lock, and how many hashes each has."""
    entries = re.sub(r"\\\n\s*", "", (ROOT / "requirements" / f"{name}.txt").read_text()).splitlines()
    lines = [entry for entry in entries if entry and not entry.startswith("#")]
    assert lines
    return [(Requirement(line.split("--hash")[0].strip()), line.count("--hash=sha256:")) for line in lines]


def pinned(name, python):
    """What a lock installs on a version of Python."""
    marked = {"python_version": python, "python_full_version": f"{python}.9"}
    return {
        canonicalize_name(found.name): Version(next(iter(found.specifier)).version)
        for found, _ in locked(name)
        if found.marker is None or found.marker.evaluate(marked)
    }


def project(extra):
    """What the core of the project and signatures depend on and, in the image for NVIDIA, the extra of that name."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        asked = tomllib.load(file)["project"]
    extras = asked["optional-dependencies"]
    more = extras["provenance"] + (extras["gpu"] if extra == "gpu" else [])
    return [Requirement(text) for text in asked["dependencies"] + more]


@pytest.mark.parametrize("name", ["build", "cpu", "gpu"])
def test_everything_is_pinned_and_hashed(name):
    for requirement, hashes in locked(name):
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement
        assert hashes, requirement


@pytest.mark.parametrize("name", ["cpu", "gpu"])
@pytest.mark.parametrize("python", PYTHONS)
def test_a_lock_has_what_the_project_asks_for(name, python):
    versions = pinned(name, python)
    for wanted in project(name):
        version = versions.get(canonicalize_name(wanted.name))
        assert version is not None, f"{wanted}: `make lock`"
        assert version in wanted.specifier, f"{wanted} is locked at {version}: `make lock`"


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_torch_stays_out(name):
    names = {canonicalize_name(found.name) for found, _ in locked(name)}
    assert not names & FORBIDDEN
    assert any(found.startswith("nvidia-") for found in names) == (name == "gpu")


def test_the_list_of_licences_is_of_what_ships():
    table = re.findall(r"^\| ([\w.-]+) +\| ([^|]+?) +\|", (ROOT / "docs" / "licences.md").read_text(), re.MULTILINE)
    licences = {canonicalize_name(name): licence for name, licence in table if name != "Name" and name[0] != "-"}
    assert licences.keys() == pinned("cpu", "3.11").keys(), "`make licences`"
    assert not [name for name, licence in licences.items() if licence in ("UNKNOWN", "")]
    copyleft = {name for name, licence in licences.items() if "GPL" in licence}
    assert copyleft == {"num2words", "soxr"}, "is NOTICE still right?"
