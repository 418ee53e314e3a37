"""The seven task families; each generates training texts and held-out items."""

from glu_lib.nano.families.family import FAMILIES, Family, Item

__all__ = ["FAMILIES", "Family", "Item"]
