"""Lets other people's clients speak two sentences with a running server, and writes down what they got.

Needs an environment of its own, because the clients bring many dependencies::

    python3.12 -m venv build/clients
    build/clients/bin/pip install openai elevenlabs "pipecat-ai[openai,elevenlabs]" livekit-agents \
        livekit-plugins-openai livekit-plugins-elevenlabs wyoming_openai soundfile
    npm install --prefix build/clients openai
    build/clients/bin/python -m bench.clients.speak http://localhost:8000 build/spoken

Each client writes NAME.wav and NAME.json (its version, the seconds to its first audio, and words with their starts in
seconds, of clients that tell them). ``python -m bench.clients.hear build/spoken`` listens to the files.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from bench.clients.others import openai_js_events, openai_js_images, openai_js_speech, wyoming_openai
from bench.clients.result import KEY, RATE, SENTENCES, TEXT, Result


async def openai_speech(url: str) -> Result:
    """openai-python: OpenAI's model and voice, streamed."""
    import openai

    result = Result("openai")
    async with (
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY) as client,
        client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts", voice="alloy", input=TEXT, response_format="pcm"
        ) as response,
    ):
        async for data in response.iter_bytes():
            result.add(data)
    return result


async def openai_images(url: str) -> Result:
    """openai-python: a picture of OpenAI's size from OpenAI's model; spoken are only its dimensions."""
    import openai

    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY) as client:
        found: Any = await client.images.generate(
            model="gpt-image-1", prompt="elf, robe", size="1024x1024", n=1, quality="auto", background="auto"
        )
    assert found.size == "1024x1024"
    return Result("openai")


async def elevenlabs_convert(url: str) -> Result:
    """ElevenLabs' SDK: `convert`, in its default format."""
    from elevenlabs.client import AsyncElevenLabs

    result = Result("elevenlabs", rate=None)
    client = AsyncElevenLabs(base_url=url, api_key=KEY)
    voices = await client.voices.get_all()
    assert "heart" in [voice.voice_id for voice in voices.voices]
    models = await client.models.list()
    assert [model.model_id for model in models if model.can_do_text_to_speech]
    async for data in client.text_to_speech.convert(voice_id="heart", text=TEXT, model_id="eleven_multilingual_v2"):
        result.add(data)
    return result


async def elevenlabs_stream(url: str) -> Result:
    """ElevenLabs' SDK: `stream`, as PCM."""
    from elevenlabs.client import AsyncElevenLabs

    result = Result("elevenlabs")
    client = AsyncElevenLabs(base_url=url, api_key=KEY)
    async for data in client.text_to_speech.stream(voice_id="heart", text=TEXT, output_format="pcm_24000", seed=7):
        result.add(data)
    return result


def _words(characters: list[str], starts: list[float]) -> list[tuple[str, float]]:
    """Words of an alignment of characters."""
    words: list[tuple[str, float]] = []
    inside = False
    for character, start in zip(characters, starts, strict=True):
        if character.isspace():
            inside = False
        elif inside:
            words[-1] = (words[-1][0] + character, words[-1][1])
        else:
            words.append((character, start))
            inside = True
    return words


async def elevenlabs_timestamps(url: str) -> Result:
    """ElevenLabs' SDK: `convert_with_timestamps`."""
    import base64

    from elevenlabs.client import AsyncElevenLabs

    result = Result("elevenlabs")
    client = AsyncElevenLabs(base_url=url, api_key=KEY)
    found = await client.text_to_speech.convert_with_timestamps(
        voice_id="heart", text=TEXT, output_format="pcm_24000", seed=7
    )
    result.add(base64.b64decode(found.audio_base_64))
    assert found.alignment is not None
    result.words = _words(found.alignment.characters, found.alignment.character_start_times_seconds)
    return result


async def elevenlabs_stream_timestamps(url: str) -> Result:
    """ElevenLabs' SDK: `stream_with_timestamps`."""
    import base64

    from elevenlabs.client import AsyncElevenLabs

    result = Result("elevenlabs")
    client = AsyncElevenLabs(base_url=url, api_key=KEY)
    characters: list[str] = []
    starts: list[float] = []
    async for chunk in client.text_to_speech.stream_with_timestamps(
        voice_id="heart", text=TEXT, output_format="pcm_24000", seed=7
    ):
        result.add(base64.b64decode(chunk.audio_base_64))
        if chunk.alignment is not None:
            characters += chunk.alignment.characters
            starts += chunk.alignment.character_start_times_seconds
    result.words = _words(characters, starts)
    return result


async def elevenlabs_realtime(url: str) -> Result:
    """ElevenLabs' SDK: `convert_realtime`, over the websocket."""
    from elevenlabs.client import ElevenLabs

    def speak() -> Result:
        result = Result("elevenlabs")
        client = ElevenLabs(base_url=url, api_key=KEY)
        client.text_to_speech._ws_base_url = url.replace("http", "ws", 1)  # else it wants wss://
        for data in client.text_to_speech.convert_realtime(
            voice_id="heart",
            text=(f"{word} " for word in TEXT.split()),
            model_id="eleven_flash_v2_5",
            output_format="pcm_24000",
        ):
            result.add(data)
        return result

    return await asyncio.to_thread(speak)


async def _in_pipeline(package: str, service: Any, sample_rate: int) -> Result:
    """A service of Pipecat in a pipeline, which speaks the sentences and then ends."""
    from pipecat.frames.frames import EndFrame, Frame, TTSAudioRawFrame, TTSSpeakFrame, TTSTextFrame
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineParams, PipelineWorker
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
    from pipecat.workers.runner import WorkerRunner

    result = Result(package, rate=sample_rate, clock=True)

    class Listener(FrameProcessor):  # type: ignore[misc]
        """Writes down what comes out of the service."""

        async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, TTSAudioRawFrame):
                result.add(frame.audio)
            elif isinstance(frame, TTSTextFrame) and frame.pts:  # of services that tell times
                result.words.append((frame.text, round(frame.pts / 1e9, 3)))
            await self.push_frame(frame, direction)

    worker = PipelineWorker(
        Pipeline([service, Listener()]),
        params=PipelineParams(audio_out_sample_rate=sample_rate),
        idle_timeout_secs=None,
    )
    result.started = time.perf_counter()
    await worker.queue_frames([TTSSpeakFrame(sentence) for sentence in SENTENCES])
    await worker.queue_frame(EndFrame())
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    async with asyncio.timeout(120):
        await runner.run()
    return result


async def pipecat_openai(url: str) -> Result:
    """Pipecat's OpenAI service."""
    from pipecat.services.openai.tts import OpenAITTSService

    service = OpenAITTSService(
        api_key=KEY, base_url=f"{url}/v1", settings=OpenAITTSService.Settings(model="gpt-4o-mini-tts", voice="alloy")
    )
    return await _in_pipeline("pipecat-ai", service, RATE)


async def pipecat_elevenlabs(url: str) -> Result:
    """Pipecat's ElevenLabs service over the websocket (`multi-stream-input`)."""
    from pipecat.services.elevenlabs.tts import ElevenLabsTTSService

    service = ElevenLabsTTSService(
        api_key=KEY, url=url.replace("http", "ws", 1), settings=ElevenLabsTTSService.Settings(voice="heart")
    )
    return await _in_pipeline("pipecat-ai", service, RATE)


async def pipecat_elevenlabs_http(url: str) -> Result:
    """Pipecat's ElevenLabs service over HTTP (`stream/with-timestamps`)."""
    import aiohttp
    from pipecat.services.elevenlabs.tts import ElevenLabsHttpTTSService

    async with aiohttp.ClientSession() as session:
        service = ElevenLabsHttpTTSService(
            api_key=KEY,
            aiohttp_session=session,
            base_url=url,
            settings=ElevenLabsHttpTTSService.Settings(voice="heart", model="eleven_turbo_v2_5"),
        )
        return await _in_pipeline("pipecat-ai", service, RATE)


async def _livekit(package: str, speech: AsyncIterator[Any]) -> Result:
    """What a plugin of LiveKit gives."""
    result = Result(package)
    async for event in speech:
        frame = event.frame
        result.rate = frame.sample_rate
        result.add(bytes(frame.data))
        for word in frame.userdata.get("lk.timed_transcripts", []):
            result.words.append((str(word).strip(), word.start_time))
    return result


async def livekit_openai(url: str) -> Result:
    """LiveKit's OpenAI plugin."""
    from livekit.agents.utils import http_context
    from livekit.plugins import openai as plugin

    async with http_context.open():
        tts = plugin.TTS(base_url=f"{url}/v1", api_key=KEY)
        return await _livekit("livekit-plugins-openai", tts.synthesize(TEXT))


async def livekit_elevenlabs(url: str) -> Result:
    """LiveKit's ElevenLabs plugin, streaming (`multi-stream-input`)."""
    from livekit.agents.utils import http_context
    from livekit.plugins import elevenlabs as plugin

    async with http_context.open():
        tts = plugin.TTS(base_url=f"{url}/v1", api_key=KEY, voice_id="heart")
        stream = tts.stream()
        for word in TEXT.split():
            stream.push_text(f"{word} ")
        stream.end_input()
        result = await _livekit("livekit-plugins-elevenlabs", stream)
        await stream.aclose()
        await tts.aclose()
        return result


async def livekit_elevenlabs_http(url: str) -> Result:
    """LiveKit's ElevenLabs plugin, one request (`/stream`)."""
    from livekit.agents.utils import http_context
    from livekit.plugins import elevenlabs as plugin

    async with http_context.open():
        tts = plugin.TTS(base_url=f"{url}/v1", api_key=KEY, voice_id="heart")
        return await _livekit("livekit-plugins-elevenlabs", tts.synthesize(TEXT))


CLIENTS: dict[str, Callable[[str], Coroutine[Any, Any, Result]]] = {
    run.__name__: run
    for run in (
        openai_speech, openai_images, openai_js_speech, openai_js_events, openai_js_images, elevenlabs_convert,
        elevenlabs_stream, elevenlabs_timestamps, elevenlabs_stream_timestamps, elevenlabs_realtime, pipecat_openai,
        pipecat_elevenlabs, pipecat_elevenlabs_http, livekit_openai, livekit_elevenlabs, livekit_elevenlabs_http,
        wyoming_openai,
    )
}  # fmt: skip


def main(url: str, folder: Path, *names: str) -> None:
    """Run clients, one after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or CLIENTS:
        result = asyncio.run(CLIENTS[name](url))
        result.save(folder, name)
        print(f"{name}: {len(result.sound) / 2 / (result.rate or RATE):.2f} s, {len(result.words)} words with times")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), Path(sys.argv[2]), *sys.argv[3:])
