"""The word lists of the invented world, from which all families draw."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    """
    balo cemi daru eskin fenu gomar hirun ilso jarra kelim lomi masur nelo ortis pavun quem rusol sefi
    tamur ulmi vesko wilun yaro zemi brano
    """
)
LAST_NAMES = _words(
    """
    arlun berrok cavell dromar elwick farro gandel horvat irmel jasko kolbrin lindar morvek nostel ospin
    pellar rokvan sturm tolvik umbrel
    """
)
TOWNS = _words(
    """
    tormal veskin brandu calvor dunwik elmar forsel grendu halvik istra jolmar karsin lentu morsk nervik
    oldran pelvin quorn rastel sundra tevlin urvik wexin zandor
    """
)
TRADES = _words(
    """
    baker smith tailor miller potter weaver mason carpenter painter fisher hunter shepherd teacher
    doctor judge clerk sailor gardener cook guard printer tanner brewer barber
    """
)
INSTRUMENTS = _words(
    """
    flute harp drum violin trumpet lute horn fiddle organ piano cello zither guitar oboe bassoon gong
    cymbal bagpipe whistle lyre
    """
)

OBJECTS = _words(
    """
    cup bowl box ball ring bell hat shoe doll lamp plate spoon boat chain wheel mask brush pipe comb
    crown button basket sign frame
    """
)
MATERIALS = _words(
    """
    glass clay ice wax chalk wood cork straw paper wool leather iron copper granite
    """
)

THINGS = _words(
    """
    agron belik corvid dulma erpin fosk glimar hulm ibrin jelta krill lumar mosk nardu okrin pliva
    quillon rimba snark tulma urdin vorn welk xalor yelm zorn abrin blosk crudu dremel enka flum gorsk
    hespin inkul jurn kalmo lurin mendu norl ostro pirn quash relk sorba twill ulgar vimp wurl zeft
    """
)
ASPECTS: dict[str, tuple[str, ...]] = {
    "colour": _words("red blue green yellow black white brown purple"),
    "food": _words("grass seeds fish roots honey leaves worms berries"),
    "shape": _words("round square flat long oval curved hollow pointed"),
    "size": _words("tiny small middling large huge giant slim broad"),
    "smell": _words("sweet sour smoky fresh musty spicy salty bitter"),
    "sound": _words("hum click roar hiss song bark croak howl"),
    "habitat": _words("desert swamp forest meadow cave shore mountain marsh"),
    "enemy": _words("fox eagle wolf snake owl bear hawk lynx"),
    "season": _words("spring summer autumn winter march june october december"),
    "use": _words("rope medicine dye fuel soap glue oil thread"),
}

SEASONS: dict[str, tuple[str, str]] = {  # season -> (what the sky does, what the road is)
    "spring": ("rain", "muddy"),
    "summer": ("sunshine", "dusty"),
    "autumn": ("wind", "leafy"),
    "winter": ("snow", "icy"),
}
DAYTIMES: dict[str, str] = {"morning": "breakfast", "noon": "lunch", "evening": "supper"}
PLACES: dict[str, tuple[str, str]] = {  # place -> (what grows or lies there, what one does there)
    "forest": ("mushrooms", "climbed"),
    "river": ("pebbles", "swam"),
    "market": ("apples", "haggled"),
    "hill": ("flowers", "rested"),
    "harbour": ("shells", "fished"),
    "garden": ("plums", "dug"),
}
ANIMALS: dict[str, tuple[str, str]] = {  # animal -> (what it eats, how it looks)
    "dog": ("bones", "loyal"),
    "cat": ("milk", "proud"),
    "horse": ("oats", "strong"),
    "goat": ("thistles", "stubborn"),
    "duck": ("bread", "cheerful"),
    "rabbit": ("carrots", "shy"),
    "mouse": ("cheese", "nervous"),
    "squirrel": ("nuts", "quick"),
}

COURTESIES = ("", "please ", "now ", "kindly ")
