"""``ancestral speech-dispatcher``: voices for Orca and other clients of speech-dispatcher."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import click

from ancestral.command_line import click_errors
from ancestral.service.cli.server_options import chosen_model, server_options

_MODULE = "../libexec/speech-dispatcher-modules/sd_ancestral"
"""Where speech-dispatcher finds a user's module ``ancestral``, from the folder of the user's data."""

_PIPE_BYTES = 4096
"""128 ms of sound; speech-dispatcher has a queue of its own."""


@click.command(short_help="Speak for Orca and other clients of speech-dispatcher.")
@click.argument("configuration", required=False, type=click.Path(path_type=Path))
@click.option("--voice", help="Of users who have chosen none; the model's first voice by default.")
@click.option("--model", help="A model's id; the first one that has the voice by default.")
@server_options
@click.option("--install", is_flag=True, help="Make speech-dispatcher start this command, with the other options.")
def command(
    configuration: Path | None,
    voice: str | None,
    model: str | None,
    url: str | None,
    api_key_file: Path | None,
    install: bool,
) -> None:
    """An output module of speech-dispatcher, which starts it itself: --install writes a file for that into the home
    directory. Then `spd-say -o ancestral Hello.` speaks (docs/speech-dispatcher.md).

    CONFIGURATION is what speech-dispatcher gives to each module; nothing is read from it.
    """
    import fcntl

    from ancestral.service.cli.local.model import FAILURES
    from ancestral.service.cli.local.speech_dispatcher import Module

    output, sys.stdout = sys.stdout, sys.stderr  # only the protocol may write there
    with click_errors(*FAILURES), chosen_model(url, api_key_file, model, voice) as chosen:
        default = chosen.model.voice(voice).id  # refused here if there is none
        if install:
            path = _install(chosen.model.id, default, url, api_key_file)
            click.echo(f"{path}\nspeech-dispatcher finds it when it starts again: pkill speech-dispatch", err=True)
            return
        # After STOP speech-dispatcher reads all that is in the pipe before it falls silent: of 64 KiB, 30 ms later.
        with suppress(OSError):
            fcntl.fcntl(output.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        Module(chosen.model, chosen.voices, default, sys.stdin.buffer, output.buffer).run()


def _install(model: str, voice: str, url: str | None, api_key_file: Path | None) -> Path:
    """Write the module: a script that starts this command."""
    words = [str(Path(sys.executable).with_name("ancestral")), "speech-dispatcher", "--model", model, "--voice", voice]
    words += ["--url", url] if url is not None else []
    words += ["--api-key-file", str(api_key_file.absolute())] if api_key_file is not None else []
    settings = {name: value for name, value in os.environ.items() if name.startswith("ANCESTRAL_")}
    script = "#!/bin/sh\n" + "".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    data.mkdir(parents=True, exist_ok=True)
    path = (data / _MODULE).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{script}exec {shlex.join(words)} "$@"\n')
    path.chmod(0o700)  # the settings may have secrets
    return path
