"""Italian."""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.languages.italian_sounds import read
from ancestral.models.text.languages.italian_words import ABBREVIATIONS, TITLES
from ancestral.models.text.languages.language import Calendar, Currency, Gender, Language, Noun, Numbers, nouns, words
from ancestral.models.text.languages.numerals import Numerals
from ancestral.models.text.rules import Match, number_rule, rule

_FEMININE: Final = re.compile(
    r".*(?:[^m]a|ione|tà|tù|notte|luce|voce|chiave|nave|parte|mente|madre|moglie|neve|pelle|classe|carne|torre|rete|serie)"
)
_LONGEST: Final = 40
"""Letters of a number in one word."""
_MASCULINE_IN_A: Final = words("problema programma tema sistema clima poeta pianeta giornalista turista artista")
_NOT_COUNTED: Final = words(
    "a al alla alle agli ai da dal e è era erano ha ma sarà sia va fa la una della nella dalla sulla"
)


def _gender(word: str) -> Gender | None:
    if word in _NOT_COUNTED:
        return None
    return "f" if _FEMININE.fullmatch(word) and word not in _MASCULINE_IN_A else "m"


def _as_said(number: str) -> str:
    """CLDR's words without its agreement of 21 with what it counts; very long ones in two."""
    number = re.sub(r"(?<=[a-z])(?:una|un)\b", "uno", number)
    number = re.sub(r"(?<=[a-z])tre\b", "tré", number)
    return number if len(number) < _LONGEST else number.replace("mila", "mila ")


_NUMBERS: Final = Numbers(
    locale="it",
    minus="meno",
    decimals={",": "virgola", ".": "punto"},
    thousands=". ",
    rewrite=_as_said,
    of_millions=lambda noun: f"di {noun}",
    millions="milion[ei]|miliard[oi]",
    denominators={
        2: ("mezzo", "mezzi"), 3: ("terzo", "terzi"), 4: ("quarto", "quarti"), 5: ("quinto", "quinti"),
        6: ("sesto", "sesti"), 7: ("settimo", "settimi"), 8: ("ottavo", "ottavi"), 9: ("nono", "noni"),
        10: ("decimo", "decimi"), 100: ("centesimo", "centesimi"),
    },
    half={"m": "mezzo", "f": "mezza"},
    over="su",
)  # fmt: skip
_NUMERALS: Final = Numerals(_NUMBERS)


def _time(hour: int, minute: int) -> str:
    hours = "una" if hour == 1 else _NUMERALS.cardinal(hour)
    return f"{hours} e {_NUMERALS.cardinal(minute)}" if minute else hours if hour else "mezzanotte"


_CALENDAR: Final = Calendar(
    months=(
        "gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre", "ottobre",
        "novembre", "dicembre",
    ),
    short_months={
        "gen": "gennaio", "genn": "gennaio", "feb": "febbraio", "febbr": "febbraio", "mar": "marzo", "apr": "aprile",
        "mag": "maggio", "giu": "giugno", "lug": "luglio", "ago": "agosto", "set": "settembre", "sett": "settembre",
        "ott": "ottobre", "nov": "novembre", "dic": "dicembre",
    },
    date="{day} {month} {year}",
    time=_time,
    seconds="{time} e {seconds} secondi",
    day=lambda day: "primo" if day == 1 else _NUMERALS.cardinal(day),
    clock=r"(?P<h>[01]?\d|2[0-4])(?::|(?:(?<=[lr]e \d)|(?<=[lr]e \d\d))\.)(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d))?"
    r"(?=$|[^\d€$%])",
    halves={r"a\.? ?m\b\.?": "di mattina", r"p\.? ?m\b\.?": "del pomeriggio"},
)  # fmt: skip
_CENTS: Final = Noun("centesimo", "centesimi")
_EURO: Final = Currency(Noun("euro", "euro"), _CENTS)
_DOLLAR: Final = Currency(Noun("dollaro", "dollari"), _CENTS)
_POUND: Final = Currency(Noun("sterlina", "sterline", "f"), Noun("penny", "penny"))
_YEN: Final = Currency(Noun("yen", "yen"))
_CURRENCIES: Final = {
    "€": _EURO, "EUR": _EURO, "$": _DOLLAR, "US$": _DOLLAR, "USD": _DOLLAR, "£": _POUND, "GBP": _POUND, "¥": _YEN,
    "JPY": _YEN, "CHF": Currency(Noun("franco svizzero", "franchi svizzeri"), _CENTS), "¢": Currency(_CENTS),
    "₹": Currency(Noun("rupia", "rupie", "f")),
}  # fmt: skip
_UNITS: Final = {
    **nouns("""
    km/h, chilometro orario, chilometri orari
    m/s, metro al secondo, metri al secondo
    km, chilometro, chilometri
    m, metro, metri
    dm, decimetro, decimetri
    cm, centimetro, centimetri
    mm, millimetro, millimetri
    µm, micrometro, micrometri
    nm, nanometro, nanometri
    kg, chilo, chili
    hg, etto, etti
    g, grammo, grammi
    gr, grammo, grammi
    mg, milligrammo, milligrammi
    µg, microgrammo, microgrammi
    q, quintale, quintali
    l, litro, litri
    L, litro, litri
    dl, decilitro, decilitri
    cl, centilitro, centilitri
    ml, millilitro, millilitri
    mL, millilitro, millilitri
    km², chilometro quadrato, chilometri quadrati
    m², metro quadrato, metri quadrati
    mq, metro quadrato, metri quadrati
    cm², centimetro quadrato, centimetri quadrati
    m³, metro cubo, metri cubi
    mc, metro cubo, metri cubi
    cm³, centimetro cubo, centimetri cubi
    cc, centimetro cubo, centimetri cubi
    ha, ettaro, ettari
    min, minuto, minuti
    s, secondo, secondi
    sec, secondo, secondi
    ms, millisecondo, millisecondi
    Hz, hertz, hertz
    kHz, chilohertz, chilohertz
    MHz, megahertz, megahertz
    GHz, gigahertz, gigahertz
    W, watt, watt
    kW, chilowatt, chilowatt
    MW, megawatt, megawatt
    kWh, chilowattora, chilowattora
    V, volt, volt
    mA, milliampere, milliampere
    dB, decibel, decibel
    J, joule, joule
    kJ, chilojoule, chilojoule
    N, newton, newton
    Pa, pascal, pascal
    hPa, ettopascal, ettopascal
    kB, chilobyte, chilobyte
    KB, chilobyte, chilobyte
    MB, megabyte, megabyte
    GB, gigabyte, gigabyte
    TB, terabyte, terabyte
    Mb, megabit, megabit
    Gb, gigabit, gigabit
    Mbps, megabit al secondo, megabit al secondo
    px, pixel, pixel
    CV, cavallo, cavalli
    rpm, giro al minuto, giri al minuto
    °C, grado Celsius, gradi Celsius
    °F, grado Fahrenheit, gradi Fahrenheit
    °, grado, gradi
    """),
    **nouns("""
    h, ora, ore
    t, tonnellata, tonnellate
    kcal, chilocaloria, chilocalorie
    cal, caloria, calorie
    """, "f"),
}  # fmt: skip
_SYMBOLS: Final = {
    "&": "e", "+": "più", "=": "uguale", "@": "chiocciola", "#": "cancelletto", "%": "per cento", "‰": "per mille",
    "°": "gradi", "µ": "micro", "\\": "barra rovesciata", "<": "minore di", ">": "maggiore di",
    "<=": "minore o uguale a", ">=": "maggiore o uguale a", "!=": "diverso da", "==": "uguale", "->": "freccia",
    "<-": "freccia", "=>": "freccia", "→": "freccia a destra", "←": "freccia a sinistra", "_": "", "*": "", "~": "",
    "^": "elevato a", "/": "barra", '"': "", "|": ",", "(": ",", ")": ",", "[": ",", "]": ",", "{": ",", "}": ",",
    ";": ",", ":": ",", "-": "", "$": "dollari", "£": "sterline", "€": "euro", "¥": "yen", "₹": "rupie",
    "¢": "centesimi", "×": "per", "÷": "diviso", "±": "più o meno", "≈": "circa", "≠": "diverso da",
    "≤": "minore o uguale a", "≥": "maggiore o uguale a", "√": "radice quadrata di", "∞": "infinito", "§": "paragrafo",
    "©": "copyright", "®": "marchio registrato", "™": "marchio registrato",
}  # fmt: skip
_ADDRESS: Final = {
    ".": "punto", "/": "barra", "@": "chiocciola", "-": "trattino", "_": "trattino basso", ":": "due punti",
    "?": "punto interrogativo", "=": "uguale", "&": "e", "#": "cancelletto", "%": "per cento", "~": "tilde",
    "+": "più", "$": "dollaro", "*": "asterisco", "!": "punto esclamativo", ",": "virgola", ";": "punto e virgola",
    "\\": "barra rovesciata", "|": "barra verticale", "^": "accento circonflesso", "'": "apostrofo",
    '"': "virgolette", "(": "parentesi aperta", ")": "parentesi chiusa", "<": "minore", ">": "maggiore",
    "[": "parentesi quadra aperta", "]": "parentesi quadra chiusa", "{": "graffa aperta", "}": "graffa chiusa",
    "`": "accento grave", "www": "vu vu vu", "html": "H T M L", "pdf": "P D F",
}  # fmt: skip
_NAMED: Final = (
    "piano|posto|classificato|giorno|anno|mese|secolo|capitolo|grado|anniversario|compleanno|premio|livello|turno|round"
    "|gennaio|febbraio|marzo|aprile|maggio|giugno|luglio|agosto|settembre|ottobre|novembre|dicembre|piani|tempo|gol|trimestre|semestre|tentativo|turno"
)
_NAMED_F: Final = "edizione|volta|classe|fila|giornata|guerra|tappa|puntata|stagione|elementare|media|lezione|divisione"


def _day(match: Match) -> str:
    """`il 12/11` as the day that it is."""
    day, month = int(match[2]), int(match[3])
    if not (1 <= day <= 31 and 1 <= month <= len(_CALENDAR.months)):
        return match[0]
    return f"{match[1]}{'primo' if day == 1 else _NUMERALS.cardinal(day)} {_CALENDAR.months[month - 1]}"


def _power(match: Match) -> str:
    """`x²`; that of a unit is read with it."""
    if re.search(r"\d\s?\w{1,2}$", match.string[: match.start()]):
        return match[0]
    return "al quadrato" if match[1] == "2" else "al cubo"


ITALIAN: Final = Language(
    tag="it",
    name="Italian",
    letters="àèéìíîòóùú",
    letter_names={
        "a": "a", "b": "bi", "c": "ci", "d": "di", "e": "e", "f": "effe", "g": "gi", "h": "acca", "i": "i",
        "j": "i lunga", "k": "cappa", "l": "elle", "m": "emme", "n": "enne", "o": "o", "p": "pi", "q": "cu",
        "r": "erre", "s": "esse", "t": "ti", "u": "u", "v": "vu", "w": "doppia vu", "x": "ics", "y": "ipsilon",
        "z": "zeta",
    },
    one_letter_words="aeioèàòì",
    read=read,
    sounds=words("a e ɛ i o ɔ u B CH D F G JH K L M N NG P S SH T V W Y Z ZH dz r ts ɲ ʎ"),
    numbers=_NUMBERS,
    calendar=_CALENDAR,
    gender=_gender,
    ordinal_marks={
        rf"\.?[ºo]|\.?mo|°(?=\s(?i:{_NAMED})\b)": "m", rf"\.?ª|(?:\.?a|°)(?=\s(?i:{_NAMED_F})\b)": "f",
    },
    currencies=_CURRENCIES,
    money="{whole} e {number}",
    units=_UNITS,
    per="per",
    symbols=_SYMBOLS,
    address=_ADDRESS,
    titles=TITLES,
    abbreviations=ABBREVIATIONS,
    said=words(
        """ONU PIL RAM NATO UNESCO UNICEF AIDS NASA FIAT ALITALIA RAI IVA IMU TARI TIM ENEL ENI CONI SIAE INPS INAIL ASL
        TAR TAV FIFA UEFA COVID ISTAT IKEA SPID PIN PEC CAP SIM PUK BOT OVNI UFO BANCOMAT LASER RADAR NO SÌ IL LO LA
        LE GLI I UN UNA DI DA IN CON SU PER TRA FRA E O MA SE CHE NON MI TI CI VI SI NE HO HA HAI È IO TU LUI
        LEI NOI VOI MIO TUO SUO PIÙ GIÀ QUI QUA LÀ LÌ MAI POI ORA BEN TRE DUE SEI OTTO PST AL DEL DAL NEL SUL
        VIA STOP FINE BAR GAS SOS"""
    ),
    spelled=words("USA UE ADSL CGIL CISL"),
    pronounceable=r"(?:[^aeiouàèéìòù]{0,2}[aeiouàèéìòù]{1,3})+[^aeiouàèéìòù]{0,2}",
    romans={
        "secolo|capitolo|canto|atto|piano|libro|titolo|articolo": "m",
        "parte|scena|sezione|classe|guerra|edizione": "f",
        "fase|tipo|volume|tomo|livello|gruppo": "cardinal",
    },
    roman_marks={
        r"[ºo]|(?=\s(?i:secolo|capitolo|canto|atto|piano|libro|millennio|municipio|congresso)\b)": "m",
        r"ª|(?=\s(?i:edizione|guerra|parte|scena|sezione|classe|olimpiade|giornata|legislatura|repubblica)\b)": "f",
    },
    regnal=99,
    conjunctions=words("e ed o ma che perché quando dove come anche mentre se però quindi oppure né"),
    telephone=r"0\d{1,3}[ ./-]\d{5,8}|0\d{1,3}[ .-]\d{2,4}(?:[ .-]\d{2,4}){1,2}|3\d\d[ ./-]?\d{3}[ .-]?\d{3,4}"
    r"|3\d\d[ .-]\d\d[ .-]\d\d[ .-]\d{3}",
    ranges="a",
    times="per",
    rules=(
        number_rule("m", r"\b[Mm]in\. ?(?=\d)(?<!\d min\.)(?<!\d min\. )", lambda _: "minimo"),
        rule("m", r"(?<=\d )min\.(?= [a-z])", lambda _: "min"),
        number_rule("k", r"\bkm (?=\d)", lambda _: "chilometro"),
        number_rule("h", r"(?<![\w.,])1 ?h\b", lambda _: "un'ora"),
        number_rule("e", r"\b(\d\d)enn([ei])\b", lambda m: f"{_NUMERALS.cardinal(int(m[1]))[:-1]}enn{m[2]}"),
        number_rule("^", r"\^([23])(?!\w)", _power),
        number_rule(
            "/", r"\b((?:[dn]?[ae]l|il|entro|lun|mar|mer|gio|ven|sab|dom) )(\d{1,2})/(\d{1,2})(?![\d/]|\sd[ie])", _day
        ),
        number_rule(
            "°",
            r"(?:(?<=\b[Ii]l )|(?<=\b[ads][aeu]l )|(?<=[aio]t[aeio] ))(\d{1,3})°(?! ?[CF]\b|\s?\d)",
            lambda m: _NUMERALS.ordinal(int(m[1])),
        ),
        number_rule("'", r"\b((?:da|a)?ll?')1(?![\w:]|[.,]\d)", lambda m: f"{m[1]}una"),
        number_rule("", r"(?<![\w.,])1 (?=(?:h|[aeiou])\w*a\b)", lambda _: "un'"),
        number_rule("", r"\b(anni) '(\d\d)\b", lambda m: f"{m[1]} {_NUMERALS.cardinal(int(m[2]))}"),
    ),
)  # fmt: skip
