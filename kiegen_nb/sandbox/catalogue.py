"""The catalogue's paths: the list of models, one model's schema, price and success rate, and the price feed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from .checks import RefusedError
from .handlers import ApiHandler, BaseHandler
from .plans import chance
from .prices import price, price_text

if TYPE_CHECKING:
    from collections.abc import Mapping

BUCKET = 600
BUCKETS = 144
USD_PER_CREDIT = 0.005
MOST_PER_PAGE = 500
_PROVIDERS = {
    "ai-music-api": "Suno",
    "bytedance": "ByteDance",
    "elevenlabs": "ElevenLabs",
    "google": "Google",
    "gpt": "OpenAI",
    "grok": "Grok",
    "hailuo": "Hailuo",
    "ideogram": "Ideogram",
    "kling": "Kling",
    "nano": "Google",
    "qwen": "Qwen",
    "seedream": "ByteDance",
    "sora": "OpenAI",
    "veo": "Google",
    "wan": "Wan",
}
_JSON_TYPES = {"array": {"type": "array"}, "object": {"type": "object"}}


def provider(slug: str) -> str:
    """Return who makes a model, as far as its name tells."""
    known = next((name for begins, name in _PROVIDERS.items() if slug.startswith(begins)), None)
    return known or re.split(r"[-/0-9]", slug)[0].capitalize()


def listing(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's line in the list."""
    slug = entry["slug"]
    return {
        "model": slug,
        "slug": slug,
        "title": re.sub(r"[-/]", " ", slug).title(),
        "provider": provider(slug),
        "taskType": str(entry["category"]).split("|"),
        "description": None,
        "pricingDesc": str(entry.get("credits") or "") or None,
    }


def openapi(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a model's schema as an OpenAPI document; None where only parts of it are known."""
    if not entry.get("params_complete", True):
        return None
    fields = {name: _json_schema(rule) for name, rule in entry["params"].items()}
    needed = [name for name, rule in entry["params"].items() if rule["required"]]
    body = {
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": {"type": "string", "enum": [entry["slug"]], "default": entry["slug"]},
            "callBackUrl": {"type": "string", "format": "uri"},
            "input": {"type": "object", "properties": fields, "required": needed},
        },
    }
    post = {
        "summary": entry["slug"],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": {"description": "Request successful"}},
    }
    return {
        "openapi": "3.0.1",
        "info": {"title": entry["slug"], "version": "1.0.0"},
        "paths": {"/api/v1/jobs/createTask": {"post": post}},
    }


def _json_schema(rule: Mapping[str, Any]) -> dict[str, Any]:
    of_type = str(rule["type"])
    schema: dict[str, Any] = {"type": of_type}
    if of_type.startswith("array<"):
        inner = of_type[6:-1]
        schema = {"type": "array", "items": dict(_JSON_TYPES.get(inner, {"type": inner}))}
        if "item_properties" in rule:
            parts = rule["item_properties"]
            schema["items"]["properties"] = {name: _json_schema(part) for name, part in parts.items()}
            schema["items"]["required"] = [name for name, part in parts.items() if part.get("required")]
    same = ("enum", "default", "minLength", "maxLength", "minItems", "maxItems", "deprecated")
    schema |= {name: rule[name] for name in same if name in rule}
    renamed = {"min": "minimum", "max": "maximum", "step": "multipleOf", "description_short": "description"}
    return schema | {new: rule[old] for old, new in renamed.items() if old in rule}


class CatalogueHandler(ApiHandler):
    """A question to the catalogue: one per second and account, all kinds together."""

    route = "catalogue"

    def entries(self, account: str) -> dict[str, dict[str, Any]]:
        """Return the models of today; what left the service is not listed, though the sandbox still makes it."""
        self.sandbox.limit_catalogue(account)
        return {slug: entry for slug, entry in self.sandbox.catalogue.items() if entry["status"] != "removed"}


class Models(CatalogueHandler):
    """``GET /api/v1/models``."""

    async def get(self) -> None:
        """List the models that fit ``q``, ``provider`` and ``taskType``."""
        await self.respond(self._list)

    def _list(self, account: str) -> dict[str, Any]:
        lines = [listing(entry) for entry in self.entries(account).values()]
        words = self.get_query_argument("q", "").lower()
        maker = self.get_query_argument("provider", "").lower()
        kinds = {kind for kind in self.get_query_argument("taskType", "").split(",") if kind}
        fitting = [
            line
            for line in lines
            if (words in f"{line['model']} {line['title']} {line['provider']}".lower())
            and (not maker or line["provider"].lower() == maker)
            and (not kinds or kinds & set(line["taskType"]))
        ]
        return {"total": len(fitting), "models": fitting}


class OneModel(CatalogueHandler):
    """``GET /api/v1/models/<id>/{schema,price,success-rate}``; the id's slash is not encoded."""

    async def get(self, slug: str, what: str) -> None:
        """Answer one fact about a model."""
        await self.respond(lambda account: self._tell(account, slug, what))

    def _tell(self, account: str, slug: str, what: str) -> dict[str, Any]:
        entry = self.entries(account).get(slug)
        if entry is None:
            raise RefusedError(404, "Model not found")
        if what == "schema":
            return {"model": slug, "openapi": openapi(entry)}
        if what == "price":
            return {"model": slug, "pricingDesc": listing(entry)["pricingDesc"]}
        last = int(self.sandbox.store.clock()) // BUCKET
        return {"model": slug, "points": [_point(slug, number) for number in range(last - BUCKETS, last)]}


def _point(slug: str, bucket: int) -> dict[str, Any]:
    failed = round(chance(slug, bucket) ** 4 * 0.1, 4)
    return {
        "start": bucket * BUCKET * 1000,
        "end": (bucket + 1) * BUCKET * 1000,
        "successRate": round(1 - failed, 4),
        "errorRate": failed,
        "isNormal": failed < 0.05,  # noqa: PLR2004 - one in twenty
    }


class PricePage(BaseHandler):
    """``POST /client/v1/model-pricing/page``: the public price feed, which needs no key."""

    route = "catalogue"

    async def post(self) -> None:
        """Answer one page of prices."""
        if await self.faulted("before"):
            return
        try:
            asked = json.loads(self.request.body or b"{}")
            page, size = int(asked.get("pageNum", 1)), int(asked.get("pageSize", 100))
        except (ValueError, TypeError, AttributeError):
            self.envelope(400, "The request body is not valid JSON")
            return
        words = str(asked.get("modelDescription") or "").lower()
        records = [
            line
            for entry in self.sandbox.catalogue.values()
            if (line := _price_line(entry)) and words in line["modelDescription"].lower()
        ]
        size = min(max(size, 1), MOST_PER_PAGE)
        begin = (max(page, 1) - 1) * size
        pages = -(-len(records) // size)
        data = {"total": len(records), "current": page, "size": size, "pages": pages}
        if not await self.faulted("after"):
            self.envelope(200, "success", {**data, "records": records[begin : begin + size]})


def _price_line(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    text = price_text(entry)
    if entry["status"] == "removed" or not text or text.startswith("not "):
        return None
    credits_ = f"{price(entry, seconds=1.0):g}"
    made = str(entry["category"]).split("|")[0]
    unit = "per second" if "per s" in text else "per image" if made.endswith("to-image") else "per generation"
    return {
        "modelDescription": f"{provider(entry['slug'])}, {entry['slug']}, {made}",
        "creditPrice": credits_,
        "creditUnit": "per 1000 characters" if "1000 chars" in text else unit,
        "usdPrice": f"{float(credits_) * USD_PER_CREDIT:g}",
    }


CATALOGUE_ROUTES: list[tuple[Any, ...]] = [
    (r"/api/v1/models", Models),
    (r"/api/v1/models/(.+)/(schema|price|success-rate)", OneModel),
    (r"/client/v1/model-pricing/page", PricePage),
]
