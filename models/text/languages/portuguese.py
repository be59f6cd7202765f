"""Portuguese as it is read in Brazil."""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.languages.language import Calendar, Currency, Gender, Language, Noun, Numbers, nouns, words
from ancestral.models.text.languages.numerals import Numerals
from ancestral.models.text.languages.portuguese_sounds import read
from ancestral.models.text.rules import Match, number_rule, rule

_MASCULINE_IN_A: Final = words(
    """dia dias mapa mapas problema problemas programa programas sistema sistemas tema temas idioma idiomas clima
    climas planeta planetas poema poemas diploma diplomas pijama pijamas sofá sofás guia guias atleta atletas"""
)
_FEMININE: Final = re.compile(
    r".*(?:as?|ãs?|[çs]ão|[çs]ões|dades?|tudes?|gens?|gem|noites?|tardes?|vezes|vez|flor|flores|mãos?|mães|mãe|mulher|mulheres|leis?|partes?"
    r"|fotos?|motos?|paredes?|chaves?|luz|luzes|cruz|cruzes|voz|vozes|redes?|sedes?|colher|colheres|cores|cor|fases?|frases?|ordens?|nuvens?"
    r"|árvores?|torres?|crianças?|razões|opiniões|milhas?|séries?|isabel)"
)
_NOT_COUNTED: Final = words(
    """a à às ao aos até com contra da das de desde do dos e é em entre era eram foi foram há já mas mais menos na
    nas não no nos o os ou para pela pelas pelo pelos por que se sem será seu sua são também um uma vai está"""
)


def _gender(word: str) -> Gender | None:
    if word in _NOT_COUNTED:
        return None
    return "f" if _FEMININE.fullmatch(word) and word not in _MASCULINE_IN_A else "m"


_NUMBERS: Final = Numbers(
    locale="pt",
    minus="menos",
    decimals={",": "vírgula", ".": "ponto"},
    thousands=". ",
    singular=lambda number: abs(number) < 2,
    of_millions=lambda noun: f"de {noun}",
    millions="milhão|milhões|bilhão|bilhões|trilhão|trilhões",
    denominators={
        2: ("meio", "meios"), 3: ("terço", "terços"), 4: ("quarto", "quartos"), 5: ("quinto", "quintos"),
        6: ("sexto", "sextos"), 7: ("sétimo", "sétimos"), 8: ("oitavo", "oitavos"), 9: ("nono", "nonos"),
        10: ("décimo", "décimos"), 100: ("centésimo", "centésimos"),
    },
    half={"m": "meio", "f": "meia"},
    plural=r"s$|^mil$",
    over="sobre",
)  # fmt: skip
_NUMERALS: Final = Numerals(_NUMBERS)


def _time(hour: int, minute: int) -> str:
    hours = _NUMERALS.cardinal(hour, "f")
    if minute:
        return f"{hours} e {_NUMERALS.cardinal(minute)}"
    return f"{hours} {'hora' if hour < 2 else 'horas'}"


_CALENDAR: Final = Calendar(
    months=(
        "janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto", "setembro", "outubro", "novembro",
        "dezembro",
    ),
    short_months={
        "jan": "janeiro", "fev": "fevereiro", "mar": "março", "abr": "abril", "mai": "maio", "jun": "junho",
        "jul": "julho", "ago": "agosto", "set": "setembro", "out": "outubro", "nov": "novembro", "dez": "dezembro",
    },
    date="{day} de {month} de {year}",
    time=_time,
    seconds="{time} e {seconds} segundos",
    day=lambda day: "primeiro" if day == 1 else _NUMERALS.cardinal(day),
    of="de",
    clock=r"(?P<h>[01]?\d|2[0-4])(?:(?::|\s?[hH])(?P<m>[0-5]\d)(?:min\b)?(?::(?P<s>[0-5]\d))?(?:\s?h(?:rs)?\b)?|\s?[hH](?:rs)?\b)",
    halves={r"a\.? ?m\b\.?": "da manhã", r"p\.? ?m\b\.?": "da tarde"},
)  # fmt: skip
_CENTS: Final = Noun("centavo", "centavos")
_REAL: Final = Currency(Noun("real", "reais"), _CENTS)
_EURO: Final = Currency(Noun("euro", "euros"), Noun("cêntimo", "cêntimos"))
_DOLLAR: Final = Currency(Noun("dólar", "dólares"), _CENTS)
_POUND: Final = Currency(Noun("libra", "libras", "f"), Noun("centavo", "centavos"))
_YEN: Final = Currency(Noun("iene", "ienes"))
_CURRENCIES: Final = {
    "R$": _REAL, "BRL": _REAL, "€": _EURO, "EUR": _EURO, "$": _DOLLAR, "US$": _DOLLAR, "USD": _DOLLAR, "£": _POUND,
    "GBP": _POUND, "¥": _YEN, "JPY": _YEN, "CHF": Currency(Noun("franco suíço", "francos suíços"), _CENTS),
    "₹": Currency(Noun("rupia", "rupias", "f")), "¢": Currency(_CENTS),
}  # fmt: skip
_UNITS: Final = {
    **nouns("""
    km/h, quilômetro por hora, quilômetros por hora
    km, quilômetro, quilômetros
    m, metro, metros
    dm, decímetro, decímetros
    cm, centímetro, centímetros
    mm, milímetro, milímetros
    µm, micrômetro, micrômetros
    nm, nanômetro, nanômetros
    kg, quilo, quilos
    g, grama, gramas
    mg, miligrama, miligramas
    µg, micrograma, microgramas
    l, litro, litros
    L, litro, litros
    dl, decilitro, decilitros
    cl, centilitro, centilitros
    ml, mililitro, mililitros
    mL, mililitro, mililitros
    km², quilômetro quadrado, quilômetros quadrados
    m², metro quadrado, metros quadrados
    cm², centímetro quadrado, centímetros quadrados
    m³, metro cúbico, metros cúbicos
    cm³, centímetro cúbico, centímetros cúbicos
    ha, hectare, hectares
    min, minuto, minutos
    s, segundo, segundos
    seg, segundo, segundos
    ms, milissegundo, milissegundos
    Hz, hertz, hertz
    kHz, quilohertz, quilohertz
    MHz, megahertz, megahertz
    GHz, gigahertz, gigahertz
    W, watt, watts
    kW, quilowatt, quilowatts
    MW, megawatt, megawatts
    kWh, quilowatt hora, quilowatts hora
    V, volt, volts
    mA, miliampere, miliamperes
    dB, decibel, decibéis
    J, joule, joules
    kJ, quilojoule, quilojoules
    N, newton, newtons
    Pa, pascal, pascais
    hPa, hectopascal, hectopascais
    kB, quilobyte, quilobytes
    KB, quilobyte, quilobytes
    MB, megabyte, megabytes
    GB, gigabyte, gigabytes
    TB, terabyte, terabytes
    Mb, megabit, megabits
    Gb, gigabit, gigabits
    Mbps, megabit por segundo, megabits por segundo
    px, pixel, pixels
    cv, cavalo, cavalos
    °C, grau Celsius, graus Celsius
    ºC, grau Celsius, graus Celsius
    °F, grau Fahrenheit, graus Fahrenheit
    °, grau, graus
    """),
    **nouns("""
    t, tonelada, toneladas
    kcal, quilocaloria, quilocalorias
    cal, caloria, calorias
    rpm, rotação por minuto, rotações por minuto
    """, "f"),
}  # fmt: skip
_SYMBOLS: Final = {
    "&": "e", "+": "mais", "=": "igual a", "@": "arroba", "#": "cerquilha", "%": "por cento", "‰": "por mil",
    "°": "graus", "µ": "micro", "\\": "barra invertida", "<": "menor que", ">": "maior que",
    "<=": "menor ou igual a", ">=": "maior ou igual a", "!=": "diferente de", "==": "igual a", "->": "seta",
    "<-": "seta", "=>": "seta", "→": "seta para a direita", "←": "seta para a esquerda", "_": "", "*": "", "~": "",
    "^": "elevado a", "/": "barra", '"': "", "|": ",", "(": ",", ")": ",", "[": ",", "]": ",", "{": ",", "}": ",",
    ";": ",", ":": ",", "-": "", "$": "dólares", "£": "libras", "€": "euros", "¥": "ienes", "₹": "rupias",
    "¢": "centavos", "×": "vezes", "÷": "dividido por", "±": "mais ou menos", "≈": "aproximadamente",
    "≠": "diferente de", "≤": "menor ou igual a", "≥": "maior ou igual a", "√": "raiz quadrada de", "∞": "infinito",
    "§": "parágrafo", "©": "copyright", "®": "marca registrada", "™": "marca registrada",
}  # fmt: skip
_ADDRESS: Final = {
    ".": "ponto", "/": "barra", "@": "arroba", "-": "hífen", "_": "sublinhado", ":": "dois pontos",
    "?": "interrogação", "=": "igual", "&": "e", "#": "cerquilha", "%": "por cento", "~": "til", "+": "mais",
    "$": "cifrão", "*": "asterisco", "!": "exclamação", ",": "vírgula", ";": "ponto e vírgula",
    "\\": "barra invertida", "|": "barra vertical", "^": "circunflexo", "'": "apóstrofo", '"': "aspas",
    "(": "abre parênteses", ")": "fecha parênteses", "<": "menor", ">": "maior", "[": "abre colchete",
    "]": "fecha colchete", "{": "abre chave", "}": "fecha chave", "`": "acento grave", "www": "dáblio dáblio dáblio",
    "html": "H T M L", "pdf": "P D F",
}  # fmt: skip
_TITLES: Final = {
    "Sr.": "senhor", "Sra.": "senhora", "Srta.": "senhorita", "Srs.": "senhores", "Sras.": "senhoras", "Dr.": "doutor",
    "Dra.": "doutora", "D.": "dona", "Prof.": "professor", "Profa.": "professora", "Prof.ª": "professora",
    "Profª": "professora", "Eng.": "engenheiro", "Exmo.": "excelentíssimo", "Exma.": "excelentíssima",
    "Gen.": "general", "Cel.": "coronel", "Cap.": "capitão", "Sto.": "santo", "Sta.": "santa", "S.": "são",
    "Av.": "avenida", "R.": "rua", "Pça.": "praça", "Al.": "alameda", "Rod.": "rodovia", "Est.": "estrada",
    "n.º": "número", "nº": "número", "n°": "número", "núm.": "número", "pág.": "página", "págs.": "páginas",
    "p.": "página", "pp.": "páginas", "cap.": "capítulo", "art.": "artigo", "arts.": "artigos", "vol.": "volume",
    "fig.": "figura", "tel.": "telefone", "cel.": "celular", "aprox.": "aproximadamente", "p. ex.": "por exemplo",
    "ex.": "exemplo", "vs.": "versus", "máx.": "máximo", "mín.": "mínimo", "dept.": "departamento", "nv.": "nível",
    "depto.": "departamento", "ap.": "apartamento", "apto.": "apartamento", "bl.": "bloco", "ref.": "referência",
    "obs.": "observação", "séc.": "século", "V. Exa.": "vossa excelência", "seg.": "segunda", "ter.": "terça",
    "qua.": "quarta", "qui.": "quinta", "sex.": "sexta", "sáb.": "sábado", "dom.": "domingo", "ed.": "edição",
}  # fmt: skip
_ABBREVIATIONS: Final = {
    "etc.": "et cetera", "a.C.": "antes de Cristo", "d.C.": "depois de Cristo", "a. C.": "antes de Cristo",
    "d. C.": "depois de Cristo", "EUA": "Estados Unidos", "Ltda.": "limitada", "Cia.": "companhia", "S.A.": "S A",
    "S/A": "S A", "Jr.": "júnior", "vc": "você", "vcs": "vocês", "tb": "também", "tbm": "também", "pq": "porque",
    "blz": "beleza", "bjs": "beijos", "bj": "beijo", "abs": "abraços", "vlw": "valeu",
    "obg": "obrigado", "hj": "hoje", "msg": "mensagem", "qdo": "quando", "P.S.": "pós escrito",
    "c/": "com", "s/": "sem", "p/": "para", "i.e.": "isto é", "Ctrl": "control",
}  # fmt: skip
_NAMED: Final = (
    "lugar|andar|dia|ano|mês|semestre|trimestre|bimestre|século|turno|tempo|grau|capítulo|colocado|aniversário|prêmio"
)
_NAMED_F: Final = "vez|edição|série|fase|classe|parte|semana|rodada|etapa|temporada|aula|divisão"
_GAMES: Final = re.compile(r"\b(?:ganh|venc|perd|empat|placar|jog|gol|bat|derrot|final)\w*[^.?!]*$", re.IGNORECASE)


def _score(match: Match) -> str:
    return f"{_NUMERALS.cardinal(int(match[1]))} {'a' if _GAMES.search(match.string[: match.start()]) else 'por'}"


def _day(match: Match) -> str:
    """`il 12/11` as the day that it is."""
    day, month = int(match[2]), int(match[3])
    if not (1 <= day <= 31 and 1 <= month <= len(_CALENDAR.months)):
        return match[0]
    return f"{match[1]}{'primeiro' if day == 1 else _NUMERALS.cardinal(day)} de {_CALENDAR.months[month - 1]}"


def _round(match: Match) -> str:
    """`R$ 3 mil`, `R$ 36 bi`."""
    words, scale = _NUMERALS.number(match[1], "m"), match[2]
    return f"{words} mil reais" if scale == "mil" else f"{words} {scale}lhões de reais"


def _power(match: Match) -> str:
    """`x²`; that of a unit is read with it."""
    if re.search(r"\d\s?\w{1,2}$", match.string[: match.start()]):
        return match[0]
    return "ao quadrado" if match[1] == "2" else "ao cubo"


PORTUGUESE: Final = Language(
    tag="pt",
    name="Portuguese",
    letters="áâãàçéêíóôõúü",
    letter_names={
        "a": "á", "b": "bê", "c": "cê", "d": "dê", "e": "é", "f": "efe", "g": "gê", "h": "agá", "i": "i", "j": "jota",
        "k": "cá", "l": "éle", "m": "eme", "n": "ene", "o": "ó", "p": "pê", "q": "quê", "r": "erre", "s": "ésse",
        "t": "tê", "u": "u", "v": "vê", "w": "dáblio", "x": "xis", "y": "ípsilon", "z": "zê", "ç": "cê cedilha",
    },
    one_letter_words="aeoáàéóÀ",
    read=read,
    sounds=words("a e ɛ i o ɔ u ɐ ɐ̃ ẽ ĩ õ ũ B CH D F G JH K L M N P S SH T V W Y Z ZH x ɲ ɾ ʎ"),
    numbers=_NUMBERS,
    calendar=_CALENDAR,
    gender=_gender,
    ordinal_marks={
        rf"\.?º|[o°](?=\s(?i:{_NAMED})\b)": "m", rf"\.?ª|[a°](?=\s(?i:{_NAMED_F})\b)": "f",
    },
    currencies=_CURRENCIES,
    money="{whole} e {cents}",
    units=_UNITS,
    per="por",
    symbols=_SYMBOLS,
    address=_ADDRESS,
    titles=_TITLES,
    abbreviations=_ABBREVIATIONS,
    said=words(
        """ONU OTAN UNESCO UNICEF AIDS NASA OVNI OVNIS FIFA UEFA PIB USP FUNAI IBAMA INCRA ANVISA SUS ENEM SESC SENAI
        RAM CAPES PIX CEP COVID RADAR LASER NÃO SIM O A OS AS E É UM UMA DE DO DA EM NO NA QUE SE COM POR PARA EU
        ELE ELA NÓS MEU SEU SUA JÁ LÁ SÓ MAIS MUITO BEM VAI VEM FIM SOL LUZ MAR PAZ PAI MÃE BAR GÁS OI ATÉ SAI
        PARE PST UOL SAMU DETRAN"""
    ),
    spelled=words("IPTU IPVA ICMS IBGE INSS CLT ADSL UFRJ"),
    pronounceable=r"(?:[^aeiouáâãàéêíóôõúü]{0,2}[aeiouáâãàéêíóôõúü]{1,3})+[^aeiouáâãàéêíóôõúü]{0,2}",
    romans={
        "séculos?|capítulos?|ato|canto|artigo|anexo|título": "m", "parte|cena|guerra|edição|seção": "f",
        "fase|tipo|volume|tomo|nível|grupo": "cardinal",
    },
    roman_marks={
        r"º": "m", r"ª|(?=\s(?i:edição|guerra|parte|cena|seção|olimpíada|bienal|semana|conferência)\b)": "f",
    },
    regnal=10,
    conjunctions=words("e ou mas que porque quando onde como também enquanto se porém pois nem"),
    telephone=r"\(?\d\d\)?[ -]9?\d{4}[ -]\d{4}|(?!(?:1\d|20)\d\d-(?:1\d|20)\d\d)9?\d{4}-\d{4}"
    r"|0[38]00[ -]\d{3}[ -]?\d{4}|\d{5}-\d{3}|\d\d\.\d{3}\.\d{3}/\d{4}-\d\d|\d{3}\.\d{3}\.\d{3}-\d\d",
    ranges="a",
    times="por",
    rules=(
        number_rule("", r"(?<![\w.,:])2(?= da (?:manhã|tarde|madrugada)\b)", lambda _: "duas"),
        rule("m", r"(?<=\d )min\.(?= [a-z])", lambda _: "min"),
        number_rule("k", r"\bkm (?=\d)", lambda _: "quilômetro"),
        number_rule("^", r"\^([23])(?!\w)", _power),
        number_rule("-", r"(?<=[A-Z]-)(\d+)\b", lambda m: _NUMERALS.whole(m[1])),
        number_rule("$", r"R\$ ?(\d+(?:,\d+)?) (mil|mi|bi|tri)\b", _round),
        number_rule("/", r"\b((?:até|em|dia|para|de|desde) )(\d{1,2})/(\d{1,2})(?![\d/]|\sd[aeo])", _day),
        number_rule("×", r"(?<=\d)\s?×\s?(?=\d)", lambda _: "vezes"),
        number_rule("x", r"(?<![\w.,])(\d{1,2}) ?x ?(?=\d{1,2}(?!\w))", _score),
        number_rule("", r"\b([Aa]nos) (\d0)\b", lambda m: f"{m[1]} {_NUMERALS.cardinal(int(m[2]))}"),
    ),
)  # fmt: skip
