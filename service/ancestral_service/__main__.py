"""``python -m ancestral_service``: the command line."""

from ancestral_service.cli.main import main

main()
