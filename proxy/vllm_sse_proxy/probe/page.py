"""The report of `probe` as one page of HTML that needs nothing else: no script, no font, no picture."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from vllm_sse_proxy import __version__
from vllm_sse_proxy.probe.report import HONESTLY, clients, found, notes, seen
from vllm_sse_proxy.probe.verdicts import ExitCode, Report, Result, Verdict

if TYPE_CHECKING:
    from vllm_sse_proxy.demo.report import Cell, Comparison
    from vllm_sse_proxy.probe.verdicts import Finding

_ALL: Final = 99

_STYLE: Final = """
:root { color-scheme: light dark; --line: #d8dce3; --dim: #5d6675; --good: #14713a; --bad: #b3261e; --fixed: #8a5a00;
  --card: #f6f7f9; --page: #fff; --text: #1b1f26; }
@media (prefers-color-scheme: dark) { :root { --line: #343b47; --dim: #9aa4b4; --good: #5fd08a; --bad: #ff8a80;
  --fixed: #f0bf5f; --card: #1d222a; --page: #14181e; --text: #e6e9ee; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem 4rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h2 code { font-size: 1.1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p { margin: .4rem 0; } .dim { color: var(--dim); }
.conclusion { border-left: .3rem solid var(--tone); background: var(--card); padding: .8rem 1rem; margin: 1.2rem 0;
  font-size: 1.05rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; color: var(--dim); font-weight: 600; }
th, td { border-bottom: 1px solid var(--line); padding: .45rem .6rem; vertical-align: top; overflow-wrap: break-word; }
td:first-child { white-space: nowrap; }
code { font: 13px/1.4 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.chip { display: inline-block; border: 1px solid currentColor; border-radius: 1rem; padding: 0 .6rem; font-size: .85rem;
  white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .fixed { color: var(--fixed); }
summary { cursor: pointer; color: var(--dim); } details table { margin: .5rem 0 1rem; background: var(--card); }
.scroll { overflow-x: auto; }
@media (max-width: 40rem) { td:first-child { white-space: normal; } body { padding: 1rem .75rem; } }
"""

_TONES: Final = {
    Verdict.FINE: "good",
    Verdict.ADAPTED: "good",
    Verdict.FORMAL: "dim",
    Verdict.REPAIRED: "fixed",
    Verdict.UNREPAIRED: "bad",
    Verdict.REFUSED: "dim",
    Verdict.SKIPPED: "dim",
}
_CONCLUSIONS: Final = {ExitCode.FINE: "good", ExitCode.REPAIRED: "fixed"}


def page(report: Report, written_at: str) -> str:
    """Return the page.

    :param written_at: the time, for people.
    """
    target = report.target
    release = f"vLLM {target.version}" if target.version else "A server without /version"
    tone = _CONCLUSIONS.get(report.exit_code, "bad")
    said = report.exit_code.meaning
    facts = (
        target.url,
        f"{report.sent} requests in {report.seconds:.1f} s",
        written_at,
        f"vllm-sse-proxy {__version__}",
    )
    parts = [
        f"<h1>{escape(release)}, model {escape(target.model)}</h1>",
        f'<p class="dim">{" · ".join(map(escape, facts))}</p>',
        *(f"<p>{escape(note)}</p>" for note in notes(report)),
        f'<p class="conclusion" style="--tone: var(--{tone})">{escape(said[0].upper() + said[1:])}.</p>',
        _legend(report),
        *_findings(report),
        *_limits(report),
    ]
    for protocol in report.protocols:
        parts += [f"<h2><code>{escape(protocol.path)}</code></h2>", _results(report.of(protocol))]
    if report.absent:
        parts.append("<h2>Not served</h2>")
        parts += [f"<p><code>{escape(path)}</code> {escape(why)}</p>" for path, why in report.absent.items()]
    parts.append(f'<p class="dim">{escape(HONESTLY)}</p>')
    body = "\n".join(parts)
    title = escape(f"{release}: what is broken in it")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _legend(report: Report) -> str:
    rows = [
        f"<tr><td>{_chip(verdict)}</td><td>{report.count(verdict)}</td><td>{escape(verdict.meaning)}</td></tr>"
        for verdict in Verdict
        if report.count(verdict)
    ]
    return f"<table>{''.join(rows)}</table>"


def _chip(verdict: Verdict) -> str:
    return f'<span class="chip {_TONES[verdict]}">{escape(verdict.value)}</span>'


def _findings(report: Report) -> list[str]:
    findings = report.findings()
    if not findings:
        return ["<h2>What the proxy does</h2>", "<p>Nothing: every stream leaves it as it came.</p>"]
    rows = [_finding(one, len(report.of(one.protocol))) for one in findings]
    head = "<tr><th>repair</th><th>what it does</th><th>requests</th><th>matters to</th></tr>"
    return [
        "<h2>What the proxy does about it</h2>",
        f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>',
    ]


def _finding(one: Finding, of: int) -> str:
    asked = f"all {of}" if len(one.cases) == of else ", ".join(one.cases)
    return (
        f'<tr><td><code>{escape(one.name)}</code><br><span class="dim">{escape(one.protocol.family.name)}</span></td>'
        f"<td>{_prose(one.summary)}</td><td>{escape(asked)}</td><td>{_prose(clients(one, _ALL))}</td></tr>"
    )


def _prose(text: str) -> str:
    """Return a text of ours as HTML: what stands in backquotes is code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _limits(report: Report) -> list[str]:
    limits = report.limits()
    if not limits:
        return []
    rows = [
        f"<tr><td>{escape(result.case.name)}</td><td><code>{escape(result.case.protocol.path)}</code></td>"
        f'<td class="bad">{escape(why)}</td></tr>'
        for result, why in limits
    ]
    return ["<h2>What it cannot do</h2>", f"<table>{''.join(rows)}</table>"]


def _results(results: list[Result]) -> str:
    head = "<tr><th>request</th><th></th><th>what came</th><th>what is wrong with it</th></tr>"
    rows = []
    for result in results:
        wrong = escape(found(result)) + _details(result)
        rows.append(
            f"<tr><td>{escape(result.case.name)}</td><td>{_chip(result.verdict)}</td>"
            f"<td>{escape(seen(result))}</td><td>{wrong}</td></tr>"
        )
    return f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>'


def _details(result: Result) -> str:
    both = result.comparison
    if both is None or result.verdict is Verdict.FINE:
        return ""
    rows = [
        f"<tr><td>{escape(row.label.strip())}</td>{_cell(row.before, 'bad')}{_cell(row.after, 'dim')}</tr>"
        for row in both.rows()
    ]
    counted = _counted(both, result)
    return (
        f"<details><summary>before and after</summary><table><tr><th></th><th>direct</th><th>through the proxy</th></tr>"
        f"{''.join(rows)}{counted}</table></details>"
    )


def _counted(both: Comparison, result: Result) -> str:
    said = " · ".join(
        [*(f"{name} (request)" for name in result.requests), *([both.counted] if both.counted else [])]
    )
    return f'<tr><td>repairs</td><td colspan="2"><code>{escape(said)}</code></td></tr>' if said else ""


def _cell(cell: Cell, otherwise: str) -> str:
    if cell.good is None:
        return f"<td>{escape(cell.text)}</td>"
    return f'<td class="{"good" if cell.good else otherwise}">{escape(cell.text)}</td>'
