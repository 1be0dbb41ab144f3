"""Finds the file of a prompt."""

from __future__ import annotations

from pathlib import Path

from core import log
from core.errors import NotFound
from ivr_flows.prompts.catalogue import LANGUAGES, Catalogue, shipped


class PromptStore:
    """The prompts of one home. ``folder`` is HOME/prompts: one folder a language, one file (of each rate) a prompt."""

    def __init__(self, folder: Path, catalogue: Catalogue | None = None) -> None:
        self.folder = folder.absolute()
        self.catalogue = catalogue or shipped()
        self._log = log.get("prompts")

    def path(self, prompt_id: str, language: str) -> str:
        """Absolute path without extension, as Asterisk wants it; the other language's file when this one is missing.

        Raises NotFound for an id that is not in the catalogue, or when no language has a file.
        """
        self.catalogue.entry(prompt_id)  # also keeps anything but a known id out of a path
        for candidate in sorted(LANGUAGES, key=lambda other: other != language):  # the wanted one first
            path = self.folder / candidate / prompt_id
            if path.with_suffix(".wav").is_file():
                if candidate != language:
                    self._log.warning("prompt in another language", prompt=prompt_id, wanted=language, played=candidate)
                return str(path)
        raise NotFound(
            f"prompt {prompt_id!r} has no file under {self.folder}",
            id="prompt-not-made",
            fix="run `bin/yihu up`, which makes the prompts",
        )

    def missing(self) -> list[str]:
        """``language/id`` of each prompt of the catalogue without its own files, for the doctor."""
        return [
            f"{language}/{prompt_id}"
            for prompt_id in self.catalogue.prompts
            for language in LANGUAGES
            if not all((self.folder / language / f"{prompt_id}{end}").is_file() for end in (".wav", ".wav16"))
        ]
