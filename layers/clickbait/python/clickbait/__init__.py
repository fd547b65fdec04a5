"""How likely is a thumbnail clickbait: the library that functions, training and tests share."""

LABELS = ("clickbait_real", "clickbait_fake")
"""Label order of every model: index 0 is legitimate, index 1 is clickbait, the positive class."""
