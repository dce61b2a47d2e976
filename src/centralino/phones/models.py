"""The models that are known, each with how many accounts and programmable keys it has.

Sources are the vendors' data sheets. A key that stands for an account is one of ``keys``.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """A model; its name begins with its vendor's."""

    name: str
    accounts: int
    keys: int

    @property
    def vendor(self) -> str:
        """The module of ``centralino.phones.vendors`` that renders it."""
        return self.name.partition("-")[0]


_KNOWN: dict[str, dict[str, tuple[int, int]]] = {
    "yealink": {
        "t31p": (2, 2), "t33g": (4, 4), "t42u": (12, 15), "t43u": (12, 21), "t44u": (12, 21), "t46u": (16, 27),
        "t48u": (16, 29), "t53": (12, 21), "t53w": (12, 21), "t54w": (16, 27), "t57w": (16, 29), "t58w": (16, 27),
    },
    "snom": {
        "d120": (2, 0), "d315": (4, 5), "d385": (12, 12), "d713": (4, 8), "d717": (6, 9), "d735": (12, 32),
        "d785": (12, 24), "d862": (12, 32), "d865": (12, 40),
    },
    "grandstream": {
        "grp2601": (2, 2), "grp2602": (4, 4), "grp2612": (4, 4), "grp2613": (6, 6), "grp2614": (4, 4),
        "grp2615": (5, 5), "grp2616": (6, 6), "gxp1625": (2, 2), "gxp2135": (4, 4), "gxp2170": (6, 6),
    },
    "cisco": {
        "spa301": (1, 1), "spa303": (3, 3), "spa502g": (1, 1), "spa504g": (4, 4), "spa508g": (8, 8),
        "spa509g": (12, 12), "spa512g": (1, 1), "spa514g": (4, 4), "spa525g2": (5, 5),
    },
    "polycom": {
        "vvx150": (2, 2), "vvx250": (4, 4), "vvx350": (6, 6), "vvx450": (12, 12), "edgee220": (4, 4),
        "edgee350": (8, 8),
    },
    "fanvil": {
        "x1s": (2, 2), "x3s": (4, 4), "x3u": (6, 6), "x4u": (12, 30), "x5u": (16, 40), "x6u": (20, 60), "x7": (20, 127),
        "v64": (16, 21),
    },
}  # fmt: skip

MODELS = {
    model.name: model
    for model in (
        *(Model(f"{vendor}-{name}", *size) for vendor, names in _KNOWN.items() for name, size in names.items()),
        Model("generic", 16, 100),
    )
}
