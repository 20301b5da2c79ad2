"""The report of `probe` as text and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from vllm_sse_proxy import __version__
from vllm_sse_proxy.demo.report import Screen, printable, protocol_cell, render
from vllm_sse_proxy.probe.verdicts import ExitCode, Report, Result, Verdict

if TYPE_CHECKING:
    from vllm_sse_proxy.probe.verdicts import Finding

_NAME: Final = 24
_VERDICT: Final = 12
_MOST_CLIENTS: Final = 4
_NOTHING_SEEN: Final = "no text, no call"

HONESTLY: Final = (
    "A few short requests to one model show what they provoke, and no more: other requests, tools, limits and several tokens "
    "a step may show more. docs/compatibility.md has what is known of each release."
)


def text(report: Report, screen: Screen, *, details: bool = False) -> str:
    """Return the report as text.

    :param details: show every answer that is not fine side by side, as the demo does.
    """
    lines = [*_head(report, screen), ""]
    for path, why in report.absent.items():
        lines += _wrapped(f"{path}: not served ({printable(why)[:160]})", screen, "")
    for protocol in report.protocols:
        lines += ["", f"{screen.bold}{protocol.path}{screen.off}"]
        for result in report.of(protocol):
            lines += _result(result, screen)
    if details:
        lines += ["", *_details(report, screen)]
    lines += ["", *_findings(report, screen), *_limits(report, screen), "", *_conclusion(report, screen)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def document(report: Report) -> dict[str, Any]:
    """Return the report as a JSON document."""
    target = report.target
    return {
        "probe": __version__,
        "url": target.url,
        "version": target.version,
        "model": target.model,
        "models": target.models,
        "notes": notes(report),
        "died_at": report.died_at,
        "exit_code": int(report.exit_code),
        "conclusion": report.exit_code.meaning,
        "requests": report.sent,
        "seconds": round(report.seconds, 1),
        "verdicts": {verdict.value: report.count(verdict) for verdict in Verdict},
        "not_served": report.absent,
        "results": [_as_json(result) for result in report.results],
        "repairs": [_finding_as_json(finding) for finding in report.findings()],
        "limits": [
            {"path": result.case.protocol.path, "request": result.case.name, "why": limit}
            for result, limit in report.limits()
        ],
    }


def as_text(report: Report) -> str:
    """Return the report as JSON text."""
    return json.dumps(document(report), indent=2, ensure_ascii=False) + "\n"


def seen(result: Result) -> str:
    """Return what came, so that a reader can see what there was to judge."""
    both = result.comparison
    if both is None:
        return result.remark
    error = both.before.answer.error_message
    if error is not None:
        return printable(error)
    readings = [*both.after.readings.values(), *both.before.readings.values()]
    kinds = ["reasoning"] if any(reading.thinking for reading in readings) else []
    calls = max((len(reading.calls) for reading in readings), default=0)
    kinds += ["text"] if any("".join(reading.texts).strip() for reading in readings) else []
    kinds += [f"{calls} call" + "s" * (calls > 1)] if calls else []
    shown = ", ".join(kinds) or _NOTHING_SEEN
    return shown + (" (the model calls a tool that it was not offered)" if both.before.of_the_model else "")


def found(result: Result) -> str:
    """Return what is wrong with an answer as it came; empty if nothing is."""
    both = result.comparison
    if both is None:
        return ""
    if both.before.answer.error_message is not None:
        return "" if result.verdict is Verdict.REFUSED else seen(result)
    said = [] if both.before.is_rightly_sent else [protocol_cell(both.before).text]
    for label in result.misled:
        problems = "; ".join(both.before.readings[label].problems)
        said.append(f"{label}: {problems or 'gets another answer than was meant'}")
    return printable("; ".join(said))


def _head(report: Report, screen: Screen) -> list[str]:
    target = report.target
    release = f"vLLM {target.version}" if target.version else "a server without /version"
    title = _wrapped(f"{release} at {target.url}, model {printable(target.model)}", screen, "")
    lines = [f"{screen.bold}{line}{screen.off}" for line in title]
    lines += _wrapped(f"{report.sent} requests in {report.seconds:.1f} s: {_counts(report)}", screen, "")
    for note in notes(report):
        lines += _wrapped(note, screen, "")
    return lines


def notes(report: Report) -> list[str]:
    """Return what the reader should know before the results."""
    died = f"The server DIED at the request {report.died_at!r}: it stopped to work, and was asked no more."
    return [*report.target.notes, *([] if report.died_at is None else [died])]


def _counts(report: Report) -> str:
    counts = Counter(result.verdict for result in report.results)
    return ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])


def _result(result: Result, screen: Screen) -> list[str]:
    colours = {
        Verdict.FINE: screen.good,
        Verdict.ADAPTED: screen.good,
        Verdict.FORMAL: screen.dim,
        Verdict.UNREPAIRED: screen.bad,
        Verdict.REPAIRED: screen.bad,
    }
    colour = colours.get(result.verdict, screen.dim)
    head = f"  {result.case.name:{_NAME}} {colour}{result.verdict.value:{_VERDICT}}{screen.off} "
    said = found(result) or seen(result)
    indent = " " * (_NAME + _VERDICT + 4)
    body = textwrap.wrap(said, max(screen.width - len(indent), 20), max_lines=2, placeholder=" …") or [""]
    return [head + body[0], *(indent + line for line in body[1:])]


def _details(report: Report, screen: Screen) -> list[str]:
    quiet = {Verdict.FINE, Verdict.SKIPPED}
    shown = [result.comparison for result in report.results if result.verdict not in quiet]
    return [render(comparison, screen) for comparison in shown if comparison is not None]


def _findings(report: Report, screen: Screen) -> list[str]:
    findings = report.findings()
    if not findings:
        return ["What the proxy does: nothing; every stream leaves it as it came."]
    lines = [f"{screen.bold}What the proxy does about it{screen.off}"]
    for finding in findings:
        requests = "1 request" if len(finding.cases) == 1 else f"{len(finding.cases)} requests"
        lines += _wrapped(
            f"{finding.name} ({finding.protocol.family.name}, {requests}): {finding.summary}", screen, "  "
        )
        lines += _wrapped(f"matters to: {clients(finding)}", screen, "      ")
    return lines


def clients(finding: Finding, most: int = _MOST_CLIENTS) -> str:
    """Return the clients that a finding matters to, for a reader."""
    names = finding.clients
    if not names:
        unknown = finding.measured is None
        return (
            "not measured with real clients"
            if unknown
            else "no client that was measured; the protocol wants it"
        )
    if finding.measured is not None and len(names) == finding.measured > 1:
        return f"all {len(names)} clients that were measured"
    more = len(names) - most
    return "; ".join(names[:most]) + (f"; and {more} more" if more > 0 else "")


def _limits(report: Report, screen: Screen) -> list[str]:
    limits = report.limits()
    if not limits:
        return []
    lines = ["", f"{screen.bold}What it cannot do{screen.off}"]
    for result, why in limits:
        lines += _wrapped(f"{result.case.protocol.path}, {result.case.name}: {printable(why)}", screen, "  ")
    return lines


def _conclusion(report: Report, screen: Screen) -> list[str]:
    code = report.exit_code
    colour = screen.good if code is ExitCode.FINE else screen.bad
    said = _wrapped(f"{code.meaning[0].upper()}{code.meaning[1:]} (exit code {code}).", screen, "")
    return [*(f"{colour}{line}{screen.off}" for line in said), *_wrapped(HONESTLY, screen, "")]


def _wrapped(said: str, screen: Screen, indent: str) -> list[str]:
    return textwrap.wrap(said, screen.width, initial_indent=indent, subsequent_indent=indent + "  ")


def _as_json(result: Result) -> dict[str, Any]:
    both = result.comparison
    made: dict[str, Any] = {
        "path": result.case.protocol.path,
        "request": result.case.name,
        "verdict": result.verdict.value,
        "seen": seen(result),
        "found": found(result),
        "repairs": list(result.corrections),
        "clients": list(result.clients),
    }
    if both is not None:
        made["violations"] = [str(violation) for violation in both.before.violations]
        made["violations_after"] = [str(violation) for violation in both.after.violations]
        made["sent"] = both.asked.request
    return made


def _finding_as_json(finding: Finding) -> dict[str, Any]:
    return {
        "family": finding.protocol.family.name,
        "repair": finding.name,
        "summary": finding.summary,
        "requests": list(finding.cases),
        "clients": list(finding.clients),
    }
