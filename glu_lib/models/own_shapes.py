"""Shapes from models' own configurations: of a folder, or of the hub's files in the local cache."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from glu_lib.errors import AccessError
from glu_lib.models.identity import ModelIdentity
from glu_lib.models.model_files import json_file, model_file
from glu_lib.models.shapes import check_against
from glu_lib.study import ModelVariant, Study
from glu_lib.study.architecture import Architecture
from glu_lib.study.own_shape import shape_of


def with_own_shapes(study: Study, only: Collection[str] | None = None) -> Study:
    """The study, in which the models without a declared shape have that of their own configuration, if it is here.

    No server is asked: a hub model has a shape as soon as its configuration is in the local cache, that is from its
    second run on, or after `glu validate`.

    Args:
        study: a study.
        only: keys of the models that may get a shape; None for all.
    """
    known = {
        key: replace(variant, architecture=shape)
        for key, variant in study.models.items()
        if variant.architecture is None and (only is None or key in only) and (shape := _shape_here(variant))
    }
    return replace(study, models=dict(study.models) | known) if known else study


def own_shape_keys(study: Study) -> list[str]:
    """Keys of the models that have a shape from their own configuration."""
    return [key for key, found in study.models.items() if found.architecture and not found.architecture.is_declared]


def settled(variant: ModelVariant, identity: ModelIdentity) -> ModelVariant:
    """The variant with a shape: the declared one, checked against the configuration, or that of the configuration.

    Only the configuration is read or downloaded, so that this comes before the weights. Without a known shape the
    variant is returned as it is.

    Raises:
        AccessError: if a declared shape contradicts the configuration, or the configuration cannot be read.
    """
    if identity.header is not None:
        own = identity.header.shape
    else:
        path = None if identity.is_random else model_file(variant, identity, "config.json")
        own = shape_of(json_file(variant, path)) if path else None
    if own is None:
        return variant
    if variant.architecture is None:
        return replace(variant, architecture=own)
    check_against(variant, own)
    return variant


def _shape_here(variant: ModelVariant) -> Architecture | None:
    """The shape by the configuration on this machine; None without one that can be read, which loading will tell."""
    if variant.gguf is not None:  # a configuration beside the file is not the file's
        return None
    folder = Path(variant.source).expanduser()
    path = folder / "config.json" if folder.is_dir() else _cached(variant)
    if path is None or not path.is_file():
        return None
    try:
        return shape_of(json_file(variant, path))
    except AccessError:
        return None


def _cached(variant: ModelVariant) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(variant.source, "config.json", revision=variant.revision)
    except ValueError:  # not a hub id; resolving the identity tells it
        return None
    return Path(found) if isinstance(found, str) else None
