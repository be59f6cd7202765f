"""What French reading needs to know of single words: those that gruut's lexicon lacks or has wrong, and how words join.

Symbols are gruut's: IPA, spaces between them. Nothing of gruut's folder `espeak` is used.
"""

from __future__ import annotations

from typing import Final


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


ELIDED: Final = {
    "l'": "l", "d'": "d", "j'": "ʒ", "n'": "n", "m'": "m", "t'": "t", "s'": "s", "c'": "s", "ç'": "s", "qu'": "k",
    "jusqu'": "ʒ y s k", "lorsqu'": "l ɔ ʁ s k", "puisqu'": "p ɥ i s k", "quoiqu'": "k w a k", "quelqu'": "k ɛ l k",
    "presqu'": "p ʁ ɛ s k", "entr'": "ɑ̃ t ʁ", "parc'": "p a ʁ s",
}  # fmt: skip
"""What stands before an apostrophe, with it."""

WORDS: Final = {
    # Lone consonants, as in "a-t-il", and names of letters.
    "t": "t", "e": "ø", "g": "ʒ e", "ixe": "i k s", "zède": "z ɛ d", "té": "t e", "vé": "v e", "bé": "b e", "cé": "s e",
    "dé": "d e", "gé": "ʒ e", "ji": "ʒ i", "ku": "k y", "pé": "p e", "erre": "ɛ ʁ", "esse": "ɛ s", "effe": "ɛ f",
    "emme": "ɛ m", "enne": "ɛ n", "ka": "k a", "hache": "a ʃ", "u": "y", "y": "i",
    # Small words.
    "ce": "s ə", "ne": "n ə", "qu": "k", "que": "k ə", "mes": "m e", "ces": "s e", "quant": "k ɑ̃", "est": "ɛ",
    "oui": "w i", "ouais": "w ɛ", "eh": "e", "hum": "œ m", "hmm": "m m", "pst": "p s t", "psst": "p s t",
    "chut": "ʃ y t", "ohé": "o e", "hélas": "e l a s", "hop": "ɔ p", "aïe": "a j", "ouille": "u j", "pff": "p f",
    "brr": "b ʁ",
    # Wrong in the lexicon.
    "gens": "ʒ ɑ̃", "bus": "b y s", "min": "m i n", "hier": "j ɛ ʁ", "excellent": "ɛ k s ɛ l ɑ̃",
    "intelligent": "ɛ̃ t e l i ʒ ɑ̃", "résident": "ʁ e z i d ɑ̃", "séminaire": "s e m i n ɛ ʁ",
    "retrouve": "ʁ ə t ʁ u v", "retrouves": "ʁ ə t ʁ u v", "retrouvent": "ʁ ə t ʁ u v", "retrouvez": "ʁ ə t ʁ u v e",
    "retrouvée": "ʁ ə t ʁ u v e", "retrouvés": "ʁ ə t ʁ u v e", "retrouvées": "ʁ ə t ʁ u v e",
    "retrouvait": "ʁ ə t ʁ u v ɛ", "retrouvons": "ʁ ə t ʁ u v ɔ̃", "retrouvera": "ʁ ə t ʁ u v ə ʁ a",
    "comportent": "k ɔ̃ p ɔ ʁ t", "comportait": "k ɔ̃ p ɔ ʁ t ɛ", "ferment": "f ɛ ʁ m", "influent": "ɛ̃ f l y ɑ̃",
    "imminent": "i m i n ɑ̃", "ninja": "n i n d ʒ a", "reviennes": "ʁ ə v j ɛ n", "dallas": "d a l a s",
    "hunter": "œ n t œ ʁ",
    "successeur": "s y k s ɛ s œ ʁ", "jungle": "ʒ œ̃ ɡ l", "big": "b i ɡ",
    "août": "u t", "porc": "p ɔ ʁ", "cerf": "s ɛ ʁ", "hitler": "i t l ɛ ʁ", "ford": "f ɔ ʁ d", "tim": "t i m",
    "supporters": "s y p ɔ ʁ t ɛ ʁ", "homosexualité": "o m o s ɛ k s ɥ a l i t e", "manchester": "m ɑ̃ ʃ ɛ s t ɛ ʁ",
    "schmidt": "ʃ m i t", "nguyen": "n ɡ u j ɛ n", "heureux": "ø ʁ ø", "heureuse": "ø ʁ ø z",
    "heureusement": "ø ʁ ø z m ɑ̃", "maïs": "m a i s", "deja": "d e ʒ a", "etait": "e t ɛ", "tres": "t ʁ ɛ",
    # Lacking.
    "smartphone": "s m a ʁ t f ɔ n", "convergent": "k ɔ̃ v ɛ ʁ ʒ ɑ̃", "otan": "ɔ t ɑ̃", "arobase": "a ʁ ɔ b a z",
    "podcast": "p ɔ d k a s t", "wifi": "w i f i", "covid": "k ɔ v i d", "tiktok": "t i k t ɔ k",
    "google": "ɡ u ɡ œ l", "facebook": "f ɛ j s b u k", "youtube": "j u t y b", "pacs": "p a k s", "smic": "s m i k",
    "tgv": "t e ʒ e v e", "ehpad": "e p a d", "insee": "i n s e", "cnil": "k n i l", "unesco": "y n ɛ s k o",
    "équation": "e k w a s j ɔ̃", "équations": "e k w a s j ɔ̃", "sida": "s i d a", "ios": "i ɔ s", "usb": "y ɛ s b e",
    "fbi": "ɛ f b i a j", "onu": "o n y", "islam": "i s l a m", "baseball": "b ɛ z b o l", "pib": "p e i b e",
    "mike": "m a j k", "steven": "s t i v ə n", "android": "ɑ̃ d ʁ ɔ i d", "netflix": "n ɛ t f l i k s",
    "jones": "d ʒ ɔ n s", "tweet": "t w i t", "tweets": "t w i t", "league": "l i ɡ", "taylor": "t ɛ l œ ʁ",
    "online": "ɔ n l a j n", "instagram": "ɛ̃ s t a ɡ ʁ a m", "start": "s t a ʁ t", "startup": "s t a ʁ t œ p",
    "london": "l ɔ n d ɔ n", "apple": "a p œ l", "wayne": "w ɛ n", "linux": "l i n y k s", "dave": "d ɛ v",
    "phoenix": "f e n i k s", "rob": "ʁ ɔ b", "airbus": "ɛ ʁ b y s", "cohen": "k ɔ ɛ n", "lopez": "l o p ɛ z",
    "cocaïne": "k ɔ k a i n", "uranium": "y ʁ a n j ɔ m", "harris": "a ʁ i s", "oscars": "ɔ s k a ʁ",
    "miller": "m i l œ ʁ", "carter": "k a ʁ t œ ʁ", "walker": "w o k œ ʁ", "alexander": "a l ɛ k s ɑ̃ d ɛ ʁ",
    "matthew": "m a t j u", "christopher": "k ʁ i s t ɔ f œ ʁ", "designer": "d i z a j n œ ʁ", "soccer": "s ɔ k œ ʁ",
    "shanghai": "ʃ ɑ̃ ɡ a j", "merkel": "m ɛ ʁ k ɛ l", "israel": "i s ʁ a ɛ l", "bluetooth": "b l u t u s",
    "cloud": "k l a w d", "software": "s ɔ f t w ɛ ʁ", "sandwich": "s ɑ̃ d w i t ʃ", "sandwichs": "s ɑ̃ d w i t ʃ",
    "week-end": "w i k ɛ n d", "week-ends": "w i k ɛ n d", "e-mail": "i m ɛ l", "e-mails": "i m ɛ l",
    "mbappé": "m b a p e", "jean": "ʒ ɑ̃", "prud'homme": "p ʁ y d ɔ m", "prud'hommes": "p ʁ y d ɔ m",
    "aujourd'hui": "o ʒ u ʁ d ɥ i", "o'clock": "o k l ɔ k", "rock'n'roll": "ʁ ɔ k ɛ n ʁ ɔ l",
}  # fmt: skip
"""A word, whole in spite of its apostrophe, and its symbols."""

ASPIRATE: Final = (
    r"hâbl|hach|hack|hagard|haï(?!t)|haie|haillon|hain|halage|halet|hall(?:es?|s)?$|halo$|halte(?:s|$)|hamac|hamburger|"
    r"hameau|hamster|hanch|hand|hangar|hanneton|hanov|hant|happ|harangu|haras|harass|harcel|harcèl|hard|harem|hareng|"
    r"hargn|haricot|harnach|harnais|harp|hasard|haschi|hât|haubert|hauss|haut|hauban|havane|havre|hayon|heaume|hein$|"
    r"hello|henn|hérau|hère$|hériss|herni|héron|héros$|herse|hêtre|heurt|hibou|hic$|hid|hiérarch|hi-?fi|hip$|hip-?hop|"
    r"hippie|hiss|hit|hobby|hoch|hockey|holl|hold|homard|hong|honni|hont|hooligan|hop$|hoquet|hord|hors|hot(?:te|$)|"
    r"hou|hublot|huche|hu[eé]|huguenot|huit|hul[ou]|humer|huns?$|huppe|hur|hussard|hutte|onz|oui(?:s|$)|ouistiti|"
    r"uhlan|ululer|ya|ye(?!ux|us)|yé|yo(?!nne)|yu"
)
"""A pattern of beginnings: words before which nothing is joined, though they begin with a vowel or an h."""

JOINED: Final = words(
    """les des ces mes tes ses nos vos leurs aux quels quelles plusieurs mon ton son en sans sous dans chez dès très
    quand dont est sont ont"""
)
"""Joined to whatever begins with a vowel after them: "les_amis"."""
BEFORE_NOUN: Final = words(
    """un aucun tout deux trois vingts cent cents plus moins trop bien mieux quelques certains certaines divers diverses
    différents différentes tels telles autres petit petits petites grand grands grandes gros grosses bon bons bonnes
    beaux belles nouveaux nouvelles vieux vieilles jeunes mauvais mauvaises premier premiers premières dernier derniers
    dernières second long longs longues haut hauts hautes faux nombreux nombreuses ancien anciens anciennes certain
    plein vain joyeux prochain lointain vilain moyen saint saints léger meilleurs meilleures vrais vraies"""
)
"""Joined to a noun, an adjective or a participle, but to no word of `AFTER_NOUN`: "un_ami", "un et deux"."""
PRONOUNS: Final = words("nous vous ils elles on")
"""Joined to the verb after them, but to no word of `AFTER_NOUN`, and not where they stand after it ("sont-ils ici")."""
AFTER_NOUN: Final = words(
    """et ou où à au aux avec il ils elle elles on est alors aussi après avant ainsi entre afin hier ici un une
    autour"""
)
PAIRS: Final = words(
    """peut_être temps_en états_unis champs_élysées nations_unies jeux_olympiques quant_à quant_au quant_aux
    comment_allez petit_à bon_à avant_hier pied_à vis_à pot_au mot_à accent_aigu deux_à tout_à tout_est plus_ou rien_à
    bien_à quelques_uns quelques_unes cent_ans tout_aussi tout_au"""
)
"""Words that are joined where no rule says so."""

WEAK: Final = words(
    """je tu il elle on nous vous ils elles le la les un une des de du au aux ce cet cette ces mon ma mes ton ta tes son
    sa ses notre nos votre vos leur leurs qui que quoi dont où et ou mais ni car si quand comme lorsque puisque à dans
    par pour en vers avec sans sous sur chez entre contre depuis avant après dès est es a pas plus très trop tout toute
    toutes ne y se me te lui eux moi toi rien jamais aussi encore alors quel quelle quels quelles plusieurs quelques
    chaque autre autres t"""
)
"""Function words, without stress before another word."""
PLURAL: Final = words("les des ces mes tes ses nos vos leurs aux ils elles plusieurs quelques certains certaines")
LETTER_NAMES: Final = {
    "a": "a", "b": "bé", "c": "cé", "d": "dé", "e": "e", "f": "effe", "g": "gé", "h": "hache", "i": "i", "j": "ji",
    "k": "ka", "l": "elle", "m": "emme", "n": "enne", "o": "o", "p": "pé", "q": "ku", "r": "erre", "s": "esse",
    "t": "té", "u": "u", "v": "vé", "w": "double vé", "x": "ixe", "y": "i grec", "z": "zède",
    "ç": "cé cédille", "æ": "e dans l'a", "œ": "e dans l'o",
}  # fmt: skip
"""The letters' names as words that are read rightly."""
