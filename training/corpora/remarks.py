"""What people say beside the sentences of a dictionary: short answers, questions, lists, dates, numbers, quotations.

WordNet's examples are whole statements of 5 to 14 words without a figure in them. A voice that has read nothing else
mumbles "Okay.".
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_ANSWERS = (
    "Yes", "No", "Okay", "All right", "Sure", "Fine", "Great", "Good", "Right", "Exactly", "Maybe", "Perhaps", "Never",
    "Always", "Thanks", "Thank you", "Please", "Sorry", "Hello", "Hi there", "Goodbye", "Good morning", "Good night",
    "Not yet", "Not really", "Of course", "Absolutely", "Certainly", "Definitely", "No problem", "No idea", "I see",
    "I know", "Me too", "Got it", "Here you go", "Well done", "Go ahead", "Wait", "Stop", "Come in", "Done", "Correct",
    "That's right", "Tomorrow", "Upstairs", "Almost", "Yep", "Nope", "Welcome back",
)  # fmt: skip
_ASIDES = (
    "of course", "thanks", "please", "I think", "absolutely", "not now", "why not", "sir", "my friend", "I guess",
    "that's fine", "it is", "we can", "go on", "you're right", "let me check",
)  # fmt: skip
_INTERJECTIONS = (
    "Oh", "Ah", "Wow", "Ugh", "Oops", "Hey", "Huh", "Ouch", "Yay", "Whoa", "Aha", "Uh-huh", "Well", "Phew", "Eh",
    "Hooray",
)  # fmt: skip
_REACTIONS = (
    "that was close", "I forgot my keys", "look at that", "not again", "what a surprise", "that hurts", "you scared me",
    "I had no idea", "this is amazing", "let me think", "there you are", "it worked",
)  # fmt: skip
_THINGS = (
    "apples", "bread", "cheese", "a blue jacket", "two tickets", "the map", "coffee", "orange juice", "gloves",
    "the garden", "my sister", "music", "three chairs", "fresh thyme", "zinc", "the usual", "a voucher", "soup",
    "yoghurt", "paper towels", "history", "chess", "the judge", "thick rope", "oil", "a toy boat", "sugar",
    "measuring cups",
)  # fmt: skip
_LISTED = ("We need", "I bought", "There's", "She likes", "Bring", "On the list are", "He asked for", "Don't forget")
_ASKED = (
    "Where is {}?", "Who brought {}?", "Do you have {}?", "Can I see {}?", "How much is {}?", "Why {}?",
    "What about {}?", "Would you like {}?", "Is it {}?", "When did you get {}?", "Isn't that {}?", "Which one is {}?",
)  # fmt: skip
_SHORT = ("Really?", "Why?", "How so?", "What?", "Who's there?", "Is that all?", "Are you sure?", "When?", "Ready?")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SPEAKERS = ("she said", "he asked", "they shouted", "said the nurse", "I replied", "she whispered", "Tom answered")


def remark(rng: random.Random) -> str:
    """One of them, as it would be written."""
    return rng.choice(_KINDS)(rng)


def _answer(rng: random.Random) -> str:
    end = rng.choice((".", ".", ".", "!"))
    return rng.choice(_ANSWERS) + (", " + rng.choice(_ASIDES) if rng.random() < 0.4 else "") + end


def _question(rng: random.Random) -> str:
    return rng.choice(_SHORT) if rng.random() < 0.3 else rng.choice(_ASKED).format(rng.choice(_THINGS))


def _list(rng: random.Random) -> str:
    *first, last = rng.sample(_THINGS, rng.randint(3, 5))
    return f"{rng.choice(_LISTED)} {', '.join(first)}{rng.choice((',', ''))} and {last}."


def _date(rng: random.Random) -> str:
    day, month, year = rng.randint(1, 28), rng.choice(_MONTHS), rng.randint(1850, 2035)
    time = f"{rng.randint(1, 12)}:{rng.choice((0, 5, 10, 15, 20, 30, 40, 45, 50)):02d} {rng.choice(('a.m.', 'p.m.'))}"
    forms = (
        f"{month} {day}, {year}.", f"It was on {day} {month} {year}.", f"See you on {rng.choice(_DAYS)} at {time}",
        f"{rng.choice(_DAYS)}, {month} {day}.", f"The train leaves at {time}", f"Since {year}, or earlier.",
    )  # fmt: skip
    return rng.choice(forms)


def _number(rng: random.Random) -> str:
    small, large = rng.randint(0, 99), rng.randint(100, 99_999)
    forms = (
        f"{small}.", f"{large:,} people.", f"It costs ${small}.{rng.randint(10, 99)}.", f"About {small} percent.",
        f"Room {rng.randint(100, 999)}.", f"Call {rng.randint(200, 999)}-{rng.randint(1000, 9999)}.",
        f"{small}.{rng.randint(1, 9)} degrees today.", f"The answer is {large}.", f"Is it {small} or {small + 1}?",
        f"The {rng.randint(4, 20)}th floor, please.", f"{small} miles to go.",
    )  # fmt: skip
    return rng.choice(forms)


def _interjection(rng: random.Random) -> str:
    cry = rng.choice(_INTERJECTIONS)
    return f"{cry}, {rng.choice(_REACTIONS)}{rng.choice('.!')}" if rng.random() < 0.6 else cry + rng.choice("!!.?")


def _quotation(rng: random.Random) -> str:
    said, by = rng.choice((_answer, _question, _interjection))(rng), rng.choice(_SPEAKERS)
    if rng.random() < 0.5:
        return f'{by[0].upper()}{by[1:]}: "{said}"' if not by.startswith("said") else f'"{said}" {by}.'
    return f'"{said[:-1] + "," if said.endswith(".") else said}" {by}.'


_KINDS: Sequence[Callable[[random.Random], str]] = (
    _answer, _answer, _question, _list, _date, _number, _interjection, _quotation
)  # fmt: skip
"""Each as often as the others, answers twice as often."""
