"""Write `docs/conformance.md`: `python -m tests.support.conformance_document`.

Its tables are made of the rules in the judges and of what is known about each (`tests/support/catalogue.py`). What stands
before them is written by hand. A test compares the file with what this would write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.support.catalogue import DEFECTS, NOTES, Note
from vllm_sse_proxy.families.chat import conformance as chat
from vllm_sse_proxy.families.completions import conformance as completions
from vllm_sse_proxy.families.messages import conformance as messages
from vllm_sse_proxy.families.transcriptions import conformance as transcriptions

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "conformance.md"

FIRST: Final = "\n## Chat completions\n"
"""Where the generated part begins; what stands before it is written by hand."""

FAMILIES: Final = (
    ("chat", "Chat completions", chat, "`/v1/chat/completions`"),
    ("completions", "Completions", completions, "`/v1/completions`"),
    ("messages", "Messages", messages, "`/v1/messages`"),
    (
        "transcriptions",
        "Transcriptions",
        transcriptions,
        "`/v1/audio/transcriptions` and `/v1/audio/translations`; the rules of OpenAI's events and of vLLM's own chunks",
    ),
)


def document(written: str) -> str:
    """Return the whole text, with the part that is written by hand from what there is."""
    parts = [written.partition(FIRST)[0]]
    for family, title, judge, what in FAMILIES:
        marks = {**dict.fromkeys(judge.CONTENT, " *content*"), **dict.fromkeys(judge.MINOR, " *minor*")}
        rows = [
            _row(f"`{rule}`{marks.get(rule, '')}", meaning, NOTES[family][rule])
            for rule, meaning in judge.RULES.items()
        ]
        parts.append(
            f"\n## {title}\n\nStreams of {what}.\n\n"
            "| rule | what must be true | broken by | what breaks |\n|---|---|---|---|\n"
            + "\n".join(rows)
            + "\n"
        )
    listed = [f"| {id_} | {text[0].upper()}{text[1:]}. |" for id_, text in DEFECTS.items()]
    parts.append(
        "\n## Defects\n\n"
        "The releases are those in which a defect was recorded or read in the source, from 0.10.0 to 0.33.0.\n\n"
        "| id | what comes |\n|---|---|\n" + "\n".join(listed) + "\n"
    )
    return "".join(parts)


def _row(name: str, meaning: str, note: Note) -> str:
    cells = (name, meaning, " ".join(note.defects), note.breaks)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    DOCUMENT.write_text(document(DOCUMENT.read_text("utf-8")), "utf-8")
