"""The products of the shop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Product:
    """A product.

    Attributes:
        slug: The last part of its URL, /product/<slug>.
        name: Its name.
        kind: Its kind, such as "Notebook".
        art: The id of its drawing in the front end's sprite.
        price: In euro cents.
        line: One sentence for the shelf.
        story: Some sentences for its own page.
        facts: Size, material and the like.
    """

    slug: str
    name: str
    kind: str
    art: str
    price: int
    line: str
    story: str
    facts: tuple[str, ...]


PRODUCTS = (
    Product(
        "tuesday-notebook",
        "Tuesday Notebook",
        "Notebook",
        "notebook",
        1450,
        "Lies flat on any day of the week.",
        "Sewn in sixteens, so it opens all the way and stays there. The last page has a pocket for what you tore out.",
        ("96 pages, dotted", "148 x 210 mm", "Paper takes fountain pen without ghosting"),
    ),
    Product(
        "harbour-blue",
        "Harbour Blue",
        "Ink",
        "ink",
        1190,
        "The colour of water at ten past four.",
        "Goes on bright and dries grey-blue, which suits most apologies. It comes out of linen if you are quick.",
        ("30 ml in glass", "For fountain and dip pens", "Not waterproof; neither is the harbour"),
    ),
    Product(
        "apology-cards",
        "Apology Cards",
        "Cards",
        "card",
        960,
        "Six of them. Blank inside: that part is yours.",
        "A pressed-flower print on the front and room for four honest sentences. Nobody has ever needed five.",
        ("6 cards with envelopes", "Folded to 105 x 148 mm", "Printed from one carved block"),
    ),
    Product(
        "long-letter",
        "The Long Letter",
        "Writing pad",
        "pad",
        1280,
        "Sixty sheets, and a ruled one to put beneath.",
        "For when a message would do and you would rather not. The sheets leave the pad cleanly, without a sound.",
        ("60 sheets, 100 g", "A5, unlined", "A guide sheet with two widths of line"),
    ),
    Product(
        "over-the-sea",
        "Over the Sea",
        "Envelopes",
        "envelope",
        720,
        "Thin paper, a striped edge, fit for any ocean.",
        "The blue lining keeps the inside private when held up to a lamp, which everybody does.",
        ("12 envelopes", "Fits a folded A5 sheet", "Weighs 3 g, so one stamp is enough"),
    ),
    Product(
        "brass-nib",
        "Nib No. 7",
        "Nib",
        "nib",
        540,
        "Bends a little, like a good argument.",
        "Brass, ground by hand, broad on the way down and fine on the way up. Wipe it, and it will outlive the desk.",
        ("Fits any standard holder", "Line from 0.4 to 1.6 mm", "Dip it again every twelve words"),
    ),
    Product(
        "sealing-wax",
        "Sealing Wax",
        "Wax",
        "wax",
        880,
        "For letters that should be opened once.",
        "Two sticks with a wick and a small seal. It stays supple enough to survive the sorting machines.",
        ("2 sticks, about 30 seals", "Seal with our letter, or send us yours", "Burns clean; mind the cat"),
    ),
    Product(
        "with-joy",
        "Received with Joy",
        "Rubber stamp",
        "stamp",
        1620,
        "The only reply some letters need.",
        "Turned beech, deep-cut rubber, a line each for the day and for what came with it.",
        ("Prints 58 x 20 mm", "Works with any pad", "A red pad is in the box"),
    ),
)
