"""Models as KServe's Open Inference Protocol describes them.

A tensor of the description is a field of the request, or the output, of this service's own routes: sampling is
requested at ``/v1/audio`` and ``/v1/images``, and the protocol's ``infer`` is not served.
"""

from __future__ import annotations

from ancestral.models.spec import STYLE
from ancestral.service.api.schemas import Datatype, KServeModel, KServeTensor
from ancestral.service.catalog.models import ImageModel, Model, SpeechModel


def metadata(model: Model) -> KServeModel:
    """Name, version and tensors of a model. Its only version is the SHA-256 of its weights."""
    assert isinstance(model, SpeechModel | ImageModel), "the kinds of models"
    inputs, output = _of_speech(model) if isinstance(model, SpeechModel) else _of_pictures(model)
    common: dict[str, Datatype] = {"seed": "INT64", "temperature": "FP32"}
    return KServeModel(
        name=model.entry.id,
        versions=[model.sha256],
        platform=f"ancestral_{model.spec.kind}",
        inputs=[KServeTensor(name=name, datatype=of, shape=[1]) for name, of in (inputs | common).items()],
        outputs=[output],
    )


def _of_speech(model: SpeechModel) -> tuple[dict[str, Datatype], KServeTensor]:
    speaks = "speech" in model.capabilities
    inputs: dict[str, Datatype] = {"input": "BYTES"} if speaks else {"duration": "FP32"}
    return inputs | {"voice": "BYTES"}, KServeTensor(name="audio", datatype="INT16", shape=[-1])


def _of_pictures(model: ImageModel) -> tuple[dict[str, Datatype], KServeTensor]:
    spec, inputs = model.spec, dict[str, Datatype]()
    if any(name != STYLE for name in spec.named):
        inputs["prompt"] = "BYTES"
    if STYLE in spec.named:
        inputs["style"] = "BYTES"
    shape = [-1, spec.height, spec.width, spec.channels if not spec.palette else 4 if spec.transparent else 3]
    if spec.encoder is not None:
        inputs |= {"image": "BYTES", "n": "INT64"}
    else:
        inputs |= {"n": "INT64", "guidance": "FP32"}
    return inputs, KServeTensor(name="images", datatype="UINT8", shape=shape)
