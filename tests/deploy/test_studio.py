"""The library as the page without a server runs it: on the few classes that it has in the place of Pydantic."""

import subprocess
import sys

from deploy.browser import site
from tests.paths import ROOT

COMMANDS = """
import io, sys
from pathlib import Path
from PIL import Image
from deploy.browser import pydantic_fields

sys.modules["pydantic"] = sys.modules["pydantic_core"] = pydantic_fields
from deploy.browser import studio

studio.MODELS = Path("models/zoo")
mask, model = io.BytesIO(), "pixelcnn-sprites"
whole = Image.new("LA", (32, 32), (0, 255))
whole.paste((0, 0), (0, 16, 32, 32))
whole.save(mask, "PNG")
drawn = {"model": model, "prompt": "elf", "n": 1, "seed": "7"}
*_, first = studio.answer("draw", drawn)
file = first["pictures"][0]["file"]
for given in ({"image": file}, {"image": file, "mask": mask.getvalue()}):
    *_, last = studio.answer("draw", drawn | given)
    print(last.get("error"))
*_, last = studio.answer("prove", {"model": model, "file": file, "seed": "7"})
print(last["verdict"])
*_, last = studio.answer("draw", drawn | {"prompt": "elv"})
print(last["param"])
"""


def test_it_draws_completes_edits_and_proves():
    ended = subprocess.run([sys.executable, "-c", COMMANDS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.stdout.split(), ended.stderr) == (["None", "None", "made_with_model", "prompt"], "")


def test_a_dictionary_carries_its_licence():
    folder = "ancestral_models/text/lexicons"
    assert [name for name, _ in site._dictionary("french")] == [f"{folder}/french.npz", f"{folder}/LICENSE"]
