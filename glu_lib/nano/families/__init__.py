"""The seven task families: each tells its training texts and its held-out items."""

from glu_lib.nano.families.family import FAMILIES, Family, Item

__all__ = ["FAMILIES", "Family", "Item"]
