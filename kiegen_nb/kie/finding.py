"""Looking things up in the catalogue, and showing what was found as a table."""

from __future__ import annotations

import difflib
import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kiegen_nb.kie.entries import Model

_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)*")
_ROWS = 400  # more rows make a notebook slow to open
_SIMILAR, _AS_SIMILAR = 0.72, 0.05
_EXACT, _START, _INSIDE, _ABOUT, _SLIP = 8.0, 5.0, 3.0, 2.0, 1.0


class ModelList(list["Model"]):
    """Models, shown as a table."""

    def __repr__(self) -> str:
        width = max((len(model.slug) for model in self), default=0)
        rows = [f"{model.slug:<{width}}  {model.category}  {model.credits_text or 'price unknown'}" for model in self]
        return "\n".join(rows) or "no models"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        rows = [_row(model) for model in self[:_ROWS]]
        more = f"<p>{len(self) - _ROWS} more</p>" if len(self) > _ROWS else ""
        return _table(("Model", "Category", "Credits", "Fields", ""), rows) + more


def model_html(model: Model) -> str:
    """Return a model and its fields as a table; everything in it is text."""
    facts = [model.category, f"credits: {model.credits_text or 'price unknown'}", model.note, model.status_note]
    rows = [
        (
            f"{param.name}{'*' if param.required else ''}",
            param.type,
            _limits_text(model, param.name),
            "" if param.default is None else repr(param.default),
            param.description,
        )
        for param in model.params
    ]
    head = "".join(f"<div>{html.escape(fact)}</div>" for fact in facts if fact)
    more = "" if model.complete else "<p>More fields may exist; these are the known ones.</p>"
    table = _table(("Field", "Type", "Allowed", "Default", ""), rows)
    return f"<strong>{html.escape(model.slug)}</strong>{head}{table}{more}"


def search(models: Iterable[Model], query: str, category: str | None) -> ModelList:
    """Return the models that fit all words of a query, the best first."""
    chosen = [model for model in models if category is None or _in_category(model, category)]
    words = _WORD.findall(query.lower())
    if not words:
        return ModelList(chosen if not query.strip() else [])
    texts = [(model, _words(model.slug), _words(f"{model.category} {model.family} {model.note}")) for model in chosen]
    vocabulary = sorted({word for _, slug, about in texts for word in (*slug, *about)})
    # Only a word that nothing begins with is taken for a slip of the pen.
    slips = {
        word: _closest(word, vocabulary) for word in words if not any(known.startswith(word) for known in vocabulary)
    }
    whole = query.strip().lower()
    found = []
    for place, (model, slug, about) in enumerate(texts):
        scores = [_score(word, model.slug.lower(), slug, about, slips.get(word, set())) for word in words]
        if all(scores):
            lowered = model.slug.lower()
            bonus = 100.0 if lowered == whole else 10.0 if whole in lowered else 0.0
            found.append((-(bonus + sum(scores)), len(model.slug), place, model))
    return ModelList(model for *_, model in sorted(found, key=lambda row: row[:3]))


def close_slugs(slugs: Iterable[str], wrong: str) -> list[str]:
    """Return up to three slugs that look like a wrong one."""
    known = list(slugs)
    close = difflib.get_close_matches(wrong, known, n=3, cutoff=0.6)
    return close or [slug for slug in known if wrong and wrong.lower() in slug.lower()][:3]


def _score(word: str, slug: str, slug_words: list[str], about: list[str], slips: set[str]) -> float:
    if word in slug_words:
        return _EXACT
    if any(known.startswith(word) for known in slug_words):
        return _START
    if word in slug:
        return _INSIDE
    if any(known.startswith(word) for known in about):
        return _ABOUT
    return _SLIP if slips.intersection(slug_words) or slips.intersection(about) else 0.0


def _closest(word: str, vocabulary: list[str]) -> set[str]:
    """Return the words a slip of the pen may stand for: the most similar one, and what is as similar."""
    likeness = {
        known: difflib.SequenceMatcher(None, word, known).ratio()
        for known in difflib.get_close_matches(word, vocabulary, n=4, cutoff=_SIMILAR)
    }
    best = max(likeness.values(), default=0.0)
    return {known for known, ratio in likeness.items() if ratio >= best - _AS_SIMILAR}


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _in_category(model: Model, category: str) -> bool:
    wanted = category.strip().lower().replace(" ", "-")
    return wanted in model.category.split("|") or wanted == model.asset_kind.value


def _limits_text(model: Model, name: str) -> str:
    param = model.by_name[name]
    parts = [", ".join(str(value) for value in param.enum)]
    if param.min is not None or param.max is not None:
        low, high = ("" if edge is None else f"{edge:g}" for edge in (param.min, param.max))
        parts.append(f"{low} to {high}" if low and high else f"from {low}" if low else f"up to {high}")
    parts += [f"or {value:g}" for value in param.also]
    if param.max_length is not None:
        parts.append(f"up to {param.max_length:,} characters")
    if param.max_items is not None:
        parts.append(f"up to {param.max_items}")
    return ", ".join(part for part in parts if part)


def _row(model: Model) -> tuple[str, ...]:
    fields = ", ".join(f"{param.name}{'*' if param.required else ''}" for param in model.params)
    return (model.slug, model.category, model.credits_text or "price unknown", fields, model.status_note)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    top = "".join(f"<th style='text-align:left'>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
