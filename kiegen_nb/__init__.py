"""Kie.ai pictures and videos in Jupyter: typed parameters, forms, a live gallery, safe batches.

Names are loaded when they are first used, so that importing the package is quick and loads no widget library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "Asset": "kiegen_nb.tasks",
    "Batch": "kiegen_nb.batch.batch",
    "BatchFailed": "kiegen_nb.errors",
    "BatchTimeout": "kiegen_nb.errors",
    "BudgetExceeded": "kiegen_nb.errors",
    "Cleaned": "kiegen_nb.engine.cleaning",
    "ConfigurationError": "kiegen_nb.errors",
    "Form": "kiegen_nb.widgets.form",
    "Gallery": "kiegen_nb.widgets.gallery",
    "GenerationTask": "kiegen_nb.tasks",
    "Grid": "kiegen_nb.widgets.grid",
    "Health": "kiegen_nb.engine.health",
    "InvalidParams": "kiegen_nb.errors",
    "KeyLimitReached": "kiegen_nb.errors",
    "KeyRefused": "kiegen_nb.errors",
    "KieImagen4Params": "kiegen_nb.kie.models.imagen4",
    "KieMarketParams": "kiegen_nb.kie.models.market",
    "KieMidjourneyParams": "kiegen_nb.kie.models.midjourney",
    "KieSora2Params": "kiegen_nb.kie.models.sora2",
    "KieVeo3Params": "kiegen_nb.kie.models.veo3",
    "KiegenError": "kiegen_nb.errors",
    "LookFailed": "kiegen_nb.errors",
    "Maintenance": "kiegen_nb.errors",
    "MediaError": "kiegen_nb.errors",
    "MissingKey": "kiegen_nb.errors",
    "ModelUnavailable": "kiegen_nb.errors",
    "NotFound": "kiegen_nb.errors",
    "OutOfCredits": "kiegen_nb.errors",
    "Plan": "kiegen_nb.batch.plan",
    "PlanItem": "kiegen_nb.batch.plan",
    "ProviderParams": "kiegen_nb.kie.models",
    "RateLimited": "kiegen_nb.errors",
    "RequestRefused": "kiegen_nb.errors",
    "SandboxError": "kiegen_nb.errors",
    "ServiceError": "kiegen_nb.errors",
    "ServiceUnavailable": "kiegen_nb.errors",
    "Session": "kiegen_nb.session",
    "SessionClosed": "kiegen_nb.errors",
    "StoreError": "kiegen_nb.errors",
    "StoreOnNetworkFolder": "kiegen_nb.errors",
    "StoreTooNew": "kiegen_nb.errors",
    "Studio": "kiegen_nb.widgets.studio",
    "TaskError": "kiegen_nb.errors",
    "TaskEvent": "kiegen_nb.engine.journal",
    "TaskFailed": "kiegen_nb.errors",
    "TaskHandle": "kiegen_nb.engine.handle",
    "TaskQuery": "kiegen_nb.engine.query",
    "TaskStatus": "kiegen_nb.tasks",
    "TaskTimeout": "kiegen_nb.errors",
    "TaskUnconfirmed": "kiegen_nb.errors",
    "UnreadableAnswer": "kiegen_nb.errors",
    "UploadCancelled": "kiegen_nb.errors",
    "UploadError": "kiegen_nb.errors",
    "UploadHandle": "kiegen_nb.engine.upload_handle",
    "UploadResult": "kiegen_nb.tasks",
    "UploadWidget": "kiegen_nb.widgets.upload",
    "WrongThread": "kiegen_nb.errors",
    "allow_nested_run": "kiegen_nb.nesting",
    "catalogue": "kiegen_nb.kie.catalogue",
    "compare": "kiegen_nb.widgets.compare",
    "fixed_seeds": "kiegen_nb.batch.axes",
    "imagen4": "kiegen_nb.kie.models.imagen4",
    "market": "kiegen_nb.kie.models.market",
    "midjourney": "kiegen_nb.kie.models.midjourney",
    "params_from": "kiegen_nb.provenance",
    "query_keys": "kiegen_nb.engine.query",
    "search_replace": "kiegen_nb.batch.axes",
    "sora2": "kiegen_nb.kie.models.sora2",
    "sweep": "kiegen_nb.batch.plan",
    "veo3": "kiegen_nb.kie.models.veo3",
}

if TYPE_CHECKING:
    from kiegen_nb.batch.axes import fixed_seeds as fixed_seeds
    from kiegen_nb.batch.axes import search_replace as search_replace
    from kiegen_nb.batch.batch import Batch as Batch
    from kiegen_nb.batch.plan import Plan as Plan
    from kiegen_nb.batch.plan import PlanItem as PlanItem
    from kiegen_nb.batch.plan import sweep as sweep
    from kiegen_nb.engine.cleaning import Cleaned as Cleaned
    from kiegen_nb.engine.handle import TaskHandle as TaskHandle
    from kiegen_nb.engine.health import Health as Health
    from kiegen_nb.engine.journal import TaskEvent as TaskEvent
    from kiegen_nb.engine.query import TaskQuery as TaskQuery
    from kiegen_nb.engine.query import query_keys as query_keys
    from kiegen_nb.engine.upload_handle import UploadHandle as UploadHandle
    from kiegen_nb.errors import BatchFailed as BatchFailed
    from kiegen_nb.errors import BatchTimeout as BatchTimeout
    from kiegen_nb.errors import BudgetExceeded as BudgetExceeded
    from kiegen_nb.errors import ConfigurationError as ConfigurationError
    from kiegen_nb.errors import InvalidParams as InvalidParams
    from kiegen_nb.errors import KeyLimitReached as KeyLimitReached
    from kiegen_nb.errors import KeyRefused as KeyRefused
    from kiegen_nb.errors import KiegenError as KiegenError
    from kiegen_nb.errors import LookFailed as LookFailed
    from kiegen_nb.errors import Maintenance as Maintenance
    from kiegen_nb.errors import MediaError as MediaError
    from kiegen_nb.errors import MissingKey as MissingKey
    from kiegen_nb.errors import ModelUnavailable as ModelUnavailable
    from kiegen_nb.errors import NotFound as NotFound
    from kiegen_nb.errors import OutOfCredits as OutOfCredits
    from kiegen_nb.errors import RateLimited as RateLimited
    from kiegen_nb.errors import RequestRefused as RequestRefused
    from kiegen_nb.errors import SandboxError as SandboxError
    from kiegen_nb.errors import ServiceError as ServiceError
    from kiegen_nb.errors import ServiceUnavailable as ServiceUnavailable
    from kiegen_nb.errors import SessionClosed as SessionClosed
    from kiegen_nb.errors import StoreError as StoreError
    from kiegen_nb.errors import StoreOnNetworkFolder as StoreOnNetworkFolder
    from kiegen_nb.errors import StoreTooNew as StoreTooNew
    from kiegen_nb.errors import TaskError as TaskError
    from kiegen_nb.errors import TaskFailed as TaskFailed
    from kiegen_nb.errors import TaskTimeout as TaskTimeout
    from kiegen_nb.errors import TaskUnconfirmed as TaskUnconfirmed
    from kiegen_nb.errors import UnreadableAnswer as UnreadableAnswer
    from kiegen_nb.errors import UploadCancelled as UploadCancelled
    from kiegen_nb.errors import UploadError as UploadError
    from kiegen_nb.errors import WrongThread as WrongThread
    from kiegen_nb.kie.catalogue import catalogue as catalogue
    from kiegen_nb.kie.models import ProviderParams as ProviderParams
    from kiegen_nb.kie.models.imagen4 import KieImagen4Params as KieImagen4Params
    from kiegen_nb.kie.models.imagen4 import imagen4 as imagen4
    from kiegen_nb.kie.models.market import KieMarketParams as KieMarketParams
    from kiegen_nb.kie.models.market import market as market
    from kiegen_nb.kie.models.midjourney import KieMidjourneyParams as KieMidjourneyParams
    from kiegen_nb.kie.models.midjourney import midjourney as midjourney
    from kiegen_nb.kie.models.sora2 import KieSora2Params as KieSora2Params
    from kiegen_nb.kie.models.sora2 import sora2 as sora2
    from kiegen_nb.kie.models.veo3 import KieVeo3Params as KieVeo3Params
    from kiegen_nb.kie.models.veo3 import veo3 as veo3
    from kiegen_nb.nesting import allow_nested_run as allow_nested_run
    from kiegen_nb.provenance import params_from as params_from
    from kiegen_nb.session import Session as Session
    from kiegen_nb.tasks import Asset as Asset
    from kiegen_nb.tasks import GenerationTask as GenerationTask
    from kiegen_nb.tasks import TaskStatus as TaskStatus
    from kiegen_nb.tasks import UploadResult as UploadResult
    from kiegen_nb.widgets.compare import compare as compare
    from kiegen_nb.widgets.form import Form as Form
    from kiegen_nb.widgets.gallery import Gallery as Gallery
    from kiegen_nb.widgets.grid import Grid as Grid
    from kiegen_nb.widgets.studio import Studio as Studio
    from kiegen_nb.widgets.upload import UploadWidget as UploadWidget

__all__ = sorted(_HOME)  # noqa: PLE0605 - a test holds it against the table and the imports above


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Say where the server extension is; Jupyter asks each package that it is told to load."""
    return [{"module": "kiegen_nb.server", "name": "kiegen_nb"}]
