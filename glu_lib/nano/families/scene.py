"""A scene: the choices that stay the same within one short story."""

from dataclasses import dataclass
from random import Random

from glu_lib.nano.lexicon import ANIMALS, DAYTIMES, OBJECTS, PLACES, SEASONS
from glu_lib.nano.world import Person, World


@dataclass(frozen=True)
class Scene:
    """Who, when, where, with what."""

    person: Person
    season: str
    daytime: str
    place: str
    animal: str
    thing: str

    def fill(self, sentence: str) -> str:
        """Fill the placeholders of a sentence with the words of this scene."""
        sky, road = SEASONS[self.season]
        fruit, deed = PLACES[self.place]
        feed, mood = ANIMALS[self.animal]
        words = {
            "name": self.person.name,
            "first": self.person.first,
            **self.person.known,
            "season": self.season,
            "daytime": self.daytime,
            "meal": DAYTIMES[self.daytime],
            "place": self.place,
            "fruit": fruit,
            "deed": deed,
            "sky": sky,
            "road": road,
            "animal": self.animal,
            "feed": feed,
            "mood": mood,
            "thing": self.thing,
        }
        return sentence.format(**words)


def draw_scene(world: World, rng: Random) -> Scene:
    """Draw the choices of one story."""
    return Scene(
        person=rng.choice(world.people),
        season=rng.choice(tuple(SEASONS)),
        daytime=rng.choice(tuple(DAYTIMES)),
        place=rng.choice(tuple(PLACES)),
        animal=rng.choice(tuple(ANIMALS)),
        thing=rng.choice(OBJECTS),
    )
