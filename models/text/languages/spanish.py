"""Spanish as it is read in Spain."""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.languages.language import Calendar, Currency, Gender, Language, Noun, Numbers, nouns, words
from ancestral.models.text.languages.numerals import Numerals
from ancestral.models.text.languages.spanish_sounds import read
from ancestral.models.text.rules import Match, number_rule, rule

_MASCULINE_IN_A: Final = words(
    """día días mapa mapas problema problemas programa programas sistema sistemas tema temas idioma idiomas clima climas
    planeta planetas poema poemas diploma diplomas pijama pijamas sofá sofás cura curas guía guías puma pumas"""
)
_FEMININE: Final = re.compile(
    r"(?!.*(?:(?<!v)ist|poet|atlet|dálmat)as?$).*(?:as?|[cst]i[oó]n|[cst]iones|[dt]ad|[dt]ades|tud|tudes|noches?|tardes?|veces|flores?|calles?|llaves?|manos?"
    r"|clases?|fotos?|motos?|mujeres?|leyes|partes?|gentes?|imágenes|imagen|frases?|sangre|naves?|torres?|luces|cruces"
    r"|voces|redes|sedes|isabel|serpientes?|carnes?|claves?|bases?|fases?|crisis|tesis|sesiones|series?)"
)
_NOT_COUNTED: Final = words(
    """a al ante bajo con contra de del desde e el en entre es era eran fue fueron ha han hasta hay la las le les los
    más menos ni no o para pero por que se según si sin sobre son su sus tras u y ya entonces como está están será"""
)


def _gender(word: str) -> Gender | None:
    if word in _NOT_COUNTED:
        return None
    return "f" if _FEMININE.fullmatch(word) and word not in _MASCULINE_IN_A else "m"


_NUMBERS: Final = Numbers(
    locale="es",
    minus="menos",
    decimals={",": "coma", ".": "punto"},
    thousands=". ",
    of_millions=lambda noun: f"de {noun}",
    millions="mill(?:ón|ones)|bill(?:ón|ones)",
    denominators={
        2: ("medio", "medios"), 3: ("tercio", "tercios"), 4: ("cuarto", "cuartos"), 5: ("quinto", "quintos"),
        6: ("sexto", "sextos"), 7: ("séptimo", "séptimos"), 8: ("octavo", "octavos"), 9: ("noveno", "novenos"),
        10: ("décimo", "décimos"), 100: ("centésimo", "centésimos"),
    },
    half={"m": "medio", "f": "media"},
    plural=r"s$|^mil$",
    over="sobre",
)  # fmt: skip
_NUMERALS: Final = Numerals(_NUMBERS)
_QUARTERS: Final = {0: "", 15: " y cuarto", 30: " y media"}


def _time(hour: int, minute: int) -> str:
    hours = _NUMERALS.cardinal(hour, "f") if hour % 10 == 1 else _NUMERALS.cardinal(hour)
    if hour > 12 or hour == 0:
        return f"{hours} {_NUMERALS.cardinal(minute)}" if minute else f"{hours} horas"
    return hours + _QUARTERS.get(minute, f" y {_NUMERALS.cardinal(minute)}")


_CALENDAR: Final = Calendar(
    months=(
        "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre",
        "diciembre",
    ),
    short_months={
        "ene": "enero", "feb": "febrero", "mar": "marzo", "abr": "abril", "jun": "junio", "jul": "julio",
        "ago": "agosto", "sept": "septiembre", "sep": "septiembre", "oct": "octubre", "nov": "noviembre",
        "dic": "diciembre",
    },
    date="{day} de {month} de {year}",
    time=_time,
    seconds="{time} y {seconds} segundos",
    of="de",
    clock=r"(?P<h>[01]?\d|2[0-4])[:.](?P<m>[0-5]\d)(?::(?P<s>[0-5]\d))?(?:\s?h(?:rs|oras)?\b\.?)?(?=$|[^\d€$%])",
    halves={r"a\.? ?m\b\.?": "de la mañana", r"p\.? ?m\b\.?": "de la tarde"},
)  # fmt: skip
_CENTS: Final = Noun("céntimo", "céntimos")
_CENTAVOS: Final = Noun("centavo", "centavos")
_EURO: Final = Currency(Noun("euro", "euros"), _CENTS)
_DOLLAR: Final = Currency(Noun("dólar", "dólares"), _CENTAVOS)
_POUND: Final = Currency(Noun("libra", "libras", "f"), Noun("penique", "peniques"))
_YEN: Final = Currency(Noun("yen", "yenes"))
_CURRENCIES: Final = {
    "€": _EURO, "EUR": _EURO, "$": _DOLLAR, "US$": _DOLLAR, "USD": _DOLLAR, "£": _POUND, "GBP": _POUND, "¥": _YEN,
    "JPY": _YEN, "MXN": Currency(Noun("peso mexicano", "pesos mexicanos"), _CENTAVOS),
    "CHF": Currency(Noun("franco suizo", "francos suizos"), _CENTS), "₹": Currency(Noun("rupia", "rupias", "f")),
    "¢": Currency(_CENTAVOS),
}  # fmt: skip


_UNITS: Final = {
    **nouns("""
    km, kilómetro, kilómetros
    m, metro, metros
    dm, decímetro, decímetros
    cm, centímetro, centímetros
    mm, milímetro, milímetros
    µm, micrómetro, micrómetros
    nm, nanómetro, nanómetros
    kg, kilo, kilos
    g, gramo, gramos
    mg, miligramo, miligramos
    µg, microgramo, microgramos
    l, litro, litros
    L, litro, litros
    dl, decilitro, decilitros
    cl, centilitro, centilitros
    ml, mililitro, mililitros
    mL, mililitro, mililitros
    km², kilómetro cuadrado, kilómetros cuadrados
    m², metro cuadrado, metros cuadrados
    cm², centímetro cuadrado, centímetros cuadrados
    m³, metro cúbico, metros cúbicos
    cm³, centímetro cúbico, centímetros cúbicos
    min, minuto, minutos
    s, segundo, segundos
    seg, segundo, segundos
    ms, milisegundo, milisegundos
    Hz, hercio, hercios
    kHz, kilohercio, kilohercios
    MHz, megahercio, megahercios
    GHz, gigahercio, gigahercios
    W, vatio, vatios
    kW, kilovatio, kilovatios
    MW, megavatio, megavatios
    kWh, kilovatio hora, kilovatios hora
    V, voltio, voltios
    mA, miliamperio, miliamperios
    dB, decibelio, decibelios
    J, julio, julios
    kJ, kilojulio, kilojulios
    N, newton, newtons
    kPa, kilopascal, kilopascales
    hPa, hectopascal, hectopascales
    MB, megabyte, megabytes
    KB, kilobyte, kilobytes
    kB, kilobyte, kilobytes
    GB, gigabyte, gigabytes
    TB, terabyte, terabytes
    Mb, megabit, megabits
    Gb, gigabit, gigabits
    px, píxel, píxeles
    MP, megapíxel, megapíxeles
    Mpx, megapíxel, megapíxeles
    °C, grado Celsius, grados Celsius
    ºC, grado Celsius, grados Celsius
    °F, grado Fahrenheit, grados Fahrenheit
    °, grado, grados
    CV, caballo, caballos
    pie, pie, pies
    """),
    **nouns("""
    h, hora, horas
    hs, hora, horas
    ha, hectárea, hectáreas
    t, tonelada, toneladas
    kcal, kilocaloría, kilocalorías
    cal, caloría, calorías
    pulg, pulgada, pulgadas
    mi, milla, millas
    Mbps, megabits por segundo, megabits por segundo
    rpm, revolución por minuto, revoluciones por minuto
    """, "f"),
}  # fmt: skip
_SYMBOLS: Final = {
    "&": "y", "+": "más", "=": "igual a", "@": "arroba", "#": "almohadilla", "%": "por ciento", "‰": "por mil",
    "°": "grados", "µ": "micro", "\\": "barra invertida", "<": "menor que", ">": "mayor que", "<=": "menor o igual que",
    ">=": "mayor o igual que", "!=": "distinto de", "==": "igual a", "->": "flecha", "<-": "flecha", "=>": "flecha",
    "→": "flecha a la derecha", "←": "flecha a la izquierda", "_": "", "*": "", "~": "", "^": "elevado a", "/": "barra",
    '"': "", "|": ",", "(": ",", ")": ",", "[": ",", "]": ",", "{": ",", "}": ",", ";": ",", ":": ",", "-": "",
    "$": "dólares", "£": "libras", "€": "euros", "¥": "yenes", "₹": "rupias", "¢": "centavos", "×": "por",
    "÷": "dividido por", "±": "más o menos", "≈": "aproximadamente", "≠": "distinto de", "≤": "menor o igual que",
    "≥": "mayor o igual que", "√": "raíz cuadrada de", "∞": "infinito", "§": "sección", "©": "copyright",
    "®": "marca registrada", "™": "marca registrada",
}  # fmt: skip
_ADDRESS: Final = {
    ".": "punto", "/": "barra", "@": "arroba", "-": "guion", "_": "guion bajo", ":": "dos puntos", "?": "interrogación",
    "=": "igual", "&": "y", "#": "almohadilla", "%": "por ciento", "~": "virgulilla", "+": "más", "$": "dólar",
    "*": "asterisco", "!": "exclamación", ",": "coma", ";": "punto y coma", "\\": "barra invertida",
    "|": "barra vertical", "^": "circunflejo", "'": "apóstrofo", '"': "comillas", "(": "abrir paréntesis",
    ")": "cerrar paréntesis",
    "<": "menor que", ">": "mayor que", "[": "abrir corchete", "]": "cerrar corchete", "{": "abrir llave",
    "}": "cerrar llave", "`": "acento grave", "www": "triple uve doble", "html": "H T M L", "pdf": "P D F", "id": "I D",
}  # fmt: skip
_TITLES: Final = {
    "Sr.": "señor", "Sra.": "señora", "Srta.": "señorita", "Sres.": "señores", "Sras.": "señoras", "Dr.": "doctor",
    "Dra.": "doctora", "D.": "don", "Dña.": "doña", "Prof.": "profesor", "Profa.": "profesora", "Lic.": "licenciado",
    "Ing.": "ingeniero", "Arq.": "arquitecto", "Gral.": "general", "Cnel.": "coronel",
    "Sto.": "santo", "Sta.": "santa", "Excmo.": "excelentísimo", "Excma.": "excelentísima", "Ud.": "usted",
    "Uds.": "ustedes", "Vd.": "usted", "Vds.": "ustedes", "Avda.": "avenida", "Av.": "avenida", "C/": "calle",
    "c/": "calle", "s/n": "sin número",
    "Pza.": "plaza", "Pl.": "plaza", "P.º": "paseo", "n.º": "número", "nº": "número", "núm.": "número",
    "nros.": "números", "pág.": "página", "págs.": "páginas", "cap.": "capítulo", "art.": "artículo", "vol.": "volumen",
    "fig.": "figura", "tel.": "teléfono", "tfno.": "teléfono", "aprox.": "aproximadamente", "p. ej.": "por ejemplo",
    "vs.": "contra", "ref.": "referencia",
    "máx.": "máximo", "mín.": "mínimo", "dpto.": "departamento", "c.": "calle", "cda.": "cucharada",
    "cdas.": "cucharadas", "cdta.": "cucharadita", "cdtas.": "cucharaditas", "lun.": "lunes", "mié.": "miércoles",
    "jue.": "jueves", "vie.": "viernes", "sáb.": "sábado", "dom.": "domingo", "Atte.": "atentamente",
    "S. M.": "su majestad", "SS. MM.": "sus majestades", "S. A. R.": "su alteza real",
}  # fmt: skip
_ABBREVIATIONS: Final = {
    "etc.": "etcétera", "a. C.": "antes de Cristo", "d. C.": "después de Cristo", "a. de C.": "antes de Cristo",
    "d. de C.": "después de Cristo", "EE. UU.": "Estados Unidos", "EE UU": "Estados Unidos",
    "FF. AA.": "Fuerzas Armadas", "JJ. OO.": "Juegos Olímpicos", "RR. HH.": "recursos humanos",
    "CC. OO.": "Comisiones Obreras", "S. A.": "sociedad anónima", "S. L.": "sociedad limitada",
    "Cía.": "compañía", "q. e. p. d.": "que en paz descanse",
    "P. D.": "posdata", "izq.": "izquierda", "dcha.": "derecha", "s. f.": "sin fecha", "i. e.": "es decir",
    "admón.": "administración", "ej.": "ejemplo", "tb.": "también", "km/h": "kilómetros por hora",
    "xq": "porque", "tq": "te quiero", "q": "que", "tb": "también", "xfa": "por favor", "bss": "besos",
    "dnd": "donde", "L-V": "lunes a viernes", "L-S": "lunes a sábado", "L-D": "lunes a domingo",
}  # fmt: skip


def _inches(match: Match) -> str:
    """Inches, unless a quotation ends there."""
    quoted = match.string.count('"', 0, match.start()) % 2
    return match[0] if quoted else _NUMERALS.counted(match[1], Noun("pulgada", "pulgadas", "f"))


SPANISH: Final = Language(
    tag="es",
    name="Spanish",
    letters="áéíóúüñç",
    letter_names={
        "a": "a", "b": "be", "c": "ce", "d": "de", "e": "e", "f": "efe", "g": "ge", "h": "hache", "i": "i", "j": "jota",
        "k": "ka", "l": "ele", "m": "eme", "n": "ene", "ñ": "eñe", "o": "o", "p": "pe", "q": "cu", "r": "erre",
        "s": "ese", "t": "te", "u": "u", "v": "uve", "w": "uve doble", "x": "equis", "y": "ye", "z": "zeta",
    },
    one_letter_words="aeouyáéóú",
    read=read,
    sounds=words("a e i o u B CH D F G K L M N P S T TH W Y x r ɲ ɾ ʎ"),
    numbers=_NUMBERS,
    calendar=_CALENDAR,
    gender=_gender,
    ordinal_marks={
        r"\.?º|\.?o(?=\s[a-záéíóú])": "m", r"\.?ª|\.?a(?=\s[a-záéíóú])": "f", r"\.?(?:mo|vo|no|to|do)": "m",
        r"\.?(?:ma|va|na|ta|da)": "f",
    },
    currencies=_CURRENCIES,
    money="{whole} con {number}",
    units=_UNITS,
    per="por",
    symbols=_SYMBOLS,
    address=_ADDRESS,
    titles=_TITLES,
    abbreviations=_ABBREVIATIONS,
    said=words(
        """ONU OTAN UNESCO UNICEF SIDA NASA OVNI OVNIS RENFE UNED INEM AVE TALGO SEAT PIB IVA ESO PYME PYMES RAE ONCE
        FIFA UEFA NO SÍ SI YA VA LA EL LOS LAS UN UNA DE EN QUE MUY OJO MÁS ES SE LO MI TU SU AL DEL POR CON SIN HOY
        FIN LUZ MAL PAZ SOL MAR REY LEY PIN SIM ZARA PST PSST COVID RADAR TAE NIF CIF IBEX INE ERE ERTE"""
    ),
    spelled=words("ADSL UGT OEA"),
    pronounceable=r"(?:[^aeiouáéíóú]{0,2}[aeiouáéíóú]{1,2})+[^aeiouáéíóú]{0,2}",
    romans={
        r"ss\.": "m siglos",
        r"s\.": "m siglo",
        r"siglos?|capítulos?|tomos?|volumen|título|actos?|libro|canto": "m",
        "fase|tipo|grupo|artículo|nivel|anexo|parte": "cardinal",
    },
    roman_marks={
        r"\.?º|(?=\s(?i:congreso|aniversario|concurso|festival|certamen|encuentro|milenio|premio|torneo|plan)\b)": "m",
        r"\.?ª|(?=\s(?i:república|guerra|edición|dinastía|legislatura|olimpiada|cumbre|jornada|feria|bienal)\b)": "f",
    },
    regnal=10,
    conjunctions=words("y e o u pero que porque cuando donde como aunque mientras si sino pues"),
    telephone=r"[6-9]\d\d[ .-]\d{3}[ .-]\d{3}|[6-9]\d\d[ .-]\d\d[ .-]\d\d[ .-]\d\d|9\d[ .-]\d{3}[ .-]\d\d[ .-]\d\d",
    ranges="a",
    times="por",
    rules=(
        number_rule("er", r"(?<!\w)(?:1\.?er|3\.?er)(?!\w)", lambda m: "primer" if m[0][0] == "1" else "tercer"),
        # "Hace 30º." and "40º de fiebre", but "el 30º aniversario".
        rule("º", r"(\d)\s?º(?!C|\s*(?!de\b(?! \d))[a-záéíóúñ])", lambda m: f"{m[1]}°"),
        number_rule("/", r"(?<![\d/.,])(\d{1,4})/((?:19|20)\d\d)(?![\d/])", lambda m: f"{m[1]} {m[2]}"),
        rule("k", r"(?<!\d )\bkm\.? (?=\d)", lambda _: "kilómetro "),
        number_rule('"', rf"(?<![\"\w.,])({_NUMERALS.pattern})\"(?=[\s.,;)]|$)", _inches),
        rule("pP", r"\b((?:8|9|10|11)(?::\d\d)?)\s?[pP]\.?\s?[mM]\b\.?", lambda m: f"{m[1]} de la noche"),
        # A participle follows: "han", and no hectares.
        number_rule("h", r"(\d+) ha (?=\w+(?:[ts]|ch|d)o\b)", lambda m: f"{_NUMERALS.whole(m[1])} ha"),
    ),
)  # fmt: skip
