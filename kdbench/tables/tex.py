r"""Text for LaTeX that compiles: with pdfLaTeX in its default encoding, XeLaTeX and LuaLaTeX.

The set of characters that pdfLaTeX sets was found by compiling each. Any other one becomes
`\kdbenchchar{知}{77E5}`: the character if engine and font have it, else its code point, never an
error or a gap.
"""

import re
import unicodedata

from kdbench.text import printable

CHARACTER_MACRO = (
    r"\providecommand{\kdbenchchar}[2]{\ifdefined\Umathchar"
    r'\iffontchar\font"#2 #1\else U+#2\,\fi\else U+#2\,\fi}'
)

# `<`, `>`, `|` and `--` would be shown as other characters.
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "–": "--",
    "—": "---",
    "\u00ad": "",
    **{char: f"\\{char}" for char in "&%$#_{}"},
}
_MATH = {
    "±": "pm",
    "×": "times",
    "÷": "div",
    "−": "-",
    "·": "cdot",
    "∓": "mp",
    "√": "surd",
    "→": "rightarrow",
    "←": "leftarrow",
    "↑": "uparrow",
    "↓": "downarrow",
    "↔": "leftrightarrow",
    "⇒": "Rightarrow",
    "⇐": "Leftarrow",
    "↗": "nearrow",
    "↘": "searrow",
    "∥": "parallel",
    "≥": "geq",
    "≤": "leq",
    "≠": "neq",
    "≈": "approx",
    "≪": "ll",
    "≫": "gg",
    "∼": "sim",
    "†": "dagger",
    "‡": "ddagger",
    "∞": "infty",
    "∈": "in",
    "∑": "sum",
    "∏": "prod",
    "«": "ll",
    "»": "gg",
    "∆": "Delta",
    "∇": "nabla",
    "∂": "partial",
    "≡": "equiv",
}
_GREEK = (  # in order of their code points; a dot for what has no command
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"),
    *("lambda", "mu", "nu", "xi", ".", "pi", "rho", ".", "sigma", "tau", "upsilon", "phi", "chi"),
    *("psi", "omega"),
)
_CAPITAL = {
    *("gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega")
}
_MATH |= {chr(0x3B1 + n): name for n, name in enumerate(_GREEK) if name != "."}
_MATH |= {chr(0x391 + n): name.capitalize() for n, name in enumerate(_GREEK) if name in _CAPITAL}
_SET_BY_PDFLATEX = re.compile("[ -~¡¢£¥§¨©ª¬®¯°²³´µ¶¸¹º¼½¾¿À-ž‘’“”„…•™€‰]")
_NOT_SET = frozenset("ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")


def escape_tex(text: str) -> str:
    """Escape text for LaTeX, as one line."""
    text = unicodedata.normalize("NFC", " ".join(printable(text).split()))
    text = "".join(map(_escaped, re.sub("-(?=-)", "-\0", text)))
    # At the start of a line these would be read as an argument of the \\ before it.
    return f"{{}}{text}" if text.startswith(("[", "*")) else text


def with_macro(document: str) -> str:
    """A table with the macro for rare characters after its first line, if it needs that."""
    if r"\kdbenchchar{" not in document:
        return document
    first, _, rest = document.partition("\n")
    return f"{first}\n{CHARACTER_MACRO}\n{rest}"


def _escaped(char: str) -> str:
    if char == "\0":  # between two hyphens, which would become a dash
        return "{}"
    if char in _SPECIAL:
        return _SPECIAL[char]
    if char in _MATH:
        name = _MATH[char]
        return f"$\\{name}$" if name.isalpha() else f"${name}$"
    if _SET_BY_PDFLATEX.fullmatch(char) and char not in _NOT_SET:
        return char
    if unicodedata.combining(char):  # alone it would sit on the brace
        return f"\\kdbenchchar{{~{char}}}{{{ord(char):04X}}}"
    return f"\\kdbenchchar{{{char}}}{{{ord(char):04X}}}"
