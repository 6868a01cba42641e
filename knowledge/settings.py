"""Deployment settings: read from the environment (`ENGRAIN_…`), once, by whoever starts a process.

How training is done is not a setting: that is a `Recipe` (`knowledge/recipes.py`), saved with each adapter. A setting
chooses one by its name.
"""

import os
import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from knowledge.errors import InvalidRecipe, InvalidSettings
from knowledge.recipes import by_name

PREFIX = "ENGRAIN_"
CLIENT_KEY = "ENGRAIN_API_KEY"
"""The one `ENGRAIN_` variable that is no setting: the key with which `engrain` asks a service."""

EMBEDDED_BASE_MODEL = "smollm2-135m-instruct"


class Settings(BaseSettings):
    """Every setting of a deployment. Unknown `ENGRAIN_…` names are refused by `Settings.read`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    data_folder: Path = Field(
        Path("engrain-data"), description="Folder that holds all state: store, broker, base model, adapters, logs."
    )
    base_model: str = Field(
        EMBEDDED_BASE_MODEL,
        description="The embedded model's name, a folder in Hugging Face form, or a hub name; with a chat template.",
    )
    host: str = Field("127.0.0.1", description="Address that the API listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port of the API.")
    store_url: str = Field("", description="SQLAlchemy URL of the store. Empty: a SQLite file in the data folder.")
    store_password_file: str = Field(
        "", description="File with the password that belongs into `ENGRAIN_STORE_URL`. Empty: the URL holds it."
    )
    broker_url: str = Field(
        "", description="Redis URL of the broker. Empty: the embedded broker, started by `engrain up`."
    )
    broker_password_file: str = Field(
        "", description="File with the password that belongs into `ENGRAIN_BROKER_URL`. Empty: the URL holds it."
    )
    broker_port: int = Field(6391, ge=1, le=65535, description="Loopback port of the embedded broker.")
    inference_urls: str = Field(
        "",
        description="Comma-separated base URLs of vLLM replicas; `dns+http://name:port` stands for every address that"
        " the name has. Empty: one, started by `engrain up`.",
    )
    inference_host: str = Field(
        "127.0.0.1", description="Address that vLLM listens on. It asks for no key: keep it from other networks."
    )
    inference_port: int = Field(
        8001, ge=1, le=65535, description="Port of the vLLM that `engrain up`, or `python -m inference.server`, starts."
    )
    max_lora_rank: int = Field(
        32, description="Highest adapter rank that vLLM accepts: 1, 8, 16, 32, 64, 128, 256, 320 or 512."
    )
    max_loaded_adapters: int = Field(4, ge=2, description="Adapters in one vLLM batch (its max_loras).")
    max_cached_adapters: int = Field(
        32,
        ge=2,
        description="Adapters that vLLM keeps in main memory (its max_cpu_loras); it reads others from their files.",
    )
    max_model_tokens: int = Field(2048, ge=256, description="Longest prompt plus answer in tokens.")
    kv_cache_gib: int = Field(1, ge=1, description="Key-value cache of vLLM on a CPU, in GiB.")
    merged_weights_gib: float = Field(
        1.0,
        ge=0,
        description="Memory on a CPU for merged weights of adapters that fill vLLM's batches, in GiB. 0: none.",
    )
    training_threads: int = Field(0, ge=0, description="Processor threads of the trainer. 0: all cores.")
    training_niceness: int = Field(
        10, ge=0, le=19, description="Unix niceness of the trainer, so that it yields to serving."
    )
    training_silent_seconds: float = Field(
        600.0, gt=0, description="How long the trainer may report nothing before it is stopped and its job tried again."
    )
    training_seconds: float = Field(
        14_400.0, gt=0, description="Longest training run in seconds; a job that needs more fails."
    )
    training_memory_gib: float = Field(
        0.0, ge=0, description="Main memory that the trainer may take, in GiB (its RLIMIT_DATA). 0: no limit."
    )
    recipe: str = Field(
        "default",
        description="Named recipe of new jobs: `default`, `paper`, or `drill`, which takes seconds and learns nothing.",
    )
    facts_per_adapter: int = Field(
        8,
        ge=1,
        description="Facts after which an adapter is trained no further: the next ones go into another, trained from"
        " the base model, and these stay as they are. A post of more at once is still one adapter.",
    )
    least_retention: float = Field(
        0.9, ge=0, le=1, description="Share of the earlier facts asked that a version must still know to become live."
    )
    least_canaries: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the general questions which the base model answers that a version must still answer to"
        " become live. 0: they are not asked.",
    )
    max_gate_probes: int = Field(
        400, ge=0, description="Most probes of earlier facts asked before a publish; of more, a random sample is."
    )
    max_rebuilt_facts: int = Field(
        200, ge=0, description="Most facts that are taught anew to the base model when a version fails the gate."
    )
    keep_versions: int = Field(
        20, ge=0, description="Retired versions of a namespace that are kept, to be asked or activated; older ones go."
    )
    lease_seconds: float = Field(
        60.0, gt=0, description="How long a worker may be silent before its job is given to another."
    )
    max_attempts: int = Field(3, ge=1, description="Attempts after which a job is dead until someone retries it.")
    resend_seconds: float = Field(
        60.0,
        gt=0,
        description="After how long a job that nobody took, or whose worker died, is sent to the broker again.",
    )
    retry_seconds: float = Field(
        60.0, gt=0, description="First pause after a fault that may pass; doubles each time, up to 30 minutes."
    )
    fault_folder: str = Field(
        "", description="Folder in which a drill arms faults (`knowledge/faults.py`). Empty: none can happen."
    )
    max_body_bytes: int = Field(1_000_000, ge=1, description="Largest request body in bytes.")
    max_documents: int = Field(1000, ge=1, description="Most documents in one request.")
    max_question_characters: int = Field(2000, ge=1, description="Longest question in characters.")
    max_waiting_facts: int = Field(
        10_000, ge=1, description="Most facts of a namespace that wait to be learnt; posts beyond it get 429."
    )
    requests_per_minute: int = Field(6000, ge=0, description="Most requests of one API key a minute. 0: no limit.")
    without_keys: Literal["loopback", "nobody", "everybody"] = Field(
        "loopback",
        description="Who is served while there is no API key: `loopback` (this machine), `nobody`, or `everybody` who"
        " reaches the port.",
    )
    first_key_file: str = Field(
        "",
        description="File with the secret of an admin's API key, made at the start where there is no key. Empty: none.",
    )
    cors_origins: str = Field(
        "",
        description="Comma-separated origins whose pages may call the API, as `https://desk.example`. Empty: none.",
    )
    max_questions: int = Field(64, ge=1, description="Most questions in one request.")
    least_lift: float = Field(
        0.0,
        ge=0,
        description="Least lift of an answer from the weights over the base model, in nats a token; below it the answer"
        " is withheld. Costs up to eight short passes of the base model for each answer. 0: no answer is withheld, and"
        " no lift measured.",
    )
    least_relevance: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Share of a question's weighted words that a fact must hold for the weights to answer it; other"
        " questions go to the base model. 0: the weights answer everything.",
    )
    max_wait_seconds: float = Field(300.0, gt=0, description="Longest `wait_seconds` that a client may ask for.")

    webhook_attempts: int = Field(
        10, ge=0, le=100, description="Attempts of a webhook's delivery before it is given up. 0: nothing is sent."
    )
    webhook_first_retry_seconds: float = Field(
        5.0,
        gt=0,
        description="Pause after a delivery's first attempt; each later one is three times as long, up to six hours,"
        " less up to half by chance.",
    )
    webhook_timeout_seconds: float = Field(10.0, gt=0, description="Time limit of one attempt of a delivery.")
    webhook_private_addresses: bool = Field(
        False, description="Whether webhooks may lead to private, loopback and link-local addresses."
    )

    api_metrics_address: str = Field(
        "",
        description="Address and port, as `0.0.0.0:9101`, where the API shows its metrics a second time, without a key:"
        " for a network of its own. Empty: none.",
    )
    worker_metrics_address: str = Field(
        "", description="Address and port where a worker shows its metrics, without a key. Empty: none."
    )
    trace_endpoint: str = Field(
        "",
        description="URL to which traces are sent (OTLP over HTTP, as `http://collector:4318/v1/traces`). Empty: none.",
    )
    trace_file: str = Field(
        "", description="File to which the spans of traces are added as JSON lines, for `engrain trace`. Empty: none."
    )

    @field_validator("data_folder")
    @classmethod
    def _absolute(cls, folder: Path) -> Path:
        return folder.expanduser().absolute()

    @field_validator("recipe")
    @classmethod
    def _recipe_that_exists(cls, name: str) -> str:
        try:
            return by_name(name).name
        except InvalidRecipe as error:
            raise ValueError(str(error)) from error

    @field_validator("api_metrics_address", "worker_metrics_address")
    @classmethod
    def _address_with_a_port(cls, address: str) -> str:
        if address and not re.fullmatch(r"\S+:\d{1,5}", address):
            raise ValueError("an address and a port are wanted, as 0.0.0.0:9101")
        return address

    @field_validator("max_lora_rank")
    @classmethod
    def _rank_that_vllm_takes(cls, rank: int) -> int:
        allowed = (1, 8, 16, 32, 64, 128, 256, 320, 512)
        if rank not in allowed:
            raise ValueError(f"vLLM takes {', '.join(map(str, allowed))}")
        return rank

    @model_validator(mode="after")
    def _cache_holds_a_batch(self) -> Self:
        if self.max_cached_adapters < self.max_loaded_adapters:
            raise ValueError("max_cached_adapters must be at least max_loaded_adapters")
        return self

    @classmethod
    def read(cls) -> Self:
        """Reads the environment. Raises `InvalidSettings` naming each unknown or wrong variable."""
        known = {f"{PREFIX}{name.upper()}" for name in cls.model_fields}
        unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known | {CLIENT_KEY})
        if unknown:
            raise InvalidSettings(f"Unknown setting {', '.join(unknown)}. `engrain settings` lists the known ones.")
        try:
            return cls()
        except ValidationError as error:
            wrong = [f"{PREFIX}{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
            raise InvalidSettings("; ".join(wrong)) from error

    def shown(self, name: str) -> str:
        """A setting's value as anybody may see it."""
        return without_password(str(getattr(self, name)))

    @property
    def store(self) -> str:
        """SQLAlchemy URL of the store."""
        if not self.store_url:
            return f"sqlite:///{self.data_folder / 'store.sqlite3'}"
        return _with_password(self.store_url, self.store_password_file, "STORE")

    @property
    def broker(self) -> str:
        """Redis URL of the broker."""
        if not self.broker_url:
            return f"redis://127.0.0.1:{self.broker_port}/0"
        return _with_password(self.broker_url, self.broker_password_file, "BROKER")

    @property
    def replicas(self) -> tuple[str, ...]:
        """Base URLs of the vLLM replicas, or `dns+` ones that stand for several, without a trailing slash."""
        urls = self.inference_urls or f"http://127.0.0.1:{self.inference_port}"
        return tuple(url.strip().rstrip("/") for url in urls.split(",") if url.strip())

    @property
    def allowed_origins(self) -> list[str]:
        """Origins whose pages may call the API."""
        return [origin.strip().rstrip("/") for origin in self.cors_origins.split(",") if origin.strip()]

    @property
    def adapters_folder(self) -> Path:
        """Where published adapters lie, one immutable folder each."""
        return self.data_folder / "adapters"

    @property
    def base_model_folder(self) -> str:
        """What vLLM and the trainer load: the prepared embedded model, or the user's folder or hub name."""
        if self.base_model == EMBEDDED_BASE_MODEL:
            return str(self.data_folder / "models" / EMBEDDED_BASE_MODEL)
        return self.base_model


def without_password(value: str) -> str:
    """A URL with its password hidden; anything else as it is."""
    return re.sub(r"(://[^/@:]*:)[^/@]*@", r"\1***@", value)


def _with_password(url: str, file: str, whose: str) -> str:
    """The URL with the password that the file holds. Raises `InvalidSettings` when it cannot be read."""
    if not file:
        return url
    try:
        password = Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(
            f"{PREFIX}{whose}_PASSWORD_FILE: {file} cannot be read ({type(error).__name__})."
        ) from None
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return url.replace(parts.netloc, f"{parts.username or ''}:{quote(password, safe='')}@{host}", 1)
