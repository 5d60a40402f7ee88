"""Telling an English text from one in another language, well enough to refuse an answer; no model, no download."""

import re

LEAST_SHARE = 0.15
LEAST_WORDS = 4
MOST_FOREIGN_LETTERS = 0.1

# Words that hold sentences together and are not words of a neighbouring language, and what such descriptions are about.
ENGLISH = frozenset(
    re.findall(
        r"\w+",
        """
        the and of with are is to from by along on for this that there which at into across between near or an as its their
        these some few many most small large wide narrow mainly mostly around beside through toward towards upper lower left
        right centre center middle north south east west northern southern eastern western likely several other while where
        road roads street streets railway rail tracks building buildings house houses housing residential roof roofs block
        blocks warehouse warehouses factory industrial commercial tree trees grass lawn lawns green field fields farmland
        water river lake pond sea open land space parking lot lots dense low high rise area traffic people activity daytime
        evening hours in be would here there no not or but only all it out up also
        """,
    )
)
FOREIGN = frozenset(
    re.findall(
        r"\w+",
        """
        der die das und ein eine mit von zu auf im den dem ist sind des für nach bei durch
        le la les du et un une avec dans sur au aux est sont par pour
        il lo gli della delle dei del di da con nel nella sono una per che
        el los las y en para son que o os e em um uma com do dos das no na são
        het een van met aan op zijn voor naar de och att som med av är på till för ved og er til
        w z i jest są przez oraz się ve bir bu ile için olan dan yang dengan untuk pada dari
        """,
    )
)


def is_english(text: str) -> bool:
    """Tell whether a text is English, by its letters and its commonest words; a text too short to tell counts as English."""
    letters = [letter for letter in text if letter.isalpha()]
    if letters and sum(ord(letter) > 0x24F for letter in letters) / len(letters) > MOST_FOREIGN_LETTERS:
        return False
    words = re.findall(r"[^\W\d_]+", text.lower())
    if len(words) < LEAST_WORDS:
        return True
    english, foreign = sum(word in ENGLISH for word in words), sum(word in FOREIGN for word in words)
    return english / len(words) >= LEAST_SHARE and english > foreign
