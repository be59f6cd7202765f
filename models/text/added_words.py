"""Words that gruut's lexicon lacks or has wrong, and sounds that are written without a vowel."""

from __future__ import annotations

from typing import Final

SOUNDS: Final = {
    "shh": "SH SH", "psst": "P S S T", "pst": "P S T", "brr": "B ER1", "grr": "G ER1", "mm": "M M", "zz": "Z Z",
    "pfft": "P F AH1 T", "pff": "P F AH1", "tsk": "T IH1 S K", "psh": "P SH", "bzz": "B AH1 Z Z", "meh": "M EH1",
    "ahem": "AX0 HH EH1 M", "haha": "HH AA1 HH AA1", "hahaha": "HH AA1 HH AA1 HH AA1", "hehe": "HH IY1 HH IY1",
    "hehehe": "HH IY1 HH IY1 HH IY1", "hoho": "HH OW1 HH OW1", "hohoho": "HH OW1 HH OW1 HH OW1",
    "eww": "Y UW1",
}  # fmt: skip
"""Drawn out at will (Shhhh, MMMM): the letters that are repeated stand here as they do after `squeeze`."""
WORDS: Final = SOUNDS | {
    # French, on menus and on screens.
    "acai": "AA0 S AY0 IY1", "brulee": "B R UW0 L EY1", "creme": "K R EH1 M", "etat": "EY0 T AA1",
    "macchiato": "M AA2 K IY0 AA1 T OW0", "merlot": "M ER0 L OW1", "noir": "N W AA1 R", "pinot": "P IY1 N OW0",
    "bruschetta": "B R UW0 S K EH1 T AX0", "chipotle": "CH IH0 P OW1 T L EY0", "chorizo": "CH AO0 R IY1 Z OW0",
    "edamame": "EH2 D AX0 M AA1 M EY0", "matcha": "M AA1 CH AX0", "miso": "M IY1 S OW0", "paella": "P AA0 EY1 AX0",
    "ramen": "R AA1 M AX0 N", "sriracha": "S IH0 R AA1 CH AX0", "udon": "UW1 D AA2 N", "wasabi": "W AX0 S AA1 B IY0",
    "tzatziki": "T S AA0 T S IY1 K IY0", "bouillabaisse": "B UW2 Y AX0 B EY1 S", "segue": "S EH1 G W EY2",
    "nee": "N EY1", "weltschmerz": "V EH1 L T SH M EH2 R T S",
    # Names of people.
    "antetokounmpo": "AA2 N T EH2 T AX0 K UW1 M P OW0", "buttigieg": "B UW1 T IH0 JH EH2 JH", "camus": "K AE0 M UW1",
    "chalamet": "SH AE1 L AX0 M EY2", "cillian": "K IH1 L IY0 AX0 N", "daenerys": "D AX0 N EH1 R IH0 S",
    "djokovic": "JH OW1 K AX0 V IH2 CH", "doncic": "D AA1 N CH IH0 CH", "dumas": "D UW0 M AA1",
    "ejiofor": "EH1 JH IY0 OW0 F AO2 R", "eoin": "OW1 IH0 N", "goethe": "G ER1 T AX0",
    "gyllenhaal": "JH IH1 L AX0 N HH AO2 L",
    "jinping": "JH IH1 N P IH1 NG", "jokic": "Y OW1 K IH2 CH", "kamala": "K AA1 M AX0 L AX0",
    "kierkegaard": "K IH1 R K AX0 G AA2 R D", "lebron": "L AX0 B R AA1 N", "macron": "M AA0 K R AO1 N",
    "mbappe": "EH0 M B AA0 P EY1", "modric": "M OW1 D R IH0 CH", "nietzsche": "N IY1 CH AX0",
    "ohtani": "OW0 T AA1 N IY0", "poincare": "P W AE2 N K AA0 R EY1", "saoirse": "S ER1 SH AX0",
    "schopenhauer": "SH OW1 P AX0 N HH AW2 ER0", "schrodinger": "SH R OW1 D IH0 NG ER0",
    "timothee": "T IH1 M OW0 T EY1",
    "villeneuve": "V IY2 L N UW1 V", "wittgenstein": "V IH1 T G AX0 N SH T AY2 N", "xi": "SH IY1",
    "dvorak": "D V AO1 R ZH AA2 K", "iweala": "IH0 W EY0 AA1 L AX0", "nguyen": "W IH1 N", "saens": "S AA1 N S",
    "zelensky": "Z AX0 L EH1 N S K IY0", "zelenskyy": "Z AX0 L EH1 N S K IY0", "zendaya": "Z AX0 N D EY1 AX0",
    # Names of things and places.
    "adidas": "AX0 D IY1 D AX0 S", "balenciaga": "B AX0 L EH2 N S IY0 AA1 G AX0", "cthulhu": "K AX0 TH UW1 L UW0",
    "doppelganger": "D AA1 P AX0 L G AE2 NG ER0", "ghibli": "JH IH1 B L IY0", "huawei": "W AA1 W EY2",
    "jpeg": "JH EY1 P EH2 G", "khaleesi": "K AX0 L IY1 S IY0", "kubernetes": "K UW2 B ER0 N EH1 T IY0 Z",
    "kyiv": "K IY1 V", "lenovo": "L AX0 N OW1 V OW0", "loreal": "L AO2 R IY0 AE1 L", "numpy": "N AH1 M P AY2",
    "oaxaca": "W AX0 HH AA1 K AX0", "phuket": "P UW0 K EH1 T", "pytorch": "P AY1 T AO2 R CH",
    "tensorflow": "T EH1 N S ER0 F L OW2", "tiktok": "T IH1 K T AA2 K", "xiaomi": "SH AW1 M IY0",
}  # fmt: skip
"""A word in lower case without accents, and its phonemes in ARPAbet."""
