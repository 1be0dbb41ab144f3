"""The catalogue of prompts: what each says in each language (catalogue.yaml)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from core.errors import Invalid, NotFound
from ivr_flows import yamltext
from ivr_flows.node import Identifier

LANGUAGES = ("zh", "ug")
Speech = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class Tone(BaseModel):
    """A beep instead of words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hertz: float = Field(ge=300, le=3400)
    seconds: float = Field(gt=0, le=5)


class Entry(BaseModel):
    """One prompt: a text in each language, or a tone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zh: Speech | None = None
    ug: Speech | None = None
    tone: Tone | None = None
    bilingual: bool = Field(False, description="Each file says it in all languages: for players without a language")

    @model_validator(mode="after")
    def _complete(self) -> Entry:
        if (self.tone is None) == (self.zh is None) or (self.zh is None) != (self.ug is None):
            raise ValueError("a prompt has a text in zh and in ug, or a tone")
        return self

    def speech(self, language: str) -> list[tuple[str, str]]:
        """What the file of this language says: (language, text), in order; empty for a tone."""
        texts = {"zh": self.zh, "ug": self.ug}
        order = LANGUAGES if self.bilingual else (language,)
        return [(name, text) for name in order if (text := texts[name]) is not None]


class Catalogue(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    prompts: dict[Identifier, Entry]

    def entry(self, prompt_id: str) -> Entry:
        """The prompt of this id; raises NotFound."""
        try:
            return self.prompts[prompt_id]
        except KeyError:
            raise NotFound(
                f"there is no prompt {prompt_id!r}",
                id="no-such-prompt",
                fix="add it to ivr_flows/prompts/catalogue.yaml",
            ) from None


def read(path: Path) -> Catalogue:
    """Read a catalogue file. Raises Invalid naming each prompt that is wrong."""
    try:
        return Catalogue.model_validate(yamltext.load(path.read_bytes(), path.name))
    except ValidationError as exc:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in exc.errors(include_url=False))
        raise Invalid(f"{path.name}: {wrong}", id="catalogue-invalid", fix="correct it") from None


@cache
def shipped() -> Catalogue:
    """The catalogue that comes with Yihu."""
    return read(Path(__file__).parent / "catalogue.yaml")
