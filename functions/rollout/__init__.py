"""The function that lets traffic move to a new version of predict, or refuses it."""
