"""The report's colours, named once for the page and for the plots, as `name: (on light, on dark)`.

The plots are drawn in the light colours; in the page each becomes `var(--name)`, so that they follow the reader's theme.
The series are Okabe and Ito's, which people with any colour vision tell apart, darkened or lightened to be read as text.
"""

COLOURS = {
    "ground": ("#ffffff", "#11161c"),
    "panel": ("#f6f7f9", "#1a2129"),
    "ink": ("#1b2028", "#e8ebef"),
    "muted": ("#57606b", "#a3adb9"),
    "grid": ("#dde1e6", "#303945"),
    "base": ("#666f7b", "#98a2ae"),
    "cold": ("#b94700", "#ff9a57"),
    "stage": ("#00805c", "#3ccf9f"),
    "final": ("#0068a6", "#62baf0"),
    "extra": ("#9c4a7e", "#e09ac4"),
    "right": ("#006d8f", "#5cc4e6"),
    "wrong": ("#b5420a", "#ff9663"),
}
LIGHT = {name: light for name, (light, _) in COLOURS.items()}
DARK = {name: dark for name, (_, dark) in COLOURS.items()}


def series_colour(name: str) -> str:
    """The colour's name for an evaluated model: that of `cold` for `cold_double_length`, of `stage` for `stage_3`."""
    return name.split("_")[0]
