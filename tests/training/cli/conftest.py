"""Commands are run as those of the service are."""

from tests.service.cli.conftest import run
from tests.service.conftest import zoo

__all__ = ["run", "zoo"]
