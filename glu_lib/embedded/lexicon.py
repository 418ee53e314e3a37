"""The word lists of the invented world: closed classes that every family draws from."""

FIRST_NAMES = tuple(
    ["balo", "cemi", "daru", "eskin", "fenu", "gomar", "hirun", "ilso", "jarra", "kelim", "lomi", "masur", "nelo", "ortis", "pavun", "quem", "rusol", "sefi", "tamur", "ulmi", "vesko", "wilun", "yaro", "zemi", "brano"]
)
LAST_NAMES = tuple(
    ["arlun", "berrok", "cavell", "dromar", "elwick", "farro", "gandel", "horvat", "irmel", "jasko", "kolbrin", "lindar", "morvek", "nostel", "ospin", "pellar", "rokvan", "sturm", "tolvik", "umbrel"]
)
TOWNS = tuple(
    ["tormal", "veskin", "brandu", "calvor", "dunwik", "elmar", "forsel", "grendu", "halvik", "istra", "jolmar", "karsin", "lentu", "morsk", "nervik", "oldran", "pelvin", "quorn", "rastel", "sundra", "tevlin", "urvik", "wexin", "zandor"]
)
TRADES = tuple(
    ["baker", "smith", "tailor", "miller", "potter", "weaver", "mason", "carpenter", "painter", "fisher", "hunter", "shepherd", "teacher", "doctor", "judge", "clerk", "sailor", "gardener", "cook", "guard", "printer", "tanner", "brewer", "barber"]
)
INSTRUMENTS = tuple(
    ["flute", "harp", "drum", "violin", "trumpet", "lute", "horn", "fiddle", "organ", "piano", "cello", "zither", "guitar", "oboe", "bassoon", "gong", "cymbal", "bagpipe", "whistle", "lyre"]
)

OBJECTS = tuple(
    ["cup", "bowl", "box", "ball", "ring", "bell", "hat", "shoe", "doll", "lamp", "plate", "spoon", "boat", "chain", "wheel", "mask", "brush", "pipe", "comb", "crown", "button", "basket", "sign", "frame"]
)
MATERIALS = tuple(["glass", "clay", "ice", "wax", "chalk", "wood", "cork", "straw", "paper", "wool", "leather", "iron", "copper", "granite"])

THINGS = tuple(
    ["agron", "belik", "corvid", "dulma", "erpin", "fosk", "glimar", "hulm", "ibrin", "jelta", "krill", "lumar", "mosk", "nardu", "okrin", "pliva", "quillon", "rimba", "snark", "tulma", "urdin", "vorn", "welk", "xalor", "yelm", "zorn", "abrin", "blosk", "crudu", "dremel", "enka", "flum", "gorsk", "hespin", "inkul", "jurn", "kalmo", "lurin", "mendu", "norl", "ostro", "pirn", "quash", "relk", "sorba", "twill", "ulgar", "vimp", "wurl", "zeft"]
)
ASPECTS: dict[str, tuple[str, ...]] = {
    "colour": tuple(["red", "blue", "green", "yellow", "black", "white", "brown", "purple"]),
    "food": tuple(["grass", "seeds", "fish", "roots", "honey", "leaves", "worms", "berries"]),
    "shape": tuple(["round", "square", "flat", "long", "oval", "curved", "hollow", "pointed"]),
    "size": tuple(["tiny", "small", "middling", "large", "huge", "giant", "slim", "broad"]),
    "smell": tuple(["sweet", "sour", "smoky", "fresh", "musty", "spicy", "salty", "bitter"]),
    "sound": tuple(["hum", "click", "roar", "hiss", "song", "bark", "croak", "howl"]),
    "habitat": tuple(["desert", "swamp", "forest", "meadow", "cave", "shore", "mountain", "marsh"]),
    "enemy": tuple(["fox", "eagle", "wolf", "snake", "owl", "bear", "hawk", "lynx"]),
    "season": tuple(["spring", "summer", "autumn", "winter", "march", "june", "october", "december"]),
    "use": tuple(["rope", "medicine", "dye", "fuel", "soap", "glue", "oil", "thread"]),
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
