"""``python -m ancestral``: the command line."""

from ancestral.service.cli.main import main

main()
