"""All kinds of jobs, for API processes and workers alike."""

from __future__ import annotations

from typing import Final

from ancestral.service.detection.tasks import TASKS as DETECTION_TASKS
from ancestral.service.images.tasks import TASKS as IMAGE_TASKS
from ancestral.service.jobs.tasks import Tasks
from ancestral.service.speech.tasks import TASKS as SPEECH_TASKS

TASKS: Final = Tasks(*SPEECH_TASKS, *IMAGE_TASKS, *DETECTION_TASKS)
