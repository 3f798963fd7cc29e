"""Make text safe for the file it goes into: LaTeX, Markdown, a spreadsheet, a comment."""

from __future__ import annotations

LATEX_CHARACTERS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "Δ": r"$\Delta$",
    "Σ": r"$\Sigma$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "²": r"$^2$",
    "°": r"$^\circ$",
    "µ": r"$\mu$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "→": r"$\rightarrow$",
    "’": "'",
    "…": r"\ldots{}",
}


def latex_escape(text: str) -> str:
    """Return text that LaTeX prints as it stands."""
    return "".join(LATEX_CHARACTERS.get(character, character) for character in one_line(text))


def markdown_escape(text: str) -> str:
    """Return text that neither breaks a pipe table nor is taken for markup."""
    escaped = one_line(text).replace("\\", "\\\\").replace("|", r"\|")
    return escaped.replace("<", "&lt;").replace("_", r"\_").replace("*", r"\*")


def comment_safe(text: str) -> str:
    """Return text that does not end an HTML comment."""
    return one_line(text).replace("-->", "- ->")


def one_line(text: str) -> str:
    """Return text without line breaks and repeated blanks."""
    return " ".join(text.split())
