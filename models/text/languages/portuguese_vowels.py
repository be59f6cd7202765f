"""Whether a stressed e or o of Brazilian Portuguese is open, where its spelling does not say.

Most depends on the end of the word, from the stressed vowel on; the rest are lists of common words, singular.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OPEN_ENDS: Final = re.compile(
    r"""(?:
    el[ao]?|éis|et[aeo]|ec[ao]|e[gq]ue|err[ae]|ert[ao]|erd[aeo]|ern[aeo]|er[vm][aeo]|er[sç][aeo]|erg[ao]|ergue|erca|erque|
    erp[ae]|est[aeo]|ess[ao]|ede|ev[ae]|er[aeo]|esca|esque|ece|ebe|ebr[ae]|ef[ae]|eg[ao]|egr[aeo]|epe|eptos?|ex[ao]|
    ol[aeo]?|oi[ao]|or[aeo]|ov[ae]|ost[ae]|ort[ae]|ord[ae]|orm[ae]|orn[ae]|orr[ae]|or[cgj]a|or[gq]ue|oca|o[gq]ue|od[ae]|oga|
    oj[ae]|olh[ae]|ol[td][ae]|olv[ae]|of[ae]|ofre|op[aeo]|obr[ae]|ob[ae]|ossa|osse|ot[aeo]|ostr[ae]|os[ae]|osca|oz|ox[ao]|ocos|
    ossos|osos|ogos|ostos
    )[sm]?$""",
    re.VERBOSE,
)
"""Ends that are open in most words."""
_CLOSED: Final = _words(
    """
    alfinete apego arroz autora banquete baqueta besta bilhete boba boca bolha bolo boquete borboleta boto broto
    cabelo cacete camelo camiseta caneta canhoto cantora capacete careca careta cebola cera cesta cesto choro controle
    chupeta colchete cometa consolo consultora cores coro cotovelo coxo decoro desespero deste destes diretora
    dores doutora editora eleitora emprego escolha escritora esgoto esposa este estes esteve estrela etiqueta
    exagero flores foguete folha foram foro fosse fossem fresca gabinete garota garoto gaveta gelo gesso gestora
    gota governo hoje impressora jogadora joguete leitora lembrete loba macete maleta maroto miolo moca modelo
    moradora mosca muleta namoro nego negra negro neste nestes operadora parede pela pelo pelos pera pintora
    planeta preto produtora professora rede roleta rolha rolo roto roxa roxo sabonete seco sede seta silhueta
    sobre sopa soro sorvete sossego tempero terço teve tijolo toda topete tornozelo torre trabalhadora vendedora
    verde vinagrete violeta zebra
    """
)
"""Words with one of those ends that are closed."""
_OPEN: Final = _words(
    """
    adora aposto assembleia berro bloco bosque brecha carroça colher colmeia começa corto couber creche cresce
    der desce dez disser dissesse dobro estiver estivesse estreia europeia ferro fizer fizesse flecha floco foco
    folga geleia heroica houver houvesse ideia inveja levo logo maestro maior meche melhor menor modo mostro
    mulher nosso odisseia orquestra pedra pesa peça pior plateia posso puder pudesse puser pusesse qualquer quer
    quiser quisesse redor rock sequer sogra sopra sopre souber soubesse suor talher tese tiver tivesse trouxer
    trouxesse velha velhas velho velhos vier viesse volto vosso
    """
)
"""Words with open vowels."""
_PLURALS: Final = _words(
    "olhos ovos povos ossos jogos fogos corpos portos postos impostos fornos tijolos mortos porcos poços"
)


_CLOSED_ENDS: Final = re.compile(
    r"(?:es[ao]|ez|eza|edo|eda|ej[ao]|elh[ao]|ech[ao]|eix|o[ua]|oso|osto|orro|orra|osso|olho|or|(?<=[dt])ora|(?<=[es]s)ora|er|esse|eu|ei|ou|oi)s?m?$"
)
"""Ends that are closed unless a word is listed."""
_VERBS: Final = _words(
    """
    acordo almoço apego aposto choro coloco começo conserto consolo emprego erro esforço espero exagero forço gelo
    gosto governo jogo namoro nego olho peso posto reforço rego retorno rolo seco selo sopro tempero toco troco
    """
)
"""Nouns with a closed e or o that are verbs with an open one after "eu"."""
_BETWEEN: Final = _words("não já só sempre também nunca me te o a")
_OF: Final = _words("de do da dos das dele dela disso muito mais")
_ARTICLES: Final = _words("o um meu seu bom mau com sem por de ao no")


def is_open(word: str, at: int) -> bool:
    """Whether the stressed vowel of a word, at this place, is open.

    Args:
        word: in lower case.
        at: where its stressed e or o stands, without an accent.
    """
    if word in _PLURALS:
        return True
    if word[at:] == "osos":
        return True
    if word[at:] == "eram":
        return word == "eram" or word.removesuffix("am") in _OPEN  # tiveram, but: escolheram
    if word.endswith(("res", "zes")) and word not in _CLOSED:
        return is_open(word.removesuffix("es"), at)
    for form in (word, word.removesuffix("s"), word.removesuffix("m")):
        if form in _CLOSED:
            return False
        if form in _OPEN:
            return True
    return _OPEN_ENDS.match(word, at) is not None and not _CLOSED_ENDS.match(word, at)


def is_verb(words: Sequence[str], i: int) -> bool:
    """Whether a noun with a closed vowel is the verb with an open one where it stands: eu jogo, não gosto de."""
    if words[i] not in _VERBS:
        return False
    if words[i] == "gosto" and words[i + 1 : i + 2] and words[i + 1] in _OF:
        return i == 0 or words[i - 1] not in _ARTICLES
    return next((word for word in reversed(words[max(0, i - 2) : i]) if word not in _BETWEEN), "") == "eu"
