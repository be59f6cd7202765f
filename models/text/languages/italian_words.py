"""Italian words that gruut's lexicon lacks or has otherwise than most people say them, those without stress, and
abbreviations."""

from __future__ import annotations

from typing import Final

from ancestral.models.text.languages.language import words

UNSTRESSED: Final = words(
    """
    a ad agli ai al all alla alle allo ce che ci col con d da dagli dai dal dall dalla dalle dallo degli dei del
    dell della delle dello di e ed fra gli ha hai ho i il in l la le li lo ma me mi ne negli nei nel nell nella
    nelle nello non o od per se si su sugli sui sul sull sulla sulle sullo te ti tra un una uno ve vi è
    """
)
OWN: Final = {
    "abbaia": "a0 B B a1 Y a0", "allinea": "a0 L L i1 N e0 a0", "alzati": "a1 L ts a0 T i0", "amici": "a0 M i1 CH i0",
    "ancora": "a0 NG K o1 r a0", "aperta": "a0 P ɛ1 r T a0", "aperto": "a0 P ɛ1 r T o0",
    "attento": "a0 T T ɛ1 N T o0", "autobus": "a1 W T o0 B u0 S", "azzurro": "a0 dz dz u1 r r o0", "bar": "B a1 r",
    "buon": "B W ɔ1 N", "buonanotte": "B W o0 N a0 N ɔ1 T T e0", "buonasera": "B W o0 N a0 S e1 r a0",
    "buongiorno": "B W o0 N JH o1 r N o0", "casa": "K a1 Z a0", "cerca": "CH e1 r K a0", "chi": "K i1",
    "chilometro": "K i0 L ɔ1 M e0 T r o0", "com": "K o1 M", "come": "K o1 M e0", "contro": "K o1 N T r o0",
    "copriti": "K ɔ1 P r i0 T i0", "corse": "K o1 r S e0", "cuculo": "K u1 K u0 L o0", "dietro": "D Y ɛ1 T r o0",
    "dispari": "D i1 S P a0 r i0", "dopo": "D o1 P o0", "dorme": "D ɔ1 r M e0", "dormono": "D ɔ1 r M o0 N o0",
    "dov": "D o1 V", "dove": "D o1 V e0", "due": "D u1 e0", "erano": "ɛ1 r a0 N o0", "esce": "ɛ1 SH e0",
    "esci": "ɛ1 SH i0", "esco": "ɛ1 S K o0", "escono": "ɛ1 S K o0 N o0", "euro": "ɛ1 W r o0", "fate": "F a1 T e0",
    "film": "F i1 L M", "formica": "F o0 r M i1 K a0", "formiche": "F o0 r M i1 K e0", "giacomo": "JH a1 K o0 M o0",
    "giovane": "JH o1 V a0 N e0", "godetevela": "G o0 D e1 T e0 V e0 L a0", "gratuita": "G r a0 T u1 Y T a0",
    "gratuito": "G r a0 T u1 Y T o0", "grazie": "G r a1 ts Y e0", "halloween": "a0 L L o0 W i1 N",
    "hotel": "o0 T ɛ1 L", "ieri": "Y ɛ1 r i0", "legge": "L ɛ1 JH JH e0", "leggere": "L ɛ1 JH JH e0 r e0",
    "leggo": "L ɛ1 G G o0", "leggono": "L ɛ1 G G o0 N o0", "lettera": "L e1 T T e0 r a0",
    "lezione": "L e0 ts Y o1 N e0", "linea": "L i1 N e0 a0", "litigano": "L i1 T i0 G a0 N o0",
    "lunedì": "L u0 N e0 D i1", "menu": "M e0 N u1", "mese": "M e1 Z e0", "mesi": "M e1 Z i0",
    "mezza": "M ɛ1 dz dz a0", "mezzo": "M ɛ1 dz dz o0", "miei": "M Y ɛ1 Y", "molto": "M o1 L T o0",
    "negligente": "N e0 G L i0 JH ɛ1 N T e0", "nero": "N e1 r o0", "noi": "N o1 Y", "nome": "N o1 M e0",
    "oltre": "o1 L T r e0", "ore": "o1 r e0", "ovvero": "o0 V V e1 r o0", "peccato": "P e0 K K a1 T o0",
    "persona": "P e0 r S o1 N a0", "poi": "P ɔ1 Y", "presidente": "P r e0 S i0 D ɛ1 N T e0",
    "presto": "P r ɛ1 S T o0", "qualsiasi": "K W a0 L S i1 a0 Z i0", "quegli": "K W e1 ʎ i0", "quei": "K W e1 Y",
    "quel": "K W e1 L", "quell": "K W e1 L L", "quella": "K W e1 L L a0", "quelle": "K W e1 L L e0",
    "quelli": "K W e1 L L i0", "quello": "K W e1 L L o0", "quest": "K W e1 S T", "questa": "K W e1 S T a0",
    "queste": "K W e1 S T e0", "questi": "K W e1 S T i0", "questo": "K W e1 S T o0",
    "risalire": "r i0 S a0 L i1 r e0", "sbrigati": "Z B r i1 G a0 T i0", "scheletro": "S K ɛ1 L e0 T r o0",
    "secondo": "S e0 K o1 N D o0", "sembra": "S e1 M B r a0", "sera": "S e1 r a0", "sette": "S ɛ1 T T e0",
    "sia": "S i1 a0", "siano": "S i1 a0 N o0", "siediti": "S Y ɛ1 D i0 T i0", "signora": "S i0 ɲ o1 r a0",
    "sono": "S o1 N o0", "sopra": "S o1 P r a0", "sotto": "S o1 T T o0", "sport": "S P ɔ1 r T",
    "stanotte": "S T a0 N ɔ1 T T e0", "stasera": "S T a0 S e1 r a0", "suoi": "S W ɔ1 Y", "tre": "T r e1",
    "trucioli": "T r u1 CH o0 L i0", "tré": "T r e1", "tuoi": "T W ɔ1 Y", "venti": "V e1 N T i0",
    "verde": "V e1 r D e0", "vero": "V e1 r o0", "viaggio": "V Y a1 JH JH o0", "video": "V i1 D e0 o0",
    "violino": "V Y o0 L i1 N o0", "voi": "V o1 Y", "zia": "dz i1 a0", "zucchero": "dz u1 K K e0 r o0",
    "zuppa": "dz u1 P P a0",
}  # fmt: skip
_PLAIN: Final = str.maketrans("àèéìòù", "aeeiou")
TITLES: Final = {
    "Sig.": "signor", "Sig.ra": "signora", "sig.ra": "signora", "sig.na": "signorina", "dott.ssa": "dottoressa",
    "prof.ssa": "professoressa", "v.le": "viale", "p.zza": "piazza", "p.za": "piazza", "c.so": "corso",
    "l.go": "largo", "Sig.na": "signorina", "Sigg.": "signori", "Dott.": "dottor", "Dr.": "dottor",
    "Dott.ssa": "dottoressa", "Dr.ssa": "dottoressa", "Prof.": "professor", "Prof.ssa": "professoressa",
    "Ing.": "ingegner", "Avv.": "avvocato", "Arch.": "architetto", "Geom.": "geometra", "Rag.": "ragionier",
    "On.": "onorevole", "Gen.": "generale", "Cap.": "capitano", "S.": "san", "SS.": "santi", "Mons.": "monsignor",
    "V.le": "viale", "P.zza": "piazza", "P.za": "piazza", "C.so": "corso", "L.go": "largo", "n.": "numero",
    "n°": "numero", "nr.": "numero", "n.ro": "numero", "pag.": "pagina", "pagg.": "pagine", "p.": "pagina",
    "pp.": "pagine", "cap.": "capitolo", "art.": "articolo", "artt.": "articoli", "vol.": "volume", "fig.": "figura",
    "tel.": "telefono", "cell.": "cellulare", "es.": "esempio", "p. es.": "per esempio", "ad es.": "ad esempio",
    "ca.": "circa", "max.": "massimo", "vs.": "contro", "vs": "contro", "cfr.": "confronta",
    "rif.": "riferimento", "liv.": "livello", "sec.": "secolo", "bin.": "binario",
    "lun.": "lunedì", "mer.": "mercoledì", "gio.": "giovedì",
    "ven.": "venerdì", "sab.": "sabato",
    "int.": "interno", "gent.mo": "gentilissimo", "gent.ma": "gentilissima", "egr.": "egregio",
    "spett.le": "spettabile", "ill.mo": "illustrissimo",
}  # fmt: skip
ABBREVIATIONS: Final = {
    "ecc.": "eccetera", "etc.": "eccetera", "a.C.": "avanti Cristo", "d.C.": "dopo Cristo", "a. C.": "avanti Cristo",
    "d. C.": "dopo Cristo", "S.p.A.": "S P A", "S.r.l.": "S R L", "SpA": "S P A", "Srl": "S R L",
    "P.S.": "post scriptum",
    "N.B.": "nota bene", "c.a.": "corrente anno", "c.m.": "corrente mese", "u.s.": "ultimo scorso",
    "p.v.": "prossimo venturo", "cmq": "comunque", "nn": "non", "xké": "perché", "xché": "perché",
    "tvb": "ti voglio bene",
    **{f"{word.translate(_PLAIN)}'": word for word in ("è", "più", "perché", "così", "già", "può", "città", "sarà")},
    **{f"{word}'": word for word in ("po", "fa", "va", "da", "di", "sta", "be", "mo", "to")},
    "F.lli": "fratelli", "segg.": "seguenti", "Ctrl": "control", "gg.": "giorni",
    "tot.": "totale", "ab.": "abitanti", "U.S.A.": "U S A", "St.": "street",
}  # fmt: skip
