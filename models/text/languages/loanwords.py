"""English and French words as they are said in Italian and in Brazilian Portuguese."""

from __future__ import annotations

from functools import cache
from typing import Final

from ancestral.models.text.languages.language import Phones

_COLUMNS: Final = {"it": 1, "pt": 2}
_WORDS: Final = """
account; a0 K K a1 W N T; a0 K a1 W CH i0
amazon; a1 M a0 Z o0 N; a1 M a0 Z õ0
android; a1 N D r o0 Y D; ɐ̃1 D ɾ o0 Y JH i0
app; ɛ1 P P; ɛ1 P i0
apple; ɛ1 P P o0 L; ɛ1 P o0 W
baby; B ɛ1 B i0; B e1 Y B i0
backup; B ɛ1 K K a0 P; B ɛ1 K a1 P i0
basket; B a1 S K e0 T; B a1 S K e0 CH i0
blog; B L ɔ1 G; B L ɔ1 G i0
bluetooth; B L u0 T u1 T; B L u0 T u1 F i0
boutique; B u0 T i1 K; B u0 CH i1 K i0
brunch; B r a1 N CH; B ɾ ɐ̃1 SH i0
bug; B a1 G; B a1 G i0
business; B i1 Z N e0 S; B i1 Z i0 N e0 S
chat; CH a1 T; SH a1 CH i0
chatbot; CH a1 T B o0 T; SH a0 CH i0 B ɔ1 CH i0
check; CH ɛ1 K; SH ɛ1 K i0
chef; SH ɛ1 F; SH ɛ1 F i0
cloud; K L a1 W D; K L a1 W JH i0
cocktail; K ɔ1 K T e0 Y L; K o0 K i0 T ɛ1 W
computer; K o0 M P Y u1 T e0 r; K õ0 P Y u1 T e0 ɾ
delivery; D e0 L i1 V e0 r i0; D e0 L i1 V e0 ɾ i0
design; D e0 Z a1 Y N; D e0 Z a1 Y N i0
download; D a0 W N L o1 D; D a0 W N L o1 W JH i0
email; i0 M ɛ1 Y L; i0 M e1 Y W
facebook; F e1 Y S B u0 K; F e1 Y S i0 B u1 K i0
feedback; F i1 D B e0 K; F i0 JH i0 B ɛ1 K i0
file; F a1 Y L; F a1 Y W
fitness; F i1 T N e0 S; F i1 CH i0 N e0 S
freezer; F r i1 dz e0 r; F ɾ i1 Z e0 ɾ
garage; G a0 r a1 ZH; G a0 ɾ a1 ZH i0
goal; G ɔ1 L; G o1 W
google; G u1 G o0 L; G u1 G o0 W
hacker; a1 K e0 r; x a1 K e0 ɾ
hamburger; a0 M B u1 r G e0 r; ɐ̃0 B u1 ɾ G e0 ɾ
hardware; a1 r D W e0 r; x a1 ɾ JH i0 W ɛ0 ɾ
hobby; ɔ1 B B i0; x ɔ1 B i0
instagram; i1 N S T a0 G r a0 M; ĩ0 S T a0 G ɾ ɐ̃1 W
internet; i1 N T e0 r N e0 T; ĩ0 T e0 ɾ N ɛ1 CH i0
iphone; a1 Y F o0 N; a0 Y F õ1 N i0
jazz; JH ɛ1 ts; JH ɛ1 S
jeans; JH i1 N S; JH ĩ1 S
ketchup; K ɛ1 CH a0 P; K ɛ1 CH i0 SH u0 P i0
laptop; L ɛ1 P T o0 P; L ɛ1 P i0 T ɔ0 P i0
layout; L e1 Y a0 W T; L e0 Y a1 W CH i0
leader; L i1 D e0 r; L i1 D e0 ɾ
like; L a1 Y K; L a1 Y K i0
link; L i1 NG K; L ĩ1 K i0
linux; L i1 N u0 K S; L i1 N u0 K S
login; L o0 G i1 N; L o0 G ĩ1
manager; M a1 N a0 JH e0 r; M ɛ1 N e0 JH e0 ɾ
marketing; M a1 r K e0 T i0 N G; M a1 ɾ K e0 CH ĩ0
meeting; M i1 T i0 N G; M i1 CH ĩ0
microsoft; M i1 K r o0 S o0 F T; M a0 Y K ɾ o0 S ɔ1 F CH i0
mouse; M a1 W S; M a1 W Z i0
netflix; N ɛ1 T F L i0 K S; N ɛ1 CH i0 F L i0 K S
notebook; N o1 T B u0 K; N o0 CH i0 B u1 K i0
offline; ɔ1 F F L a0 Y N; ɔ0 F i0 L a1 Y N i0
online; o0 N L a1 Y N; õ0 L a1 Y N i0
password; P a1 S S W o0 r D; P a1 S W o0 ɾ JH i0
pizza; P i1 ts ts a0; P i1 T S ɐ0
podcast; P ɔ1 D K a0 S T; P ɔ1 JH i0 K ɛ0 S CH i0
post; P ɔ1 S T; P o1 S CH i0
python; P a1 Y T o0 N; P a1 Y T õ0
rock; r ɔ1 K; x ɔ1 K i0
router; r u1 T e0 r; x o1 W T e0 ɾ
rugby; r a1 G B i0; x a1 G i0 B i0
selfie; S ɛ1 L F i0; S ɛ1 W F i0
server; S ɛ1 r V e0 r; S ɛ1 ɾ V e0 ɾ
shopping; SH ɔ1 P P i0 N G; SH ɔ1 P ĩ0
show; SH o1; SH o1 W
site; S a1 Y T; S a1 Y CH i0
skype; S K a1 Y P; S K a1 Y P i0
smartphone; Z M a1 r T F o0 N; Z M a1 ɾ CH i0 F õ0 N i0
smart; Z M a1 r T; Z M a1 ɾ CH i0
snack; Z N ɛ1 K; Z N ɛ1 K i0
software; S ɔ1 F T W e0 r; S ɔ1 F i0 CH W ɛ0 ɾ
startup; S T a1 r T a0 P; S T a1 ɾ CH a1 P i0
streaming; S T r i1 M i0 N G; S T ɾ i1 M ĩ0
tablet; T a1 B L e0 T; T a1 B L e0 CH i0
team; T i1 M; CH ĩ1
tennis; T ɛ1 N N i0 S; T e1 N i0 S
test; T ɛ1 S T; T ɛ1 S CH i0
toast; T ɔ1 S T; T o1 W S CH i0
twitter; T W i1 T T e0 r; T W i1 T e0 ɾ
update; a1 P D e0 Y T; a0 P i0 D e1 Y CH i0
upload; a1 P L o0 D; a0 P i0 L o1 W JH i0
web; W ɛ1 B; W ɛ1 B i0
weekend; W i0 K ɛ1 N D; W i0 K ẽ1 JH i0
whatsapp; W o0 ts ts ɛ1 P; W a1 T S a0 P i0
wi; W a1 Y; W a1 Y
fi; F a1 Y; F a1 Y
wifi; W a1 Y F a0 Y; W a0 Y F a1 Y
windows; W i1 N D o0 W S; W ĩ1 D o0 W S
workshop; W ɔ1 r K SH o0 P; W o1 ɾ K SH ɔ0 P i0
youtube; Y u0 T u1 B; Y u0 CH u1 B i0
"""
"""A line each: as it is written, in Italian, in Brazilian Portuguese."""


@cache
def loanwords(language: str) -> dict[str, Phones]:
    """The phones of borrowed words in `it` or `pt`, by their spelling."""
    rows = (line.split("; ") for line in _WORDS.strip().splitlines())
    return {row[0]: tuple(row[_COLUMNS[language]].split()) for row in rows}
