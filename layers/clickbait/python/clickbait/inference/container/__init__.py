"""Everything round the pixels in a file: it is read and counted here, and no decoder sees it.

Each format has a function `core(data)`. It walks over the parts of the file, refuses what would
take a decoder long, and returns the few parts that decide the pixels. Texts, colour profiles,
previews and what a camera adds can therefore neither break a whole picture nor cost anything.
"""
