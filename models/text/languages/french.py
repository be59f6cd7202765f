"""French as it is read in France."""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.languages.french_sounds import read
from ancestral.models.text.languages.french_words import LETTER_NAMES
from ancestral.models.text.languages.language import Calendar, Currency, Gender, Language, Noun, Numbers, nouns, words
from ancestral.models.text.languages.numerals import Numerals
from ancestral.models.text.rules import number_rule

_VOWELS: Final = "aàâäeéèêëiîïoôöuùûüyhœæ"
_NOT_COUNTED: Final = words(
    """à au aux avec ce ces cette chez comme contre d dans de depuis des dont du elle elles en entre est et il ils je la
    le les leur mais moins ne ni non nous on ou où par pas pendant plus pour puis qu que qui sans si son sont sous sur
    tu un une vers vous y a ont était"""
)
_FEMININE: Final = re.compile(r".*(?:[^é]e|ée|[ts]ion|xion|té|tié|son|eur)s?")
_MASCULINE: Final = re.compile(
    r".*(?:age|isme|iste|ège|ème|cle|gramme|graphe|scope|phone|logue|mètre|litre|aire|oire|être|entre|astre|ice|ble|uple"
    r"|ige|iège|ône|ôme|arbre|ombre|chiffre|membre|titre|livre|groupe|verre|homme|élève|mille|type|texte|vote|code|crime"
    r"|doute|monde|reste|stade|signe|style|timbre|arbitre|ministre|poste|acte|geste|match|comité|côté|été|traité|député"
    r"|poisson|garçon|buisson|moteur|acteur|auteur|facteur|secteur|joueur|ateur|iteur|docteur|directeur|voyageur)s?"
)
_FEMININE_ALL_THE_SAME: Final = words(
    """page pages image images plage plages cage cages affaire affaires paire paires histoire histoires victoire
    victoires poire poires mémoire foire police notice fenêtre fenêtres table tables tige tiges lettre lettres chambre
    chambres ombre piste pistes liste listes"""
)


def _gender(word: str) -> Gender | None:
    if word in _NOT_COUNTED:
        return None
    feminine = _FEMININE.fullmatch(word) and not _MASCULINE.fullmatch(word)
    return "f" if feminine or word in _FEMININE_ALL_THE_SAME else "m"


_NUMBERS: Final = Numbers(
    locale="fr",
    minus="moins",
    decimals={",": "virgule", ".": "point"},
    thousands=" .",
    singular=lambda number: abs(number) < 2,
    of_millions=lambda noun: f"d'{noun}" if noun[0] in _VOWELS else f"de {noun}",
    millions="millions?|milliards?|billions?",
    denominators={
        2: ("demi", "demis"), 3: ("tiers", "tiers"), 4: ("quart", "quarts"), 5: ("cinquième", "cinquièmes"),
        6: ("sixième", "sixièmes"), 8: ("huitième", "huitièmes"), 10: ("dixième", "dixièmes"),
        100: ("centième", "centièmes"),
    },
    half={"m": "un demi", "f": "une demi"},
    over="sur",
)  # fmt: skip
_NUMERALS: Final = Numerals(_NUMBERS)


def _time(hour: int, minute: int) -> str:
    hours = f"{_NUMERALS.cardinal(hour, 'f')} {'heure' if hour < 2 else 'heures'}"
    return f"{hours} {_NUMERALS.cardinal(minute, 'f')}" if minute else hours


def _day(day: int) -> str:
    return "premier" if day == 1 else _NUMERALS.cardinal(day)


_CALENDAR: Final = Calendar(
    months=(
        "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
        "décembre",
    ),
    short_months={
        "janv": "janvier", "févr": "février", "fév": "février", "avr": "avril", "juil": "juillet", "sept": "septembre",
        "oct": "octobre", "nov": "novembre", "déc": "décembre",
    },
    date="{day} {month} {year}",
    time=_time,
    seconds="{time} minutes {seconds} secondes",
    day=_day,
    clock=(
        r"(?P<h>[01]?\d|2[0-4])(?:(?::|\s?[hH]\s?)(?P<m>[0-5]\d)(?![\d:])(?:\s?mi?n\b)?(?:(?<=n)\s?(?P<s>[0-5]\d)\s?s\b)?"
        r"|\s?[hH])"
    ),
)  # fmt: skip
_DAYS: Final = {
    "lun": "lundi", "mar": "mardi", "mer": "mercredi", "jeu": "jeudi", "ven": "vendredi", "sam": "samedi",
    "dim": "dimanche",
}  # fmt: skip


_CENTS: Final = Noun("centime", "centimes")
_EURO: Final = Currency(Noun("euro", "euros"), _CENTS)
_DOLLAR: Final = Currency(Noun("dollar", "dollars"), Noun("cent", "cents"))
_POUND: Final = Currency(Noun("livre", "livres", "f"), Noun("penny", "pence"))
_YEN: Final = Currency(Noun("yen", "yens"))
_FRANC: Final = Currency(Noun("franc suisse", "francs suisses"), _CENTS)
_CURRENCIES: Final = {
    "€": _EURO, "EUR": _EURO, "$": _DOLLAR, "US$": _DOLLAR, "USD": _DOLLAR, "£": _POUND, "GBP": _POUND, "¥": _YEN,
    "JPY": _YEN, "CHF": _FRANC, "F": Currency(Noun("franc", "francs"), _CENTS),
    "₹": Currency(Noun("roupie", "roupies", "f")),
    "k€": Currency(Noun("mille euros", "mille euros")), "M€": Currency(Noun("million d'euros", "millions d'euros")),
    "Md€": Currency(Noun("milliard d'euros", "milliards d'euros")), "¢": Currency(Noun("cent", "cents")),
    "CA$": Currency(Noun("dollar canadien", "dollars canadiens"), Noun("cent", "cents")),
}  # fmt: skip
_UNITS: Final = {
    **nouns("""
    km/h, kilomètre heure, kilomètres heure
    km, kilomètre, kilomètres
    m, mètre, mètres
    dm, décimètre, décimètres
    cm, centimètre, centimètres
    mm, millimètre, millimètres
    µm, micromètre, micromètres
    nm, nanomètre, nanomètres
    kg, kilo, kilos
    g, gramme, grammes
    mg, milligramme, milligrammes
    µg, microgramme, microgrammes
    l, litre, litres
    L, litre, litres
    dl, décilitre, décilitres
    cl, centilitre, centilitres
    ml, millilitre, millilitres
    mL, millilitre, millilitres
    km², kilomètre carré, kilomètres carrés
    m², mètre carré, mètres carrés
    cm², centimètre carré, centimètres carrés
    m³, mètre cube, mètres cubes
    cm³, centimètre cube, centimètres cubes
    ha, hectare, hectares
    j, jour, jours
    Hz, hertz, hertz
    kHz, kilohertz, kilohertz
    MHz, mégahertz, mégahertz
    GHz, gigahertz, gigahertz
    W, watt, watts
    kW, kilowatt, kilowatts
    MW, mégawatt, mégawatts
    GW, gigawatt, gigawatts
    kWh, kilowattheure, kilowattheures
    V, volt, volts
    A, ampère, ampères
    mA, milliampère, milliampères
    mAh, milliampère heure, milliampères heure
    dB, décibel, décibels
    J, joule, joules
    kJ, kilojoule, kilojoules
    N, newton, newtons
    Pa, pascal, pascals
    hPa, hectopascal, hectopascals
    kPa, kilopascal, kilopascals
    o, octet, octets
    Ko, kilooctet, kilooctets
    ko, kilooctet, kilooctets
    Mo, mégaoctet, mégaoctets
    Go, gigaoctet, gigaoctets
    To, téraoctet, téraoctets
    Mb, mégabit, mégabits
    Gb, gigabit, gigabits
    Mbit/s, mégabit par seconde, mégabits par seconde
    px, pixel, pixels
    ch, cheval, chevaux
    °C, degré Celsius, degrés Celsius
    °F, degré Fahrenheit, degrés Fahrenheit
    °, degré, degrés
    """),
    **nouns("""
    h, heure, heures
    min, minute, minutes
    mn, minute, minutes
    s, seconde, secondes
    sec, seconde, secondes
    ms, milliseconde, millisecondes
    t, tonne, tonnes
    cal, calorie, calories
    kcal, kilocalorie, kilocalories
    """, "f"),
}  # fmt: skip
_SYMBOLS: Final = {
    "&": "et", "+": "plus", "=": "égale", "@": "arobase", "#": "dièse", "%": "pour cent", "‰": "pour mille",
    "°": "degrés", "µ": "micro", "\\": "barre oblique inverse", "<": "inférieur à", ">": "supérieur à",
    "<=": "inférieur ou égal à", ">=": "supérieur ou égal à", "!=": "différent de", "==": "égale", "->": "flèche",
    "<-": "flèche", "=>": "flèche", "→": "flèche vers la droite", "←": "flèche vers la gauche",
    "_": "", "*": "", "~": "",
    "^": "puissance", "/": "slash", '"': "", "|": ",", "(": ",", ")": ",", "[": ",", "]": ",", "{": ",", "}": ",",
    ";": ",", ":": ",", "-": "", "$": "dollars", "£": "livres", "€": "euros", "¥": "yens", "₹": "roupies",
    "¢": "cents",
    "×": "fois", "÷": "divisé par", "±": "plus ou moins", "≈": "environ égal à", "≠": "différent de",
    "≤": "inférieur ou égal à", "≥": "supérieur ou égal à", "√": "racine carrée de", "∞": "infini", "§": "paragraphe",
    "©": "copyright", "®": "marque déposée", "™": "marque déposée",
}  # fmt: skip
_ADDRESS: Final = {
    ".": "point", "/": "slash", "@": "arobase", "-": "tiret", "_": "tiret bas", ":": "deux points",
    "?": "point d'interrogation", "=": "égale", "&": "et", "#": "dièse", "%": "pour cent", "~": "tilde", "+": "plus",
    "$": "dollar", "*": "astérisque", "!": "point d'exclamation", ",": "virgule", ";": "point virgule",
    "\\": "barre oblique inverse", "|": "barre verticale", "^": "accent circonflexe", "'": "apostrophe",
    '"': "guillemets", "(": "parenthèse ouvrante", ")": "parenthèse fermante", "<": "inférieur", ">": "supérieur",
    "[": "crochet ouvrant", "]": "crochet fermant", "{": "accolade ouvrante", "}": "accolade fermante",
    "`": "accent grave", "www": "trois double vé", "html": "H T M L", "pdf": "P D F",
}  # fmt: skip
_TITLES: Final = {
    "M.": "monsieur", "MM.": "messieurs", "Mme": "madame", "Mmes": "mesdames", "Mlle": "mademoiselle",
    "Mlles": "mesdemoiselles", "Dr": "docteur", "Dr.": "docteur", "Drs": "docteurs", "Pr": "professeur",
    "St": "saint", "Ste": "sainte", "n°": "numéro", "p.": "page", "pp.": "pages",
    "chap.": "chapitre", "vol.": "volume", "fig.": "figure", "art.": "article", "al.": "alinéa", "éd.": "édition",
    "av.": "avenue", "bd": "boulevard", "bld": "boulevard", "boul.": "boulevard", "bvd": "boulevard", "pl.": "place",
    "rte": "route", "niv.": "niveau", "imp.": "impasse", "tél.": "téléphone", "env.": "environ", "pers.": "personnes",
    "c.-à-d.": "c'est-à-dire",
    "p. ex.": "par exemple", "p.ex.": "par exemple", "ex.": "exemple", "cf.": "confer", "cf": "confer",
    "vs": "contre", "max.": "maximum", "dép.": "département", "apt.": "appartement",
    "appt.": "appartement", "bât.": "bâtiment", "réf.": "référence",
}  # fmt: skip
_ABBREVIATIONS: Final = {
    "etc.": "etcétéra", "av. J.-C.": "avant Jésus-Christ", "apr. J.-C.": "après Jésus-Christ", "J.-C.": "Jésus-Christ",
    "N.B.": "nota bene", "P.-S.": "post-scriptum", "R.-V.": "rendez-vous", "RDV": "rendez-vous", "rdv": "rendez-vous",
    "SVP": "s'il vous plaît", "svp": "s'il vous plaît", "stp": "s'il te plaît", "STP": "s'il te plaît",
    "bcp": "beaucoup", "qqn": "quelqu'un", "qqch": "quelque chose", "càd": "c'est-à-dire", "Cie": "compagnie",
}  # fmt: skip
FRENCH: Final = Language(
    tag="fr",
    name="French",
    letters="àâäæçéèêëîïôöœùûüÿ",
    letter_names=LETTER_NAMES,
    one_letter_words="aàyô",
    joints="'-",
    read=read,
    sounds=words(
        "a e ɛ i o ɔ u y ø œ ə ɑ̃ ɛ̃ ɔ̃ œ̃ B D F G K L M N NG P S SH T V W Y Z ZH ɥ ɲ ʁ"
    ),
    numbers=_NUMBERS,
    calendar=_CALENDAR,
    gender=_gender,
    ordinal_marks={"er": "m", "re|ère|ere": "f", "e|è|ème|eme|ième": "m"},
    currencies=_CURRENCIES,
    money="{whole} {number}",
    units=_UNITS,
    per="par",
    symbols=_SYMBOLS,
    address=_ADDRESS,
    titles=_TITLES,
    abbreviations=_ABBREVIATIONS,
    said=words(
        """CAC ONU OTAN UNESCO UNICEF SIDA NASA OVNI OVNIS FIFA UEFA SMIC PACS INSEE CNIL EHPAD COVID ENA CROUS FNAC
        LIDL IKEA AI URSSAF ASSEDIC CAF RADAR LASER OPEP NON OUI LE LA LES UN UNE DE DES DU EN ET EST ON OU OÙ SUR PAR
        POUR AVEC QUI QUE CE CES TRÈS PAS NE JE TU IL ELLE NOUS VOUS ILS À AU AUX SA SON SES MON MA MES TOUT BON FIN MAI
        STOP CHUT VU ICI LÀ ÇA SI SE ME TE Y"""
    ),
    spelled=words("USA RATP ADSL"),
    pronounceable=r"(?:[^aeiouyàâéèêëîïôûù]{0,2}[aeiouyàâéèêëîïôûù]{1,3})+[^aeiouyàâéèêëîïôûù]{0,2}",
    romans={r"chapitres?|tomes?|volume|titre|actes?|scène|phase|type|groupe|partie|article|niveau": "cardinal"},
    roman_marks={"er": "m", "re|ère": "f", "e|ème": "m"},
    regnal=0,
    conjunctions=words("et ou mais que qui car donc parce lorsque quand où dont puis si comme pendant alors"),
    telephone=r"0\d(?:[ .-]?\d\d){4}",
    telephone_by_groups=True,
    ranges="à",
    times="fois",
    rules=(
        number_rule("m", r"(?<![\w.,])(\d)m(\d\d)\b", lambda m: f"{m[1]} m {_NUMERALS.whole(m[2])}"),
        number_rule("d", r"(?<![\w.,])2n?de(?!\w)", lambda _: "seconde"),
        number_rule("d", r"(?<![\w.,])2n?d(?!\w)", lambda _: "second"),
        number_rule(".", rf"\b({'|'.join(_DAYS)})\.(?= \d)", lambda m: _DAYS[m[1].lower()], re.IGNORECASE),
        number_rule("x×", r"(?<=m)\s?[x×]\s?(?=\d)", lambda _: "par"),
    ),
)  # fmt: skip
